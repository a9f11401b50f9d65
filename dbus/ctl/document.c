/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/document.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "dbus/ctl/pager.h"
#include "dbus/ctl/print.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIECE_SIZE 65536
#define DEPTH_MAX  32

typedef struct Scan {
        const DocumentReader *reader;
        GString *key;  /* the member's name, while it is read and after */
        GString *text; /* of the part that is being read */
        char closing[DEPTH_MAX];
        int depth;
        bool in_string, escaped;
        bool in_value;            /* of a member; else its name is read, or what stands around it */
        bool in_array;            /* the member's value is one, and this is inside of it */
        bool is_wanted, is_empty; /* the part; nothing of it was seen yet */
        uint64_t index;
} Scan;

static int damaged(Fault *f, const char *how)
{
        return fault_set(f, FAULT_INTERNAL, "fluid-hostd's document is damaged: %s", how);
}

static int parse_text(const char *text, size_t size, Json **ret, Fault *f)
{
        Fault reason = {0};

        return json_parse(text, size, DEPTH_MAX, ret, &reason) < 0 ? damaged(f, reason.message) : 0;
}

int document_parse(const DocumentPart *part, Json **ret, Fault *f)
{
        return parse_text(part->text, part->size, ret, f);
}

static void begin_part(Scan *s)
{
        const DocumentReader *reader = s->reader;

        g_string_truncate(s->text, 0);
        s->is_empty = true;
        s->is_wanted = !reader->wants || reader->wants(s->key->str, s->index, reader->userdata);
}

static int give_part(Scan *s, bool is_end, Fault *f)
{
        const DocumentPart part = {
                .member = s->key->str,
                .in_array = s->in_array,
                .is_end = is_end,
                .index = s->index,
                .text = s->text->str,
                .size = s->text->len,
        };

        return s->reader->each(&part, s->reader->userdata, f);
}

/* At a comma, or at the bracket that closes what the part is in. */
static int end_part(Scan *s, bool is_last, Fault *f)
{
        int r = 0;

        if (s->is_empty && !(s->in_array && is_last && s->index == 0))
                return damaged(f, "a value of it is missing");
        if (!s->is_empty && s->is_wanted)
                r = give_part(s, false, f);
        if (s->in_array && !s->is_empty)
                s->index++;
        if (r == 0 && s->in_array && is_last) {
                g_string_truncate(s->text, 0);
                r = give_part(s, true, f);
        } else if (r == 0 && s->in_array) {
                begin_part(s);
        }
        return r;
}

static void scan_string(Scan *s, char c)
{
        if (s->escaped)
                s->escaped = false;
        else if (c == '\\')
                s->escaped = true;
        else if (c == '"')
                s->in_string = false;
        if (s->in_string && !s->in_value && s->key->len < PIECE_SIZE)
                g_string_append_c(s->key, c);
}

static int open_bracket(Scan *s, char c, Fault *f)
{
        if (s->depth == DEPTH_MAX)
                return damaged(f, "it is nested too deep");
        s->closing[s->depth++] = c == '{' ? '}' : ']';
        if (s->depth == 1 && c != '{')
                return damaged(f, "it is no object");
        if (s->depth == 2 && s->in_value && s->is_empty && c == '[') {
                s->in_array = true;
                begin_part(s);
                return 1;
        }
        return 0;
}

static int close_bracket(Scan *s, char c, Fault *f)
{
        if (s->depth == 0 || s->closing[--s->depth] != c)
                return damaged(f, "its brackets do not match");
        if (s->depth == 1 && s->in_array) {
                int r = end_part(s, true, f);
                s->in_array = s->in_value = false;
                return r == 0 ? 1 : r + (r > 0);
        }
        if (s->depth == 0 && s->in_value) {
                int r = end_part(s, true, f);
                s->in_value = false;
                return r == 0 ? 1 : r + (r > 0);
        }
        return 0;
}

/* Of what is outside of strings. 1 where the character belongs to no part; 2: enough. */
static int scan_structure(Scan *s, char c, Fault *f)
{
        switch (c) {
        case '"':
                s->in_string = true;
                if (!s->in_value)
                        g_string_truncate(s->key, 0);
                return 0;
        case '[':
        case '{':
                return open_bracket(s, c, f);
        case ']':
        case '}':
                return close_bracket(s, c, f);
        case ':':
                if (s->depth != 1 || s->in_value)
                        return 0;
                s->in_value = true;
                s->index = 0;
                begin_part(s);
                return 1;
        case ',':
                if (s->in_value && s->depth == (s->in_array ? 2 : 1)) {
                        int r = end_part(s, false, f);
                        s->in_value = s->in_array;
                        return r == 0 ? 1 : r + (r > 0);
                }
                return 0;
        default:
                return 0;
        }
}

