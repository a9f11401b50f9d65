/* SPDX-License-Identifier: MIT */
#pragma once

/* Text in the form of deb822(5): stanzas with an empty line between them, each of "Field: value"
 * with lines that go on after a blank. dpkg's status, apt's .sources and extended_states. Nothing
 * is copied; damaged lines are passed over. */

#include "diff/span.h"

/* Takes the next stanza that is not empty off `rest`. */
bool deb822_next_stanza(Span *rest, Span *ret);

/* Takes the next field off a stanza; the value is trimmed and has all lines that belong to it. */
bool deb822_next_field(Span *stanza, Span *ret_name, Span *ret_value);

/* The first field of that name, whatever its case; false if there is none. */
bool deb822_find(Span stanza, const char *name, Span *ret);
