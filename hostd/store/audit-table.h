/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files on the table audit know of each other. Nobody else includes it. */

#include "store/sql.h"

extern const SqlTable audit_table;
/* The result column behind those of audit_table, in the queries below. */
enum { AUDIT_HASH_COLUMN = 14 };

/* "SELECT seq, …, hash FROM audit", for audit_read_row(). */
extern const char audit_read_failed[], audit_write_failed[];
char *audit_select(void);

/* The row that the statement stands on; its strings are the statement's. An SQLite result code. */
int audit_read_row(sqlite3_stmt *statement, AuditRow *row);

/* Steps through the statement, which is bound (`rc`: the result of that), and resets it. */
int audit_each_row(Store *s, sqlite3_stmt *statement, int rc, AuditEach each, void *userdata,
                   Fault *f);

/* Where the rows of the table begin: the last one that is in a segment. */
int audit_load_sealed(Store *s, AuditHead *ret, Fault *f);

/* Between which times which rows are: of a new one, and of all when the file was opened. */
void audit_add_time(Store *s, uint64_t seq, uint64_t time_usec);
