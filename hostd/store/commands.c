/* SPDX-License-Identifier: MIT */
#include "store/sql.h"

static const SqlColumn columns[] = {
        SQL_COLUMN(CommandRow, id),
        SQL_COLUMN(CommandRow, sandbox_id),
        SQL_COLUMN(CommandRow, argv),
        SQL_COLUMN(CommandRow, state),
        SQL_COLUMN(CommandRow, reason),
        SQL_COLUMN(CommandRow, exit_status),
        SQL_COLUMN(CommandRow, signal),
        SQL_COLUMN(CommandRow, pid),
        SQL_COLUMN(CommandRow, output_max),
        SQL_COLUMN(CommandRow, deadline_usec),
        SQL_COLUMN(CommandRow, stdout_bytes),
        SQL_COLUMN(CommandRow, stderr_bytes),
        SQL_COLUMN(CommandRow, stdout_truncated),
        SQL_COLUMN(CommandRow, stderr_truncated),
        SQL_COLUMN(CommandRow, started_usec),
        SQL_COLUMN(CommandRow, ended_usec),
};

static void free_row(void *row)
{
        (void) command_row_free(row);
}

static const SqlTable table = SQL_TABLE(CommandRow, "commands", columns, free_row);

CommandRow *command_row_free(CommandRow *row)
{
        return sql_row_free(&table, row);
}

int store_put_command(Store *s, const CommandRow *row, Fault *f)
{
        return sql_put(s, &table, row, f);
}

int store_put_command_until_reboot(Store *s, const CommandRow *row, Fault *f)
{
        int r;

        g_assert(!s->in_transaction);
        (void) sqlite3_exec(s->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
        r = store_put_command(s, row, f);
        /* What is promised of all other rows hangs on this. */
        g_assert(sqlite3_exec(s->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL) == SQLITE_OK);
        return r;
}

int store_delete_command(Store *s, const char *id, Fault *f)
{
        return sql_delete(s, &table, id, f);
}

int store_load_commands(Store *s, GPtrArray **ret_rows, Fault *f)
{
        return sql_load(s, &table, ret_rows, f);
}
