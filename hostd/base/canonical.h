/* SPDX-License-Identifier: MIT */
#pragma once

/* The one way to write a JSON value, so that its hash says what it is.
 *
 * As in RFC 8785, of which this is a part: UTF-8 without whitespace between the parts; members of
 * an object sorted by the bytes of their names, each name once; in strings only `"` and `\` are
 * escaped, with a backslash, and what is below U+0020, as \b \t \n \f \r or \u00xx in lower case.
 * Numbers are whole, from -2^63 to 2^64-1, in decimal. No string has a NUL. */

#include "base/json.h"

#define CANONICAL_DEPTH_MAX 8

/* FAULT_INVALID_ARGUMENT for a number with a fraction, a NUL, or what is deeper. The caller frees
 * the text. */
int canonical_format(Json *value, char **ret, Fault *f);

/* FAULT_INVALID_ARGUMENT for whatever canonical_format() does not write, byte for byte. */
int canonical_parse(const char *bytes, size_t size, Json **ret, Fault *f);
