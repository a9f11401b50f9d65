/* SPDX-License-Identifier: MIT */
#pragma once

/* JSON as text, for documents that are too large to be built as a tree first. */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text that is valid UTF-8 without control characters already, in quotes. */
void json_text_string(GString *out, const char *text);

/* Any bytes, escaped for printing (base/escape.h), in quotes; or in base64, in quotes. */
void json_text_printable(GString *out, const void *bytes, size_t size);
void json_text_base64(GString *out, const void *bytes, size_t size);

/* "key":value with a comma before it where it is not the first of its object or array. NULL is
 * null. `text` is any bytes up to its NUL. */
void json_text_key(GString *out, const char *key);
void json_text_member(GString *out, const char *key, const char *text);
void json_text_member_uint(GString *out, const char *key, uint64_t value);
void json_text_member_bool(GString *out, const char *key, bool value);

/* A comma where one is needed before the next element or member. */
void json_text_comma(GString *out);
