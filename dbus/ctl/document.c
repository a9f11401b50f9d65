/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/document.h"

#include "base/cleanup.h"
#include "dbus/ctl/print.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PIECE_SIZE 65536
#define DEPTH_MAX  16

typedef struct Scan {
        const char *member;
        int (*each)(Json *element, void *userdata, Fault *f);
        void *userdata;

        int depth;
        bool in_string, escaped;
        bool in_member;   /* inside of the array that is wanted */
        GString *key;     /* the last string at depth 1 */
        GString *element; /* text of the object that is being read, else empty */
} Scan;

static int damaged(Fault *f, const char *how)
{
        return fault_set(f, FAULT_INTERNAL, "fluid-hostd's document is damaged: %s", how);
}

static int finish_element(GString *text, Scan *s, Fault *f)
{
        g_autoptr(Json) element = NULL;
        Fault reason = {0};

        if (json_parse(text->str, text->len, DEPTH_MAX, &element, &reason) < 0)
                return damaged(f, reason.message);
        g_string_truncate(text, 0);
        return s->each(element, s->userdata, f);
}

static void scan_string(Scan *s, char c)
{
        if (s->escaped)
                s->escaped = false;
        else if (c == '\\')
                s->escaped = true;
        else if (c == '"')
                s->in_string = false;
        if (s->in_string && s->depth == 1 && s->key->len < PIECE_SIZE)
                g_string_append_c(s->key, c);
}

/* Structure only: whether it is JSON is found out when an element is parsed. */
static int scan_structure(Scan *s, char c, Fault *f)
{
        switch (c) {
        case '"':
                s->in_string = true;
                if (s->depth == 1)
                        g_string_truncate(s->key, 0);
                return 0;
        case '[':
        case '{':
                s->depth++;
                if (s->depth == 2)
                        s->in_member = c == '[' && g_str_equal(s->key->str, s->member);
                return 0;
        case ']':
        case '}':
                if (--s->depth < 0)
                        return damaged(f, "it ends too often");
                if (s->depth == 2 && s->in_member)
                        return finish_element(s->element, s, f);
                return 0;
        default:
                return 0;
        }
}

static int scan(Scan *s, const char *text, size_t size, Fault *f)
{
        for (size_t i = 0; i < size; i++) {
                char c = text[i];
                if (s->in_member && (s->depth > 2 || (s->depth == 2 && !s->in_string && c == '{')))
                        g_string_append_c(s->element, c);
                if (s->element->len > DOCUMENT_ELEMENT_MAX)
                        return damaged(f, "an element of it is too large");
                if (s->in_string) {
                        scan_string(s, c);
                        continue;
                }
                int r = scan_structure(s, c, f);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The next piece; 0 at the end. */
static ssize_t read_piece(int fd, char piece[static PIECE_SIZE], Fault *f)
{
        ssize_t n;

        do
                n = read(fd, piece, PIECE_SIZE);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot read fluid-hostd's document");
        return n;
}

int document_each(int fd, const char *member, int (*each)(Json *element, void *userdata, Fault *f),
                  void *userdata, Fault *f)
{
        Scan s = {.member = member, .each = each, .userdata = userdata};
        char piece[PIECE_SIZE];
        ssize_t n;
        int r = 0;

        s.key = g_string_new(NULL);
        s.element = g_string_new(NULL);
        while (r >= 0 && (n = read_piece(fd, piece, f)) != 0)
                r = n < 0 ? (int) n : scan(&s, piece, (size_t) n, f);
        if (r >= 0 && s.depth != 0)
                r = damaged(f, "it ends too early");
        g_string_free(s.key, TRUE);
        g_string_free(s.element, TRUE);
        return r;
}

int document_each_line(int fd, int (*each)(Json *element, void *userdata, Fault *f), void *userdata,
                       Fault *f)
{
        Scan s = {.each = each, .userdata = userdata};
        g_autoptr(GString) line = g_string_new(NULL);
        char piece[PIECE_SIZE];

        for (;;) {
                ssize_t n = read_piece(fd, piece, f);
                if (n < 0)
                        return (int) n;
                if (n == 0)
                        return line->len > 0 ? damaged(f, "its last line has no end") : 0;
                for (const char *p = piece, *end = piece + n; p < end;) {
                        const char *newline = memchr(p, '\n', (size_t) (end - p));
                        const char *stop = newline ? newline : end;
                        g_string_append_len(line, p, stop - p);
                        if (line->len > DOCUMENT_ELEMENT_MAX)
                                return damaged(f, "a line of it is too long");
                        p = newline ? newline + 1 : end;
                        int r = newline ? finish_element(line, &s, f) : 0;
                        if (r < 0)
                                return r;
                }
        }
}

int document_copy(int fd, Fault *f)
{
        char piece[PIECE_SIZE];
        ssize_t n;

        while ((n = read_piece(fd, piece, f)) > 0)
                print_json_text(piece, (size_t) n);
        return n < 0 ? (int) n : 0;
}
