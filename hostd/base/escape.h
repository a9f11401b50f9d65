/* SPDX-License-Identifier: MIT */
#pragma once

/* Hostile bytes into text that is safe to print, to log, and to send as a D-Bus string.
 *
 * Printable UTF-8 passes. Control characters, DEL, C1 controls, bidirectional and other invisible
 * format characters, bytes that are not UTF-8, and the backslash itself become \xNN, a byte each;
 * so the escaping can be undone and two different inputs never look alike. */

#include <stdbool.h>
#include <stddef.h>

/* A new string; the caller frees it with g_free(). */
char *escape_print(const void *bytes, size_t size);

/* The bytes that such text stands for, with a NUL behind: \xNN, in either case, is a byte; all else
 * stays, also a backslash that a person left alone. The caller frees it with g_free(). */
char *escape_undo(const char *text, size_t *ret_size);

/* Escapes into `buffer` of `capacity` (> 0) bytes and ends it with NUL. Returns false if it was
 * cut; a cut never splits an escape or a character. Messages of our own pass through here: the
 * backslash is left alone. */
bool escape_print_into(char *buffer, size_t capacity, const void *bytes, size_t size);

/* The same for a line of text of somebody else's: tabs pass, and so does a backslash, but for one
 * that would read as \xNN and becomes \x5c. */
char *escape_text(const void *bytes, size_t size);
