/* SPDX-License-Identifier: MIT */
#pragma once

/* SQLite for the files of this folder: statements, rows, steps. Nobody outside includes it.
 *
 * A table file lists its columns once, `SQL_COLUMN(SandboxRow, name)`: the field and the column
 * have one name, the field's type decides how it is bound and read. A new column is one such line
 * and a migration. */

#include "store/store.h"

#include <sqlite3.h>
#include <stddef.h>

struct Store {
        sqlite3 *db;
        char *path;
        GHashTable *statements; /* SQL text → sqlite3_stmt, prepared once */
        bool in_transaction;    /* between store_begin() and store_commit() or store_rollback() */
        bool in_step;           /* between sql_enter() and sql_leave() or sql_abandon() */
        AuditTold told;         /* audit.c: or NULL */
        void *told_userdata;
        AuditBatch *untold;   /* rows of the open transaction */
        GArray *audit_blocks; /* audit-query.c: between which times rows are */
};

/* -- columns and rows ----------------------------------------------------------------------- */

/* Numbers above INT64_MAX are kept as INT64_MAX and come back as UINT64_MAX: without end. */
typedef enum SqlType {
        SQL_BOOL,
        SQL_INT,
        SQL_UINT,
        SQL_INT64,
        SQL_UINT64,
        SQL_ID,           /* empty text is NULL in the database */
        SQL_TEXT,         /* the row owns it; NULL is written as "" */
        SQL_TEXT_OR_NULL, /* the row owns it */
        SQL_TEXT_LENT,    /* valid until the statement's next step; NULL is written as "" */
} SqlType;

typedef struct SqlColumn {
        const char *name;
        SqlType type;
        size_t offset;
} SqlColumn;

#define SQL_COLUMN(Row, field) \
        { \
#field,                                                                                   \
         _Generic(((Row *) NULL)->field,                                                           \
                  bool: SQL_BOOL,                                                                  \
                  int: SQL_INT,                                                                    \
                  unsigned: SQL_UINT,                                                              \
                  int64_t: SQL_INT64,                                                              \
                  uint64_t: SQL_UINT64,                                                            \
                  Id: SQL_ID,                                                                      \
                  char *: SQL_TEXT,                                                                \
                  const char *: SQL_TEXT_LENT),                                                    \
         offsetof(Row, field) \
        }

#define SQL_COLUMN_OR_NULL(Row, field) \
        { \
#field, _Generic(((Row *) NULL)->field, char *: SQL_TEXT_OR_NULL), offsetof(Row, field) \
        }

typedef struct SqlTable {
        const char *name;
        const SqlColumn *columns;
        size_t n_columns;
        size_t row_size;
        GDestroyNotify free_row;
} SqlTable;

#define SQL_TABLE(Row, table_name, table_columns, row_free) \
        { \
                .name = table_name, .columns = table_columns, \
                .n_columns = G_N_ELEMENTS(table_columns), .row_size = sizeof(Row), \
                .free_row = row_free, \
        }

/* The names, comma-separated, each with `prefix` before it: "" for names, ":" for parameters. */
char *sql_column_list(const SqlTable *table, const char *prefix);

/* Binds the row's fields to the parameters from `first` (1-based) on; an SQLite result code. */
int sql_bind_row(sqlite3_stmt *statement, int first, const SqlTable *table, const void *row);

/* Reads the result columns from `first` (0-based) on into a zeroed row; an SQLite result code. What
 * was read is the row's on failure, too. */
int sql_read_row(sqlite3_stmt *statement, int first, const SqlTable *table, void *row);

/* Frees the strings of a row and the row; returns NULL. */
void *sql_row_free(const SqlTable *table, void *row);

/* A row of its own, with strings of its own. */
void *sql_row_copy(const SqlTable *table, const void *row);

/* For tables with a primary key "id". Put inserts or updates in place (what refers to the row
 * stays); load gives the rows in the order in which they were first put. */
int sql_put(Store *s, const SqlTable *table, const void *row, Fault *f);
int sql_delete(Store *s, const SqlTable *table, const char *id, Fault *f);
int sql_load(Store *s, const SqlTable *table, GPtrArray **ret_rows, Fault *f);

/* -- statements ----------------------------------------------------------------------------- */

/* The statement of that text, reset and without bindings; owned by the store. Refused in a
 * transaction that SQLite has rolled back already. */
int sql_prepare(Store *s, const char *sql, sqlite3_stmt **ret, Fault *f);

/* Runs to the end and resets. `what` is for the message: "write table sandboxes". */
int sql_run(Store *s, sqlite3_stmt *statement, const char *what, Fault *f);

/* Runs one statement without parameters. */
int sql_execute(Store *s, const char *sql, const char *what, Fault *f);

/* The single integer that a query without parameters yields. */
int sql_get_int64(Store *s, const char *sql, int64_t *ret, Fault *f);

/* The fault for SQLite's last error, or for the result code `rc` of a call that leaves none behind.
 */
int sql_fail(Store *s, int rc, const char *what, Fault *f);

/* -- steps ---------------------------------------------------------------------------------- */

/* Prepares what undoing takes, so that it needs no memory when there is none. */
int sql_prepare_undo(Store *s, Fault *f);

/* Several statements of one call, together or not at all: a transaction, or a savepoint within the
 * caller's. Not nested. After a failure of any of them: sql_abandon(). */
int sql_enter(Store *s, Fault *f);
int sql_leave(Store *s, Fault *f);
void sql_abandon(Store *s);

/* -- of single files, for store.c and the tests --------------------------------------------- */

/* migrate.c: how many of the migrations the database has, and the missing ones (with a backup,
 * unless there are none yet). A file that is not ours, or newer, is refused. */
int migrate_check(Store *s, int *ret_version, Fault *f);
int migrate(Store *s, int version, Fault *f);

/* audit-query.c: the query for a filter by the index of a condition of its, NULL where it has no
 * such one. */
typedef enum AuditIndex {
        AUDIT_BY_OBJECT,
        AUDIT_BY_SANDBOX,
        AUDIT_BY_KIND,
        AUDIT_BY_AGENT,
        AUDIT_BY_CALLER,
        AUDIT_BY_READER,
        AUDIT_BY_TIME,
        AUDIT_BY_SEQ,
} AuditIndex;
char *audit_query_sql(const AuditFilter *filter, AuditIndex index);
/* The one that the fewest rows meet, as far as a short look tells. */
int audit_choose_index(Store *s, const AuditFilter *filter, AuditIndex *ret, Fault *f);

/* audit-query.c: what a query by time has to know of the rows, once all migrations are there. */
int audit_load_times(Store *s, Fault *f);

/* audit.c: the rows of a transaction that is over are told, or forgotten. */
void sql_tell_audit(Store *s, bool is_committed);