static int scan_char(Scan *s, char c, Fault *f)
{
        int r = 0;

        if (s->in_string)
                scan_string(s, c);
        else
                r = scan_structure(s, c, f);
        if (r != 0 || !s->in_value || (s->is_empty && g_ascii_isspace(c)))
                return r;
        s->is_empty = false;
        if (s->is_wanted)
                g_string_append_c(s->text, c);
        return 0;
}

/* What is neither the beginning nor the end of anything, inside of strings. */
static size_t skip_plain(Scan *s, const char *text, size_t size)
{
        size_t n = 0;

        if (!s->in_string || s->escaped || !s->in_value)
                return 0;
        while (n < size && text[n] != '"' && text[n] != '\\')
                n++;
        if (s->is_wanted)
                g_string_append_len(s->text, text, (gssize) n);
        return n;
}

static int scan(Scan *s, const char *text, size_t size, Fault *f)
{
        for (size_t i = 0; i < size; i++) {
                i += skip_plain(s, text + i, size - i);
                if (i == size)
                        break;
                int r = scan_char(s, text[i], f);
                if (r < 0 || r == 2)
                        return r;
                if (s->text->len > DOCUMENT_PART_MAX)
                        return damaged(f, "a part of it is too large");
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

int document_read(int fd, const DocumentReader *reader, Fault *f)
{
        Scan s = {.reader = reader};
        char piece[PIECE_SIZE];
        ssize_t n = 0;
        int r = 0;

        s.key = g_string_new(NULL);
        s.text = g_string_new(NULL);
        while (r == 0 && (n = read_piece(fd, piece, f)) > 0)
                r = scan(&s, piece, (size_t) n, f);
        if (r == 0 && n < 0)
                r = (int) n;
        if (r == 0 && (s.depth != 0 || s.in_string))
                r = damaged(f, "it ends too early");
        g_string_free(s.key, TRUE);
        g_string_free(s.text, TRUE);
        return r < 0 ? r : 0;
}

int document_keep(int fd, int *ret_copy, Fault *f)
{
        char piece[PIECE_SIZE];
        ssize_t n;

        if (lseek(fd, 0, SEEK_CUR) >= 0) {
                *ret_copy = -1;
                return 0;
        }
        autofd copy = memfd_create("fluidctl", MFD_CLOEXEC);
        if (copy < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make a temporary file");
        while ((n = read_piece(fd, piece, f)) > 0) {
                int r = write_all(copy, piece, (size_t) n);
                if (r < 0)
                        return fault_set_errno(f, FAULT_IO, r, "cannot keep the document");
        }
        if (n < 0)
                return (int) n;
        *ret_copy = TAKE_FD(copy);
        return document_rewind(*ret_copy, f);
}

int document_rewind(int fd, Fault *f)
{
        if (lseek(fd, 0, SEEK_SET) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot read the document again");
        return 0;
}

static int finish_line(GString *line, int (*each)(Json *element, void *userdata, Fault *f),
                       void *userdata, Fault *f)
{
        g_autoptr(Json) element = NULL;

        int r = parse_text(line->str, line->len, &element, f);
        g_string_truncate(line, 0);
        return r < 0 ? r : each(element, userdata, f);
}

int document_each_line(int fd, int (*each)(Json *element, void *userdata, Fault *f), void *userdata,
                       Fault *f)
{
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
                        if (line->len > DOCUMENT_LINE_MAX)
                                return damaged(f, "a line of it is too long");
                        p = newline ? newline + 1 : end;
                        int r = newline ? finish_line(line, each, userdata, f) : 0;
                        if (r < 0)
                                return r;
                }
        }
}

int document_copy(int fd, Fault *f)
{
        char piece[PIECE_SIZE];
        ssize_t n = 0;

        while (!pager_is_gone() && (n = read_piece(fd, piece, f)) > 0)
                print_json_text(piece, (size_t) n);
        return n < 0 ? (int) n : 0;
}
