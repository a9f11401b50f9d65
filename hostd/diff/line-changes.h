/* SPDX-License-Identifier: MIT */
#pragma once

/* Which lines of a text are new, and which are gone: where each line says something of its own, and
 * their order says little. Of lines that occur several times as many are paired as both texts have.
 */

#include "diff/span.h"

#define LINES_MAX 65536 /* lines of one text that are looked at */

typedef struct LineChange {
        bool added;      /* else removed */
        unsigned number; /* in the text that has it, from 1 */
        Span text;       /* trimmed; borrowed */
} LineChange;

/* Whether a line counts: no comment, nothing empty. */
typedef bool (*LineFilter)(Span line);

/* Removed ones first, then the added, each by number. Either text may be empty; both are borrowed.
 * Lines that end in a backslash are lines of their own. */
GArray *line_changes(Span old, Span new, LineFilter counts);

/* Lines that are not empty, and those that also do not begin with '#'. */
bool line_is_text(Span line);
bool line_is_no_comment(Span line);
