/* SPDX-License-Identifier: MIT */
#pragma once

/* A table of an SQLite database, read row by row: what is needed for rpm's, and no more. Nothing is
 * executed, no index is used, and no more than a page is in memory besides the row that is asked
 * for. Format: https://www.sqlite.org/fileformat2.html. A write-ahead log is honoured up to its
 * last commit.
 *
 * A bounded reader of hostile bytes: circles of pages end in FAULT_DIFF_FAILED. */

#include "base/fault.h"

#include <glib.h>
#include <stdint.h>

/* Exactly `size` bytes at `offset`, or a negative errno. Ranges are within the size that was given.
 */
typedef int (*SqliteRead)(void *data, uint64_t offset, void *buffer, size_t size);

typedef struct SqliteSource {
        SqliteRead read;
        void *data;
        uint64_t size; /* bytes; 0: there is none */
} SqliteSource;

typedef struct SqliteFile SqliteFile;

/* `log` is the file with -wal behind its name. FAULT_DIFF_FAILED where it is no such database. */
int sqlite_file_open(SqliteSource database, SqliteSource log, SqliteFile **ret, Fault *f);
SqliteFile *sqlite_file_free(SqliteFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SqliteFile, sqlite_file_free)

typedef struct SqliteRow {
        int64_t id;
        uint64_t size;        /* of the record */
        const uint8_t *local; /* its first bytes */
        size_t local_size;
        uint32_t overflow; /* the page that has the rest; 0: there is none */
} SqliteRow;

/* Where a table begins; FAULT_NOT_FOUND. */
int sqlite_file_find_table(SqliteFile *file, const char *name, uint32_t *ret_root, Fault *f);

/* Calls `each` for all rows, by id, until it returns something else than 0: then that is returned.
 */
typedef int (*SqliteEach)(SqliteFile *file, const SqliteRow *row, void *data, Fault *f);
int sqlite_file_foreach(SqliteFile *file, uint32_t root, SqliteEach each, void *data, Fault *f);

/* All of a row's record, at most `max` bytes; g_free() it. */
int sqlite_file_read_row(SqliteFile *file, const SqliteRow *row, size_t max, uint8_t **ret,
                         Fault *f);

/* A column of a record: of text or a blob where its bytes are, of an integer its value. False where
 * the record has no such column, or another kind of value. */
bool sqlite_record_bytes(const uint8_t *record, size_t size, unsigned column, const uint8_t **ret,
                         size_t *ret_size);
bool sqlite_record_integer(const uint8_t *record, size_t size, unsigned column, int64_t *ret);
