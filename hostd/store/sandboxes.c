/* SPDX-License-Identifier: MIT */
#include "store/sql.h"

static const SqlColumn columns[] = {
        SQL_COLUMN(SandboxRow, id),
        SQL_COLUMN(SandboxRow, name),
        SQL_COLUMN(SandboxRow, agent),
        SQL_COLUMN(SandboxRow, owner_uid),
        SQL_COLUMN(SandboxRow, purpose),
        SQL_COLUMN(SandboxRow, state),
        SQL_COLUMN(SandboxRow, reason),
        SQL_COLUMN(SandboxRow, template_id),
        SQL_COLUMN(SandboxRow, head_snapshot_id),
        SQL_COLUMN(SandboxRow, layer),
        SQL_COLUMN(SandboxRow, next_layer),
        SQL_COLUMN(SandboxRow, is_flat),
        SQL_COLUMN(SandboxRow, started_from),
        SQL_COLUMN(SandboxRow, needs_identity),
        SQL_COLUMN(SandboxRow, vcpus),
        SQL_COLUMN(SandboxRow, memory_bytes),
        SQL_COLUMN(SandboxRow, boot_timeout_usec),
        SQL_COLUMN(SandboxRow, idle_timeout_usec),
        SQL_COLUMN(SandboxRow, created_usec),
        SQL_COLUMN(SandboxRow, expires_usec),
        SQL_COLUMN(SandboxRow, paused_usec),
        SQL_COLUMN(SandboxRow, held_usec),
        SQL_COLUMN(SandboxRow, network),
        SQL_COLUMN(SandboxRow, address_number),
        SQL_COLUMN(SandboxRow, ports),
        SQL_COLUMN(SandboxRow, labels),
};

static void free_row(void *row)
{
        (void) sandbox_row_free(row);
}

static const SqlTable table = SQL_TABLE(SandboxRow, "sandboxes", columns, free_row);

SandboxRow *sandbox_row_free(SandboxRow *row)
{
        return sql_row_free(&table, row);
}

int store_put_sandbox(Store *s, const SandboxRow *row, Fault *f)
{
        return sql_put(s, &table, row, f);
}

int store_delete_sandbox(Store *s, const char *id, Fault *f)
{
        return sql_delete(s, &table, id, f);
}

int store_load_sandboxes(Store *s, GPtrArray **ret_rows, Fault *f)
{
        return sql_load(s, &table, ret_rows, f);
}
