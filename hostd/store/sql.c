/* SPDX-License-Identifier: MIT */
#include "store/sql.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

/* -- columns and rows ----------------------------------------------------------------------- */

static int bind_column(sqlite3_stmt *statement, int i, SqlType type, const void *field)
{
        const char *text;

        switch (type) {
        case SQL_BOOL:
                return sqlite3_bind_int(statement, i, *(const bool *) field);
        case SQL_INT:
                return sqlite3_bind_int(statement, i, *(const int *) field);
        case SQL_UINT:
                return sqlite3_bind_int64(statement, i, *(const unsigned *) field);
        case SQL_INT64:
                return sqlite3_bind_int64(statement, i, *(const int64_t *) field);
        case SQL_UINT64:
                return sqlite3_bind_int64(
                        statement, i,
                        (int64_t) MIN(*(const uint64_t *) field, (uint64_t) INT64_MAX));
        case SQL_ID:
                text = ((const Id *) field)->text;
                return *text ? sqlite3_bind_text(statement, i, text, -1, SQLITE_STATIC)
                             : sqlite3_bind_null(statement, i);
        case SQL_TEXT:
        case SQL_TEXT_LENT:
                text = *(const char *const *) field;
                return sqlite3_bind_text(statement, i, text ? text : "", -1, SQLITE_STATIC);
        case SQL_TEXT_OR_NULL:
                return sqlite3_bind_text(statement, i, *(const char *const *) field, -1,
                                         SQLITE_STATIC);
        }
        g_assert_not_reached();
}

int sql_bind_row(sqlite3_stmt *statement, int first, const SqlTable *table, const void *row)
{
        int rc = SQLITE_OK;

        for (size_t i = 0; i < table->n_columns && rc == SQLITE_OK; i++) {
                const SqlColumn *column = &table->columns[i];
                rc = bind_column(statement, first + (int) i, column->type,
                                 (const char *) row + column->offset);
        }
        return rc;
}

/* A NULL in the database is a NULL; a value without text is a lack of memory. */
static int read_text(sqlite3_stmt *statement, int i, const char **ret)
{
        *ret = (const char *) sqlite3_column_text(statement, i);
        return *ret || sqlite3_column_type(statement, i) == SQLITE_NULL ? SQLITE_OK : SQLITE_NOMEM;
}

static int read_column(sqlite3_stmt *statement, int i, SqlType type, void *field)
{
        int64_t number = sqlite3_column_int64(statement, i);
        const char *text = NULL;
        int rc = SQLITE_OK;

        switch (type) {
        case SQL_BOOL:
                *(bool *) field = number != 0;
                break;
        case SQL_INT:
                *(int *) field = (int) number;
                break;
        case SQL_UINT:
                *(unsigned *) field = (unsigned) number;
                break;
        case SQL_INT64:
                *(int64_t *) field = number;
                break;
        case SQL_UINT64:
                *(uint64_t *) field = number == INT64_MAX ? UINT64_MAX : (uint64_t) number;
                break;
        case SQL_ID:
                rc = read_text(statement, i, &text);
                (void) g_strlcpy(((Id *) field)->text, text ? text : "", sizeof(Id));
                break;
        case SQL_TEXT:
        case SQL_TEXT_OR_NULL:
                rc = read_text(statement, i, &text);
                *(char **) field = g_strdup(text);
                break;
        case SQL_TEXT_LENT:
                rc = read_text(statement, i, &text);
                *(const char **) field = text;
                break;
        }
        return rc;
}

int sql_read_row(sqlite3_stmt *statement, int first, const SqlTable *table, void *row)
{
        int rc = SQLITE_OK;

        for (size_t i = 0; i < table->n_columns && rc == SQLITE_OK; i++) {
                const SqlColumn *column = &table->columns[i];
                rc = read_column(statement, first + (int) i, column->type,
                                 (char *) row + column->offset);
        }
        return rc;
}

void *sql_row_free(const SqlTable *table, void *row)
{
        for (size_t i = 0; row && i < table->n_columns; i++) {
                const SqlColumn *column = &table->columns[i];
                if (column->type == SQL_TEXT || column->type == SQL_TEXT_OR_NULL)
                        g_free(*(char **) ((char *) row + column->offset));
        }
        g_free(row);
        return NULL;
}

void *sql_row_copy(const SqlTable *table, const void *row)
{
        void *copy = g_memdup2(row, table->row_size);

        for (size_t i = 0; i < table->n_columns; i++) {
                const SqlColumn *column = &table->columns[i];
                char **text = (char **) ((char *) copy + column->offset);
                if (column->type == SQL_TEXT || column->type == SQL_TEXT_OR_NULL)
                        *text = g_strdup(*text);
        }
        return copy;
}

