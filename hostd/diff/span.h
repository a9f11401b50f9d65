/* SPDX-License-Identifier: MIT */
#pragma once

/* A run of bytes that somebody else keeps: how the parsers of a guest's files see text. It may hold
 * any byte, NUL too, and copies nothing. */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Span {
        const char *bytes;
        size_t size;
} Span;

Span span_of(const char *text);
bool span_is(Span span, const char *text);
bool span_equal(Span a, Span b);
int span_compare(Span a, Span b); /* by bytes; a prefix is smaller */
bool span_starts_with(Span span, const char *prefix);
bool span_ends_with(Span span, const char *suffix);
bool span_has(Span span, char c);

/* Without the first `n` bytes; empty where there are no more. */
Span span_skip(Span span, size_t n);

/* Without blanks (space, tab, CR) around it. */
Span span_trim(Span span);

/* Takes the next line off, without its newline; the next word between blanks; or what is before the
 * next `separator`. False at the end. */
bool span_next_line(Span *rest, Span *ret);
bool span_next_word(Span *rest, Span *ret);
bool span_next_part(Span *rest, char separator, Span *ret);

/* Without a pair of equal quotes (' or ") around it. */
Span span_unquote(Span span);

/* Decimal digits only, at most `max`. */
bool span_to_uint(Span span, uint64_t max, uint64_t *ret);

/* A copy, cut at the first NUL. */
char *span_dup(Span span);

/* What is behind the last '/'; and what is before it. */
Span span_basename(Span path);
Span span_dirname(Span path);

/* By their bytes, for g_ptr_array_sort(): of NUL-terminated strings. */
int compare_strings(gconstpointer a, gconstpointer b);
