/* SPDX-License-Identifier: MIT */
#pragma once

/* The numbered steps from an empty database to the tables that this program knows.
 *
 * sql/embed makes the table of sql/NNN-*.sql at build time. Forward only: a file once released is
 * never changed; a change of the tables is a new file. */

#include <stddef.h>

typedef struct Migration {
        int number; /* 1, 2, … without a gap; becomes PRAGMA user_version */
        const char *name;
        const char *sql;
} Migration;

extern const Migration migrations[];
extern const size_t migrations_count;
