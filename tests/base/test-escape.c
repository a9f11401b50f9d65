/* SPDX-License-Identifier: MIT */
#include "base/escape.h"
#include "tests/tap.h"

#include <glib.h>

typedef struct Case {
        const char *bytes;
        size_t size;
        const char *escaped, *what;
} Case;

#define C(bytes, escaped, what) \
        { \
                bytes, sizeof(bytes) - 1, escaped, what \
        }

static const Case cases[] = {
        C("", "", "nothing"),
        C("plain text, 1 + 1", "plain text, 1 + 1", "plain text"),
        C("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
          "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", "printable UTF-8"),
        C("\x1b[2J", "\\x1b[2J", "ESC"),
        C("a\0b",
          "a\\x00"
          "b",
          "NUL"),
        C("\n\r\t\v\a\b", "\\x0a\\x0d\\x09\\x0b\\x07\\x08", "C0 controls"),
        C("\x7f", "\\x7f", "DEL"),
        C("\xc2\x9b"
          "31m",
          "\\xc2\\x9b31m", "CSI as one C1 character"),
        C("\xc2\x80\xc2\x9f", "\\xc2\\x80\\xc2\\x9f", "the first and last C1 control"),
        C("\x9b"
          "31m",
          "\\x9b31m", "CSI as a raw byte"),
        C("\xe2\x80\xae"
          "txt.exe",
          "\\xe2\\x80\\xaetxt.exe", "a right-to-left override"),
        C("\xe2\x81\xa6\xe2\x81\xa9", "\\xe2\\x81\\xa6\\xe2\\x81\\xa9", "bidirectional isolates"),
        C("\xd8\x9c", "\\xd8\\x9c", "the Arabic letter mark"),
        C("\xe2\x80\x8b\xe2\x80\x8d", "\\xe2\\x80\\x8b\\xe2\\x80\\x8d", "zero-width characters"),
        C("\xc2\xad", "\\xc2\\xad", "a soft hyphen"),
        C("\xef\xbb\xbf", "\\xef\\xbb\\xbf", "a byte order mark"),
        C("\xf3\xa0\x81\x81", "\\xf3\\xa0\\x81\\x81", "a tag character"),
        C("\xe2\x80\xa8\xe2\x80\xa9", "\\xe2\\x80\\xa8\\xe2\\x80\\xa9",
          "line and paragraph separators"),
        C("\xee\x80\x80", "\\xee\\x80\\x80", "private use"),
        C("\xef\xbf\xbe", "\\xef\\xbf\\xbe", "a noncharacter"),
        C("\xff\xfe", "\\xff\\xfe", "bytes that never occur in UTF-8"),
        C("\xc0\xaf", "\\xc0\\xaf", "an overlong slash"),
        C("\xed\xa0\x80", "\\xed\\xa0\\x80", "a surrogate"),
        C("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "a code point beyond the last"),
        C("\xe2\x82", "\\xe2\\x82", "a character that is cut short"),
        C("\xe2\x82"
          "A",
          "\\xe2\\x82"
          "A",
          "one that is broken off by a letter"),
        C("a\xef\xb8\x8f", "a\\xef\\xb8\\x8f", "a variation selector"),
        C("a\xf3\xa0\x84\x80", "a\\xf3\\xa0\\x84\\x80", "one of the supplement"),
        C("\xe3\x85\xa4", "\\xe3\\x85\\xa4", "a Hangul filler"),
        C("\xcd\x8f", "\\xcd\\x8f", "a grapheme joiner"),
        C("\xe2\xa0\x80", "\\xe2\\xa0\\x80", "a blank Braille pattern"),
        C("a\xc2\xa0"
          "b",
          "a\\xc2\\xa0"
          "b",
          "a space that is not that of ASCII"),
        C("\xe3\x80\x80", "\\xe3\\x80\\x80", "an ideographic space"),
        C("e\xcc\x81", "e\xcc\x81", "a combining accent, which can be seen,"),
        C("\\", "\\x5c", "a backslash"),
        C("\\x1b", "\\x5cx1b", "what looks like an escape already"),
};

static void test_table(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *escaped = escape_print(cases[i].bytes, cases[i].size);

                tap_is_str(escaped, cases[i].escaped, "%s becomes what can be printed",
                           cases[i].what);
        }
}

static char *undo(const char *escaped, size_t *ret_size)
{
        GString *bytes = g_string_new(NULL);

        for (const char *p = escaped; *p;) {
                if (*p == '\\') {
                        char digits[3] = {p[2], p[3], '\0'};

                        g_string_append_c(bytes, (char) strtol(digits, NULL, 16));
                        p += 4;
                } else {
                        g_string_append_c(bytes, *p++);
                }
        }
        *ret_size = bytes->len;
        return g_string_free(bytes, FALSE);
}

static bool is_undone(const char *bytes, size_t size)
{
        g_autofree char *escaped = escape_print(bytes, size);
        g_autofree char *again = undo(escaped, &(size_t){0});
        size_t n;

        g_free(g_steal_pointer(&again));
        again = undo(escaped, &n);
        if (n != size || memcmp(again, bytes, n) != 0)
                return false;
        g_free(again);
        again = escape_undo(escaped, &n);
        return n == size && memcmp(again, bytes, n) == 0 && again[n] == '\0' &&
               g_utf8_validate(escaped, -1, NULL);
}