char *sql_column_list(const SqlTable *table, const char *prefix)
{
        GString *list = g_string_new(NULL);

        for (size_t i = 0; i < table->n_columns; i++)
                g_string_append_printf(list, "%s%s%s", i > 0 ? ", " : "", prefix,
                                       table->columns[i].name);
        return g_string_free(list, FALSE);
}

/* -- statements ----------------------------------------------------------------------------- */

static FaultCode choose_fault(Store *s, int rc)
{
        int error = sqlite3_system_errno(s->db);

        switch (rc) {
        case SQLITE_CONSTRAINT_UNIQUE:
        case SQLITE_CONSTRAINT_PRIMARYKEY:
        case SQLITE_CONSTRAINT_ROWID:
                return FAULT_EXISTS;
        case SQLITE_CONSTRAINT_FOREIGNKEY:
                return FAULT_IN_USE;
        }
        switch (rc & 0xff) {
        case SQLITE_CONSTRAINT:
        case SQLITE_MISMATCH:
        case SQLITE_MISUSE:
        case SQLITE_RANGE:
                return FAULT_INTERNAL;
        case SQLITE_FULL:
                return FAULT_NO_SPACE;
        case SQLITE_NOMEM:
                return FAULT_NO_MEMORY;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return FAULT_BUSY;
        case SQLITE_IOERR:
                return error == ENOSPC || error == EDQUOT ? FAULT_NO_SPACE : FAULT_IO;
        }
        return FAULT_IO;
}

int sql_fail(Store *s, int rc, const char *what, Fault *f)
{
        const char *words =
                sqlite3_extended_errcode(s->db) == rc ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc);
        const char *advice = "";

        switch (rc & 0xff) {
        case SQLITE_NOTADB:
        case SQLITE_CORRUPT:
                advice = ": it is damaged; put a backup in its place, nothing begins it anew";
                break;
        case SQLITE_BUSY:
                advice = ": another process has it open; is a second fluid-hostd running?";
                break;
        }
        return fault_set(f, choose_fault(s, rc), "cannot %s in the database '%s': %s%s", what,
                         s->path, words, advice);
}

/* Between two calls, or within one, SQLite must be in a transaction exactly where we think that it
 * is: else a change would be lost, or be made by itself. */
static int check_transaction(Store *s, Fault *f)
{
        bool expected = s->in_transaction || s->in_step;

        if (!expected && !sqlite3_get_autocommit(s->db))
                sql_abandon(s);
        if (expected == !sqlite3_get_autocommit(s->db))
                return 0;
        return fault_set(f, FAULT_IO,
                         "an earlier failure ended this transaction in the database '%s'", s->path);
}

int sql_prepare(Store *s, const char *sql, sqlite3_stmt **ret, Fault *f)
{
        sqlite3_stmt *statement = g_hash_table_lookup(s->statements, sql);
        int rc, r = check_transaction(s, f);

        if (r < 0)
                return r;
        if (!statement) {
                rc = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement,
                                        NULL);
                if (rc != SQLITE_OK)
                        return sql_fail(s, rc, "prepare a statement", f);
                g_hash_table_insert(s->statements, g_strdup(sql), statement);
        }
        g_assert(!sqlite3_stmt_busy(statement));
        (void) sqlite3_reset(statement);
        (void) sqlite3_clear_bindings(statement);
        *ret = statement;
        return 0;
}

int sql_run(Store *s, sqlite3_stmt *statement, const char *what, Fault *f)
{
        int rc, r = 0;

        do
                rc = sqlite3_step(statement);
        while (rc == SQLITE_ROW);
        if (rc != SQLITE_DONE)
                r = sql_fail(s, rc, what, f);
        (void) sqlite3_reset(statement);
        return r;
}

int sql_execute(Store *s, const char *sql, const char *what, Fault *f)
{
        sqlite3_stmt *statement = NULL;
        int r = sql_prepare(s, sql, &statement, f);

        return r < 0 ? r : sql_run(s, statement, what, f);
}

int sql_get_int64(Store *s, const char *sql, int64_t *ret, Fault *f)
{
        sqlite3_stmt *statement;
        int r = sql_prepare(s, sql, &statement, f);

        if (r < 0)
                return r;
        int rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW)
                *ret = sqlite3_column_int64(statement, 0);
        else
                r = sql_fail(s, rc == SQLITE_DONE ? SQLITE_CORRUPT : rc, "read", f);
        (void) sqlite3_reset(statement);
        return r;
}

/* -- rows by id ----------------------------------------------------------------------------- */

