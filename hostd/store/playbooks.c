/* SPDX-License-Identifier: MIT */
#include "store/sql.h"

static const SqlColumn columns[] = {
        SQL_COLUMN(PlaybookRow, id),
        SQL_COLUMN(PlaybookRow, name),
        SQL_COLUMN(PlaybookRow, origin),
        SQL_COLUMN(PlaybookRow, sandbox_id),
        SQL_COLUMN(PlaybookRow, sandbox_name),
        SQL_COLUMN(PlaybookRow, agent),
        SQL_COLUMN(PlaybookRow, template_id),
        SQL_COLUMN(PlaybookRow, from_name),
        SQL_COLUMN(PlaybookRow, to_name),
        SQL_COLUMN(PlaybookRow, summary),
        SQL_COLUMN(PlaybookRow, sha256),
        SQL_COLUMN(PlaybookRow, size_bytes),
        SQL_COLUMN(PlaybookRow, document_bytes),
        SQL_COLUMN(PlaybookRow, allows_secrets),
        SQL_COLUMN(PlaybookRow, allows_setuid),
        SQL_COLUMN(PlaybookRow, owner_uid),
        SQL_COLUMN(PlaybookRow, created_usec),
        SQL_COLUMN(PlaybookRow, verified),
        SQL_COLUMN(PlaybookRow, verified_reason),
        SQL_COLUMN(PlaybookRow, verified_usec),
        SQL_COLUMN(PlaybookRow, residual),
};

static void free_row(void *row)
{
        (void) playbook_row_free(row);
}

static const SqlTable table = SQL_TABLE(PlaybookRow, "playbooks", columns, free_row);

PlaybookRow *playbook_row_free(PlaybookRow *row)
{
        return sql_row_free(&table, row);
}

PlaybookRow *playbook_row_copy(const PlaybookRow *row)
{
        return sql_row_copy(&table, row);
}

int store_put_playbook(Store *s, const PlaybookRow *row, Fault *f)
{
        return sql_put(s, &table, row, f);
}

int store_delete_playbook(Store *s, const char *id, Fault *f)
{
        return sql_delete(s, &table, id, f);
}

int store_load_playbooks(Store *s, GPtrArray **ret_rows, Fault *f)
{
        return sql_load(s, &table, ret_rows, f);
}