static void test_typed(void)
{
        static const char typed[] = "/a\\b\\x\\xg0\\xfF\\x5cx41\\x4";
        size_t size;
        g_autofree char *bytes = escape_undo(typed, &size);

        tap_is_str(bytes, "/a\\b\\x\\xg0\xff\\x41\\x4", "a backslash that is no escape stays");
        tap_is_int(size, strlen(bytes), "with its size");
}

/* What can be undone maps no two inputs onto one text. */
static void test_undo(void)
{
        bool all_cases = true, all_pairs = true, all_random = true;
        GRand *random = g_rand_new_with_seed(7);

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                all_cases &= is_undone(cases[i].bytes, cases[i].size);
        for (unsigned i = 0; i < 65536; i++)
                all_pairs &= is_undone((char[]){(char) (i >> 8), (char) i}, 2);
        for (unsigned i = 0; i < 5000; i++) {
                char bytes[16];

                for (size_t j = 0; j < sizeof bytes; j++)
                        bytes[j] = "\\x1b0\xe2\x80\xae\xc2\x9b\xf0\x9f\x98\x80"[g_rand_int_range(
                                random, 0, 14)];
                all_random &= is_undone(bytes, sizeof bytes);
        }
        g_rand_free(random);
        tap_ok(all_cases, "every escaping of the table can be undone");
        tap_ok(all_pairs, "so can that of every two bytes");
        tap_ok(all_random, "and that of mixtures of escapes and parts of characters");
}

static void test_into(void)
{
        static const struct {
                const char *given;
                size_t capacity;
                bool is_whole;
                const char *kept, *what;
        } table[] = {
                {"abc", 4, true, "abc", "what just fits is kept"},
                {"abc", 3, false, "ab", "what does not is cut"},
                {"abc", 1, false, "", "there may be room for nothing"},
                {"", 1, true, "", "nothing always fits"},
                {"a\x1b", 6, true, "a\\x1b", "an escape that just fits is kept"},
                {"a\x1b", 5, false, "a", "one that does not is left out as a whole"},
                {"a\xe2\x82\xac", 5, true, "a\xe2\x82\xac", "a character that just fits is kept"},
                {"a\xe2\x82\xac", 4, false, "a", "one that does not is left out as a whole"},
                {"a\\x1b", 9, true, "a\\x1b", "a backslash of our own is left alone"},
                {"\xc2\x9b", 16, true, "\\xc2\\x9b", "a C1 control is escaped here, too"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                char buffer[32];

                memset(buffer, '#', sizeof buffer);
                bool is_whole = escape_print_into(buffer, table[i].capacity, table[i].given,
                                                  strlen(table[i].given));
                tap_ok(is_whole == table[i].is_whole &&
                               buffer[MIN(table[i].capacity, sizeof buffer - 1)] == '#',
                       "%s, and it says so", table[i].what);
                tap_is_str(buffer, table[i].kept, "the text is right");
        }
}

static const Case lines[] = {
        C("\tif a\\.b", "\tif a\\.b", "a tab, and a backslash"),
        C("\\x1b", "\\x5cx1b", "a backslash that would read as an escape"),
        C("\\X1b \\x1 \\xg0", "\\X1b \\x1 \\xg0", "one that would not"),
        C("\x1b[2J\r\n", "\\x1b[2J\\x0d\\x0a", "every other control"),
        C("\\\x1b", "\\\\x1b", "a backslash before an escape"),
        C("\\x\xff", "\\x\\xff", "half of what reads as one"),
        C("\xe2\x80\xae", "\\xe2\\x80\\xae", "a right-to-left override in a line"),
};

static bool is_hex(const char *p)
{
        return g_ascii_isxdigit(p[0]) && g_ascii_isxdigit(p[1]);
}

static bool line_is_undone(const char *bytes, size_t size)
{
        g_autofree char *escaped = escape_text(bytes, size);
        g_autoptr(GString) again = g_string_new(NULL);

        for (const char *p = escaped; *p;) {
                if (p[0] == '\\' && p[1] == 'x' && is_hex(p + 2)) {
                        char digits[3] = {p[2], p[3], '\0'};

                        g_string_append_c(again, (char) strtol(digits, NULL, 16));
                        p += 4;
                } else {
                        g_string_append_c(again, *p++);
                }
        }
        return again->len == size && memcmp(again->str, bytes, size) == 0 &&
               g_utf8_validate(escaped, -1, NULL);
}

static void test_lines(void)
{
        GRand *random = g_rand_new_with_seed(8);
        bool all_random = true;

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                g_autofree char *escaped = escape_text(lines[i].bytes, lines[i].size);

                tap_is_str(escaped, lines[i].escaped, "%s is right in a line", lines[i].what);
        }
        for (unsigned i = 0; i < 20000; i++) {
                char bytes[12];

                for (size_t j = 0; j < sizeof bytes; j++)
                        bytes[j] = "\\\\xx1b\x1b\tz\xe2\x80\xae"[g_rand_int_range(random, 0, 12)];
                all_random &= line_is_undone(bytes, sizeof bytes);
        }
        g_rand_free(random);
        tap_ok(all_random, "and the escaping of lines can be undone, too");
}

int main(void)
{
        test_lines();
        test_table();
        test_undo();
        test_typed();
        test_into();
        return tap_done();
}