int sql_put(Store *s, const SqlTable *table, const void *row, Fault *f)
{
        g_autofree char *names = sql_column_list(table, "");
        g_autofree char *parameters = sql_column_list(table, ":");
        g_autofree char *excluded = sql_column_list(table, "excluded.");
        g_autofree char *sql = g_strdup_printf("INSERT INTO %s (%s) VALUES (%s)"
                                               " ON CONFLICT (id) DO UPDATE SET (%s) = (%s)",
                                               table->name, names, parameters, names, excluded);
        g_autofree char *what = g_strdup_printf("write to table %s", table->name);
        sqlite3_stmt *statement;

        int r = sql_prepare(s, sql, &statement, f);
        if (r < 0)
                return r;
        int rc = sql_bind_row(statement, 1, table, row);
        if (rc != SQLITE_OK)
                return sql_fail(s, rc, what, f);
        Fault reason = {0};
        r = sql_run(s, statement, what, &reason);
        if (r == fault_to_errno(FAULT_IN_USE))
                return fault_set(f, FAULT_NOT_FOUND, "%s: the row names one that does not exist",
                                 reason.message);
        return r < 0 ? fault_set(f, reason.code, "%s", reason.message) : 0;
}

int sql_delete(Store *s, const SqlTable *table, const char *id, Fault *f)
{
        g_autofree char *sql = g_strdup_printf("DELETE FROM %s WHERE id = ?", table->name);
        g_autofree char *what = g_strdup_printf("delete from table %s", table->name);
        sqlite3_stmt *statement;

        int r = sql_prepare(s, sql, &statement, f);
        if (r < 0)
                return r;
        int rc = sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
        return rc == SQLITE_OK ? sql_run(s, statement, what, f) : sql_fail(s, rc, what, f);
}

int sql_load(Store *s, const SqlTable *table, GPtrArray **ret_rows, Fault *f)
{
        g_autofree char *names = sql_column_list(table, "");
        g_autofree char *sql =
                g_strdup_printf("SELECT %s FROM %s ORDER BY rowid", names, table->name);
        g_autofree char *what = g_strdup_printf("read table %s", table->name);
        g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(table->free_row);
        sqlite3_stmt *statement;
        int rc;

        int r = sql_prepare(s, sql, &statement, f);
        if (r < 0)
                return r;
        while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
                void *row = g_malloc0(table->row_size);
                g_ptr_array_add(rows, row);
                rc = sql_read_row(statement, 0, table, row);
                if (rc != SQLITE_OK)
                        break;
        }
        if (rc != SQLITE_DONE)
                r = sql_fail(s, rc, what, f);
        (void) sqlite3_reset(statement);
        if (r == 0)
                *ret_rows = TAKE_PTR(rows);
        return r;
}

/* -- steps ---------------------------------------------------------------------------------- */

static const char undo_all[] = "ROLLBACK";
static const char undo_step[] = "ROLLBACK TO step";
static const char end_step[] = "RELEASE step";

int sql_prepare_undo(Store *s, Fault *f)
{
        const char *const undos[] = {undo_all, undo_step, end_step};
        sqlite3_stmt *statement;
        int r = 0;

        for (size_t i = 0; r == 0 && i < G_N_ELEMENTS(undos); i++)
                r = sql_prepare(s, undos[i], &statement, f);
        return r;
}

static int undo(Store *s, const char *sql)
{
        sqlite3_stmt *statement = g_hash_table_lookup(s->statements, sql);

        if (!statement)
                return sqlite3_exec(s->db, sql, NULL, NULL, NULL);
        (void) sqlite3_step(statement);
        return sqlite3_reset(statement);
}

int sql_enter(Store *s, Fault *f)
{
        const char *sql = s->in_transaction ? "SAVEPOINT step" : "BEGIN IMMEDIATE";

        g_assert(!s->in_step);
        int r = sql_execute(s, sql, "begin", f);
        s->in_step = r == 0;
        return r;
}

int sql_leave(Store *s, Fault *f)
{
        int r = sql_execute(s, s->in_transaction ? end_step : "COMMIT", "commit", f);

        if (r < 0)
                sql_abandon(s);
        s->in_step = false;
        return r;
}

/* SQLite undoes some transactions by itself (full, out of memory); then there is nothing left to
 * do. Where only the step cannot be undone, all is. */
void sql_abandon(Store *s)
{
        bool only_step = s->in_step && s->in_transaction;

        s->in_step = false;
        if (sqlite3_get_autocommit(s->db))
                return;
        if (!only_step || undo(s, undo_step) != SQLITE_OK || undo(s, end_step) != SQLITE_OK)
                (void) undo(s, undo_all);
}
