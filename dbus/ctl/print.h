/* SPDX-License-Identifier: MIT */
#pragma once

/* What fluidctl writes on stdout: tables, lines, JSON and the bytes of guests.
 *
 * No string of a guest's, a caller's or an image's reaches a terminal with characters that it acts
 * on: cells and lines are always escaped, JSON is pure ASCII there, and output of commands keeps
 * only printable UTF-8, newline and tab. Colours are for terminals, without NO_COLOR. */

#include "base/json.h"
#include "dbus/ctl/ctl.h"

#include <stdio.h>

/* Members for print: "" and 0 where absent or of another type. The string is borrowed. */
const char *json_text(Json *object, const char *key);
uint64_t json_number(Json *object, const char *key);
bool json_truth(Json *object, const char *key);

/* The strings of an array as one line, quoted as a shell would want them. The caller frees it. */
char *json_join(Json *array);

/* One more of a list in words: behind a ", " where it is not the first. */
void append_item(GString *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Cells are copied and escaped; the last column is not padded. */
typedef struct Table Table;
Table *table_new(const char *first_title, ...) __attribute__((sentinel));
void table_add(Table *t, const char *first_cell, ...) __attribute__((sentinel));
void table_print(const Table *t);
Table *table_free(Table *t);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Table, table_free)

/* One "title: value" of a description; left out where the value is "". */
void print_field(const char *title, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One line of text with what is hostile in it escaped; the backslash stays. */
void print_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A value on one line, or laid out for people on a terminal. */
void print_json(Json *value);

/* JSON text that somebody else wrote, byte for byte, or on a terminal in ASCII. */
void print_json_text(const char *text, size_t size);

/* The result of a verb that has nothing to show but its success: with --json `value`, with --quiet
 * nothing, else the line. Takes `value`. */
void print_result(const Ctl *ctl, Json *value, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* Bytes that come in pieces, to a terminal or elsewhere. A character that is cut by the end of a
 * piece waits for the next; finish with size 0. */
typedef struct Stream {
        FILE *file;
        bool escape; /* set where `file` is a terminal */
        char rest[4];
        size_t n_rest;
} Stream;

void stream_write(Stream *s, const char *bytes, size_t size);

/* Times for people; the caller frees them. */
char *format_time(uint64_t realtime_usec);
char *format_age(uint64_t realtime_usec); /* "3min 2s" */
/* "1h 59min", "never"; from then on, or 0: from now on. */
char *format_expiry(uint64_t realtime_usec, uint64_t from_usec);
char *format_seconds(uint64_t usec); /* whole seconds, as durations */

/* A user's name, or the number where there is none. The caller frees it. */
char *format_user(uint32_t uid);
