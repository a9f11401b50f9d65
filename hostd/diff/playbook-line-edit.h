/* SPDX-License-Identifier: MIT */
#pragma once

/* A small change of a text file as Ansible's lineinfile would make it.
 *
 * An administrator who changed two lines of a configuration file does not want to replace all of
 * it on other machines. But only what is proven is said that way: line_edits_find() applies the
 * edits that it found by the rules of the module (ansible-core 2.14) and holds the result against
 * the newer text, and applies them again to see that nothing changes any more. */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#define LINE_EDITS_MAX 4

typedef enum LineEditKind {
        LINE_REPLACED, /* the one line that is `old` becomes `line` */
        LINE_ADDED,    /* `line` comes after the one that is `old`; at the beginning where NULL */
        LINE_REMOVED,  /* the one line that is `old` goes */
} LineEditKind;

typedef struct LineEdit {
        LineEditKind kind;
        char *old, *line; /* UTF-8, no line's end; NULL where there is none */
} LineEdit;

/* At most LINE_EDITS_MAX edits that make `new` of `old`, in this order; NULL where there are no
 * such. g_ptr_array_unref() it. */
GPtrArray *line_edits_find(const char *old, size_t old_size, const char *new, size_t new_size);

/* A regular expression of Python's that matches a line which is exactly this. g_free() it. */
char *line_edit_pattern(const char *line);
