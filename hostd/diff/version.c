/* SPDX-License-Identifier: MIT */
#include "diff/version.h"

#include <string.h>

static char first(Span span)
{
        return span.size > 0 ? span.bytes[0] : '\0';
}

/* The digits at the beginning, without zeros before them. */
static Span take_number(Span *rest)
{
        Span number = *rest;

        while (g_ascii_isdigit(first(*rest)))
                *rest = span_skip(*rest, 1);
        number.size -= rest->size;
        while (number.size > 0 && number.bytes[0] == '0')
                number = span_skip(number, 1);
        return number;
}

static int compare_numbers(Span a, Span b)
{
        if (a.size != b.size)
                return a.size < b.size ? -1 : 1;
        return span_compare(a, b);
}

/* '~' is before the end, the end (a digit ends it, too) before letters, these before all else. */
static int weight(char c)
{
        if (c == '~')
                return -1;
        if (c == '\0' || g_ascii_isdigit(c))
                return 0;
        return g_ascii_isalpha(c) ? (unsigned char) c : (unsigned char) c + 256;
}

static int compare_debian_part(Span a, Span b)
{
        while (a.size > 0 || b.size > 0) {
                while ((a.size > 0 && !g_ascii_isdigit(first(a))) ||
                       (b.size > 0 && !g_ascii_isdigit(first(b)))) {
                        int order = weight(first(a)) - weight(first(b));

                        if (order)
                                return order;
                        a = span_skip(a, 1);
                        b = span_skip(b, 1);
                }
                Span x = take_number(&a), y = take_number(&b);
                int order = compare_numbers(x, y);
                if (order)
                        return order;
        }
        return 0;
}

typedef struct Parts {
        Span epoch, version, release;
        bool has_release;
} Parts;

static Parts split(Span text)
{
        Parts parts = {.epoch = {"", 0}, .version = text};
        const char *colon = text.size > 0 ? memchr(text.bytes, ':', text.size) : NULL;

        if (colon) {
                size_t n = (size_t) (colon - text.bytes);

                parts.epoch = (Span){text.bytes, n};
                parts.epoch = take_number(&parts.epoch);
                parts.version = span_skip(text, n + 1);
        }
        for (size_t i = parts.version.size; i > 0; i--)
                if (parts.version.bytes[i - 1] == '-') {
                        parts.release = span_skip(parts.version, i);
                        parts.version.size = i - 1;
                        parts.has_release = true;
                        break;
                }
        return parts;
}

int version_compare_dpkg(Span a, Span b)
{
        Parts x = split(a), y = split(b);
        int order = compare_numbers(x.epoch, y.epoch);

        if (order == 0)
                order = compare_debian_part(x.version, y.version);
        return order ? order : compare_debian_part(x.release, y.release);
}

static Span skip_separators(Span span)
{
        while (span.size > 0 && !g_ascii_isalnum(first(span)) && first(span) != '~' &&
               first(span) != '^')
                span = span_skip(span, 1);
        return span;
}

static Span take_letters(Span *rest)
{
        Span letters = *rest;

        while (g_ascii_isalpha(first(*rest)))
                *rest = span_skip(*rest, 1);
        letters.size -= rest->size;
        return letters;
}

/* What both begin with, if it is one of the two marks: '~' is before the end, '^' behind it but
 * before any other segment. False where neither has one. */
static bool compare_marks(Span *a, Span *b, int *ret)
{
        char x = first(*a), y = first(*b);

        if (x == '~' || y == '~') {
                *ret = x == y ? 0 : x == '~' ? -1 : 1;
        } else if (x == '^' || y == '^') {
                if (a->size == 0 || b->size == 0)
                        *ret = a->size == 0 ? -1 : 1;
                else
                        *ret = x == y ? 0 : x == '^' ? -1 : 1;
        } else {
                return false;
        }
        *a = span_skip(*a, 1);
        *b = span_skip(*b, 1);
        return true;
}

/* Segments of digits are newer than those of letters. */
static int compare_segments(Span *a, Span *b)
{
        if (g_ascii_isdigit(first(*a)) != g_ascii_isdigit(first(*b)))
                return g_ascii_isdigit(first(*a)) ? 1 : -1;
        if (g_ascii_isdigit(first(*a))) {
                Span x = take_number(a), y = take_number(b);

                return compare_numbers(x, y);
        }
        Span x = take_letters(a), y = take_letters(b);
        return span_compare(x, y);
}

static int compare_rpm_part(Span a, Span b)
{
        int order = 0;

        while (order == 0) {
                a = skip_separators(a);
                b = skip_separators(b);
                if (compare_marks(&a, &b, &order))
                        continue;
                if (a.size == 0 || b.size == 0)
                        return (a.size > 0) - (b.size > 0);
                order = compare_segments(&a, &b);
        }
        return order;
}

int version_compare_rpm(Span a, Span b)
{
        Parts x = split(a), y = split(b);
        int order = compare_numbers(x.epoch, y.epoch);

        if (order == 0)
                order = compare_rpm_part(x.version, y.version);
        if (order == 0 && x.has_release && y.has_release)
                order = compare_rpm_part(x.release, y.release);
        return order;
}
