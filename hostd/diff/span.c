/* SPDX-License-Identifier: MIT */
#include "diff/span.h"

#include <string.h>

Span span_of(const char *text)
{
        return (Span){text, strlen(text)};
}

bool span_equal(Span a, Span b)
{
        return a.size == b.size && (a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0);
}

bool span_is(Span span, const char *text)
{
        return span_equal(span, span_of(text));
}

int span_compare(Span a, Span b)
{
        size_t n = MIN(a.size, b.size);
        int order = n > 0 ? memcmp(a.bytes, b.bytes, n) : 0;

        return order ? order : (a.size > b.size) - (a.size < b.size);
}

bool span_starts_with(Span span, const char *prefix)
{
        size_t n = strlen(prefix);

        return span.size >= n && memcmp(span.bytes, prefix, n) == 0;
}

bool span_ends_with(Span span, const char *suffix)
{
        size_t n = strlen(suffix);

        return span.size >= n && memcmp(span.bytes + span.size - n, suffix, n) == 0;
}

bool span_has(Span span, char c)
{
        return span.size > 0 && memchr(span.bytes, c, span.size);
}

Span span_skip(Span span, size_t n)
{
        n = MIN(n, span.size);
        return n > 0 ? (Span){span.bytes + n, span.size - n} : span;
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r';
}

Span span_trim(Span span)
{
        while (span.size > 0 && is_blank(span.bytes[0]))
                span = span_skip(span, 1);
        while (span.size > 0 && is_blank(span.bytes[span.size - 1]))
                span.size--;
        return span;
}

bool span_next_part(Span *rest, char separator, Span *ret)
{
        const char *end;

        if (!rest->bytes)
                return false;
        end = rest->size > 0 ? memchr(rest->bytes, separator, rest->size) : NULL;
        if (!end) {
                *ret = *rest;
                *rest = (Span){NULL, 0};
                return true;
        }
        *ret = (Span){rest->bytes, (size_t) (end - rest->bytes)};
        *rest = span_skip(*rest, ret->size + 1);
        return true;
}

bool span_next_line(Span *rest, Span *ret)
{
        return rest->size > 0 && span_next_part(rest, '\n', ret);
}

bool span_next_word(Span *rest, Span *ret)
{
        size_t n = 0;

        while (rest->size > 0 && is_blank(rest->bytes[0]))
                *rest = span_skip(*rest, 1);
        while (n < rest->size && !is_blank(rest->bytes[n]))
                n++;
        *ret = (Span){rest->bytes, n};
        *rest = span_skip(*rest, n);
        return n > 0;
}

Span span_unquote(Span span)
{
        if (span.size >= 2 && (span.bytes[0] == '"' || span.bytes[0] == '\'') &&
            span.bytes[span.size - 1] == span.bytes[0])
                return (Span){span.bytes + 1, span.size - 2};
        return span;
}

bool span_to_uint(Span span, uint64_t max, uint64_t *ret)
{
        uint64_t value = 0;

        if (span.size == 0)
                return false;
        for (size_t i = 0; i < span.size; i++) {
                if (!g_ascii_isdigit(span.bytes[i]))
                        return false;
                uint64_t digit = (uint64_t) (span.bytes[i] - '0');
                if (value > (UINT64_MAX - digit) / 10)
                        return false;
                value = value * 10 + digit;
        }
        if (value > max)
                return false;
        *ret = value;
        return true;
}

char *span_dup(Span span)
{
        return g_strndup(span.size > 0 ? span.bytes : "", span.size);
}

Span span_basename(Span path)
{
        size_t n = path.size;

        while (n > 0 && path.bytes[n - 1] != '/')
                n--;
        return span_skip(path, n);
}

Span span_dirname(Span path)
{
        while (path.size > 0 && path.bytes[path.size - 1] != '/')
                path.size--;
        if (path.size > 1)
                path.size--;
        return path;
}

int compare_strings(gconstpointer a, gconstpointer b)
{
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}
