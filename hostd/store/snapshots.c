/* SPDX-License-Identifier: MIT */
#include "store/sql.h"

static const SqlColumn columns[] = {
        SQL_COLUMN(SnapshotRow, id),
        SQL_COLUMN(SnapshotRow, sandbox_id),
        SQL_COLUMN_OR_NULL(SnapshotRow, name),
        SQL_COLUMN(SnapshotRow, parent_id),
        SQL_COLUMN(SnapshotRow, layer),
        SQL_COLUMN(SnapshotRow, state),
        SQL_COLUMN(SnapshotRow, consistency),
        SQL_COLUMN(SnapshotRow, reason),
        SQL_COLUMN(SnapshotRow, size_bytes),
        SQL_COLUMN(SnapshotRow, created_usec),
        SQL_COLUMN_OR_NULL(SnapshotRow, memory_abi),
        SQL_COLUMN(SnapshotRow, memory_bytes),
        SQL_COLUMN(SnapshotRow, is_flat),
};

static void free_row(void *row)
{
        (void) snapshot_row_free(row);
}

static const SqlTable table = SQL_TABLE(SnapshotRow, "snapshots", columns, free_row);

SnapshotRow *snapshot_row_free(SnapshotRow *row)
{
        return sql_row_free(&table, row);
}

int store_put_snapshot(Store *s, const SnapshotRow *row, Fault *f)
{
        return sql_put(s, &table, row, f);
}

int store_delete_snapshot(Store *s, const char *id, Fault *f)
{
        return sql_delete(s, &table, id, f);
}

int store_load_snapshots(Store *s, GPtrArray **ret_rows, Fault *f)
{
        return sql_load(s, &table, ret_rows, f);
}
