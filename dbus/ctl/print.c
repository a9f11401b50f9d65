/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/print.h"

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/quantity.h"
#include "dbus/ctl/pager.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* An escaped byte takes four. */
#define ESCAPED_MAX(size) ((size) *4 + 1)

const char *json_text(Json *object, const char *key)
{
        const char *text = "";

        (void) json_find_string(object, key, &text);
        return text;
}

uint64_t json_number(Json *object, const char *key)
{
        uint64_t number = 0;

        (void) json_find_uint(object, key, &number);
        return number;
}

bool json_truth(Json *object, const char *key)
{
        bool truth = false;

        (void) json_find_bool(object, key, &truth);
        return truth;
}

static bool needs_quotes(const char *word)
{
        if (!*word)
                return true;
        for (const char *p = word; *p; p++)
                if (g_ascii_isspace(*p) || strchr("'\"\\$`&|;<>()*?[]{}#~!", *p))
                        return true;
        return false;
}

char *json_join(Json *array)
{
        GString *out = g_string_new(NULL);

        for (size_t i = 0; array && i < json_object_array_length(array); i++) {
                const char *word = json_object_get_string(json_object_array_get_idx(array, i));
                g_autofree char *quoted = needs_quotes(word) ? g_shell_quote(word) : g_strdup(word);
                g_string_append_printf(out, "%s%s", i > 0 ? " " : "", quoted);
        }
        return g_string_free(out, FALSE);
}

void append_item(GString *out, const char *format, ...)
{
        va_list ap;

        if (out->len > 0)
                g_string_append(out, ", ");
        va_start(ap, format);
        g_string_append_vprintf(out, format, ap);
        va_end(ap);
}

static char *escape_line(const char *text)
{
        size_t size = strlen(text);
        char *line = g_malloc(ESCAPED_MAX(size));

        (void) escape_print_into(line, ESCAPED_MAX(size), text, size);
        return line;
}

void print_field(const char *title, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        g_autofree char *text = g_strdup_vprintf(format, ap);
        va_end(ap);
        g_autofree char *line = escape_line(text);
        if (*line)
                printf("%-12s %s\n", title, line);
}

void print_line(const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        g_autofree char *text = g_strdup_vprintf(format, ap);
        va_end(ap);
        g_autofree char *line = escape_line(text);
        puts(line);
}

/* All that is not printable ASCII stands in strings, where \u means the same. */
static void print_ascii(const char *text, size_t size)
{
        const char *end = text + size;

        for (const char *p = text; p < end;) {
                gunichar c = g_utf8_get_char_validated(p, end - p);
                if (c == (gunichar) -1 || c == (gunichar) -2) {
                        fputs("\\ufffd", stdout);
                        p++;
                        continue;
                }
                p = g_utf8_next_char(p);
                if ((c >= 0x20 && c < 0x7f) || c == '\n' || c == '\t')
                        putchar((int) c);
                else if (c < 0x10000)
                        printf("\\u%04x", c);
                else
                        printf("\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
                               0xdc00 + ((c - 0x10000) & 0x3ff));
        }
}

void print_json_text(const char *text, size_t size)
{
        if (output_is_terminal())
                print_ascii(text, size);
        else
                (void) fwrite(text, 1, size, stdout);
}

void print_json(Json *value)
{
        int flags = JSON_C_TO_STRING_NOSLASHESCAPE;

        if (output_is_terminal())
                flags |= JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED;
        const char *text = json_object_to_json_string_ext(value, flags);
        print_json_text(text, strlen(text));
        putchar('\n');
}

void print_result(const Ctl *ctl, Json *value, const char *format, ...)
{
        g_autoptr(Json) owned = value;
        va_list ap;

        if (ctl->json) {
                print_json(owned);
                return;
        }
        if (ctl->quiet)
                return;
        va_start(ap, format);
        g_autofree char *text = g_strdup_vprintf(format, ap);
        va_end(ap);
        print_line("%s", text);
}

/* One line or part of one, without newline and tab. */
static void write_escaped(FILE *file, const char *bytes, size_t size)
{
        g_autofree char *line = g_malloc(ESCAPED_MAX(size));

        (void) escape_print_into(line, ESCAPED_MAX(size), bytes, size);
        fputs(line, file);
}

/* How many bytes at the end are the beginning of a character that is not complete. */
static size_t count_incomplete(const char *bytes, size_t size)
{
        for (size_t n = 1; n <= 3 && n <= size; n++) {
                unsigned char c = (unsigned char) bytes[size - n];
                if ((c & 0xc0) == 0x80)
                        continue;
                size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
                return length > n ? n : 0;
        }
        return 0;
}

static void write_lines(FILE *file, const char *bytes, size_t size)
{
        const char *end = bytes + size, *begin = bytes;

        for (const char *p = bytes; p < end; p++) {
                if (*p != '\n' && *p != '\t')
                        continue;
                write_escaped(file, begin, (size_t) (p - begin));
                (void) fputc(*p, file);
                begin = p + 1;
        }
        write_escaped(file, begin, (size_t) (end - begin));
}

void stream_write(Stream *s, const char *bytes, size_t size)
{
        if (!s->escape) {
                if (size > 0)
                        (void) fwrite(bytes, 1, size, s->file);
                return;
        }
        if (size == 0) {
                write_escaped(s->file, s->rest, s->n_rest);
                s->n_rest = 0;
                return;
        }
        size_t total = s->n_rest + size;
        g_autofree char *all = g_malloc(total);
        memcpy(all, s->rest, s->n_rest);
        memcpy(all + s->n_rest, bytes, size);
        s->n_rest = count_incomplete(all, total);
        memcpy(s->rest, all + total - s->n_rest, s->n_rest);
        write_lines(s->file, all, total - s->n_rest);
}

char *format_time(uint64_t realtime_usec)
{
        time_t seconds = (time_t) (realtime_usec / USEC_PER_SEC);
        char text[64] = "-";
        struct tm parts;

        if (realtime_usec > 0 && localtime_r(&seconds, &parts))
                (void) strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
        return g_strdup(text);
}

char *format_seconds(uint64_t usec)
{
        return duration_format(usec - usec % USEC_PER_SEC);
}

char *format_age(uint64_t realtime_usec)
{
        uint64_t now = now_realtime_usec();

        return format_seconds(now > realtime_usec ? now - realtime_usec : 0);
}

char *format_expiry(uint64_t realtime_usec, uint64_t from_usec)
{
        uint64_t now = from_usec ? from_usec : now_realtime_usec();

        if (realtime_usec == 0)
                return g_strdup("never");
        if (realtime_usec < now)
                return g_strdup("0s");
        return format_seconds(realtime_usec - now + USEC_PER_SEC / 2);
}

char *format_user(uint32_t uid)
{
        const struct passwd *entry = getpwuid(uid);

        return entry ? g_strdup(entry->pw_name) : g_strdup_printf("%" PRIu32, uid);
}
