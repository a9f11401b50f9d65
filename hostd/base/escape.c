/* SPDX-License-Identifier: MIT */
#include "base/escape.h"

#include <glib.h>
#include <string.h>

/* Invisible although Unicode does not call them format characters: fillers, joiners and the
 * variation selectors, with which text can be smuggled past a reader. */
static bool is_filler(gunichar c)
{
        return c == 0x34f || c == 0x115f || c == 0x1160 || c == 0x17b4 || c == 0x17b5 ||
               (c >= 0x180b && c <= 0x180f) || c == 0x2800 || c == 0x3164 ||
               (c >= 0xfe00 && c <= 0xfe0f) || c == 0xffa0 || (c >= 0xe0100 && c <= 0xe01ef);
}

/* A character that a terminal acts on or a reader cannot see. */
static bool is_invisible(gunichar c)
{
        if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad)
                return true;
        if (is_filler(c))
                return true;
        switch (g_unichar_type(c)) {
        case G_UNICODE_SPACE_SEPARATOR:
                return c != ' ';
        case G_UNICODE_CONTROL:
        case G_UNICODE_FORMAT:
        case G_UNICODE_UNASSIGNED:
        case G_UNICODE_PRIVATE_USE:
        case G_UNICODE_SURROGATE:
        case G_UNICODE_LINE_SEPARATOR:
        case G_UNICODE_PARAGRAPH_SEPARATOR:
                return true;
        default: /* GLib's enumeration, not ours */
                return false;
        }
}

/* The length of the printable character at `p`, or 0 if its first byte has to be escaped. */
static size_t printable_length(const char *p, size_t left)
{
        gunichar c = g_utf8_get_char_validated(p, (gssize) left);

        if (c == (gunichar) -1 || c == (gunichar) -2 || is_invisible(c))
                return 0;
        return (size_t) (g_utf8_next_char(p) - p);
}

/* The next piece of output for the input at `p`; returns how many input bytes it stands for. */
static size_t next_piece(const char *p, size_t left, bool escape_backslash, char piece[8])
{
        size_t n = escape_backslash && *p == '\\' ? 0 : printable_length(p, left);

        if (n == 0) {
                g_snprintf(piece, 8, "\\x%02x", (unsigned char) *p);
                return 1;
        }
        memcpy(piece, p, n);
        piece[n] = '\0';
        return n;
}

char *escape_print(const void *bytes, size_t size)
{
        const char *p = bytes, *end = p + size;
        GString *out = g_string_sized_new(size + 1);
        char piece[8];

        while (p < end) {
                p += next_piece(p, (size_t) (end - p), true, piece);
                g_string_append(out, piece);
        }
        return g_string_free(out, FALSE);
}

static bool reads_as_escape(const char *p, size_t left)
{
        return left >= 4 && p[0] == '\\' && p[1] == 'x' && g_ascii_isxdigit(p[2]) &&
               g_ascii_isxdigit(p[3]);
}

char *escape_undo(const char *text, size_t *ret_size)
{
        const char *p = text, *end = text + strlen(text);
        GString *out = g_string_sized_new((gsize) (end - p) + 1);

        while (p < end) {
                if (reads_as_escape(p, (size_t) (end - p))) {
                        int byte = g_ascii_xdigit_value(p[2]) << 4 | g_ascii_xdigit_value(p[3]);
                        g_string_append_c(out, (char) byte);
                        p += 4;
                } else {
                        g_string_append_c(out, *p++);
                }
        }
        *ret_size = out->len;
        return g_string_free(out, FALSE);
}

char *escape_text(const void *bytes, size_t size)
{
        const char *p = bytes, *end = p + size;
        GString *out = g_string_sized_new(size + 1);
        char piece[8];

        while (p < end) {
                if (*p == '\t') {
                        g_string_append_c(out, *p++);
                        continue;
                }
                size_t left = (size_t) (end - p);
                p += next_piece(p, left, reads_as_escape(p, left), piece);
                g_string_append(out, piece);
        }
        return g_string_free(out, FALSE);
}

bool escape_print_into(char *buffer, size_t capacity, const void *bytes, size_t size)
{
        const char *p = bytes, *end = p + size;
        size_t used = 0;
        char piece[8];

        while (p < end) {
                p += next_piece(p, (size_t) (end - p), false, piece);
                size_t n = strlen(piece);
                if (used + n >= capacity) {
                        buffer[used] = '\0';
                        return false;
                }
                memcpy(buffer + used, piece, n);
                used += n;
        }
        buffer[used] = '\0';
        return true;
}
