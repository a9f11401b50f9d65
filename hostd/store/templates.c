/* SPDX-License-Identifier: MIT */
#include "store/sql.h"

#include "base/cleanup.h"

static const SqlColumn columns[] = {
        SQL_COLUMN(TemplateRow, id),
        SQL_COLUMN(TemplateRow, name),
        SQL_COLUMN(TemplateRow, state),
        SQL_COLUMN(TemplateRow, source),
        SQL_COLUMN(TemplateRow, sha256),
        SQL_COLUMN(TemplateRow, size_bytes),
        SQL_COLUMN_OR_NULL(TemplateRow, kernel),
        SQL_COLUMN_OR_NULL(TemplateRow, initrd),
        SQL_COLUMN_OR_NULL(TemplateRow, cmdline),
        SQL_COLUMN_OR_NULL(TemplateRow, nvram),
        SQL_COLUMN_OR_NULL(TemplateRow, blueprint),
        SQL_COLUMN(TemplateRow, vcpus),
        SQL_COLUMN(TemplateRow, memory_bytes),
        SQL_COLUMN(TemplateRow, created_usec),
        SQL_COLUMN(TemplateRow, owner_uid),
        SQL_COLUMN(TemplateRow, is_warm),
        SQL_COLUMN(TemplateRow, pool),
};

static void free_row(void *row)
{
        (void) template_row_free(row);
}

static const SqlTable table = SQL_TABLE(TemplateRow, "templates", columns, free_row);

/* After the columns template_id and position. */
static const SqlColumn disk_columns[] = {
        SQL_COLUMN(TemplateDiskRow, target),
        SQL_COLUMN(TemplateDiskRow, path),
        SQL_COLUMN(TemplateDiskRow, format),
        SQL_COLUMN(TemplateDiskRow, virtual_size_bytes),
        SQL_COLUMN(TemplateDiskRow, file_size_bytes),
        SQL_COLUMN(TemplateDiskRow, mtime_nsec),
};

static void free_disk_row(void *row)
{
        (void) template_disk_row_free(row);
}

static const SqlTable disk_table =
        SQL_TABLE(TemplateDiskRow, "template_disks", disk_columns, free_disk_row);

static const char write_disks[] = "write to table template_disks";

TemplateDiskRow *template_disk_row_free(TemplateDiskRow *row)
{
        return sql_row_free(&disk_table, row);
}

TemplateRow *template_row_free(TemplateRow *row)
{
        if (row && row->disks)
                g_ptr_array_unref(row->disks);
        return sql_row_free(&table, row);
}

static int delete_disks(Store *s, const char *id, Fault *f)
{
        sqlite3_stmt *statement;
        int r = sql_prepare(s, "DELETE FROM template_disks WHERE template_id = ?", &statement, f);

        if (r < 0)
                return r;
        int rc = sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
        return rc == SQLITE_OK ? sql_run(s, statement, write_disks, f)
                               : sql_fail(s, rc, write_disks, f);
}

static int insert_disk(Store *s, const char *id, unsigned position, const TemplateDiskRow *disk,
                       Fault *f)
{
        g_autofree char *names = sql_column_list(&disk_table, "");
        g_autofree char *parameters = sql_column_list(&disk_table, ":");
        g_autofree char *sql =
                g_strdup_printf("INSERT INTO template_disks (template_id, position, %s)"
                                " VALUES (?, ?, %s)",
                                names, parameters);
        sqlite3_stmt *statement;

        int r = sql_prepare(s, sql, &statement, f);
        if (r < 0)
                return r;
        int rc = sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
        if (rc == SQLITE_OK)
                rc = sqlite3_bind_int64(statement, 2, position);
        if (rc == SQLITE_OK)
                rc = sql_bind_row(statement, 3, &disk_table, disk);
        return rc == SQLITE_OK ? sql_run(s, statement, write_disks, f)
                               : sql_fail(s, rc, write_disks, f);
}

static int put_with_disks(Store *s, const TemplateRow *row, Fault *f)
{
        int r = sql_put(s, &table, row, f);

        if (r == 0)
                r = delete_disks(s, row->id.text, f);
        for (unsigned i = 0; r == 0 && i < row->disks->len; i++)
                r = insert_disk(s, row->id.text, i, row->disks->pdata[i], f);
        return r;
}

static int load_disks(Store *s, TemplateRow *row, Fault *f)
{
        g_autofree char *names = sql_column_list(&disk_table, "");
        g_autofree char *sql = g_strdup_printf("SELECT %s FROM template_disks WHERE template_id = ?"
                                               " ORDER BY position",
                                               names);
        sqlite3_stmt *statement;

        int r = sql_prepare(s, sql, &statement, f);
        if (r < 0)
                return r;
        int rc = sqlite3_bind_text(statement, 1, row->id.text, -1, SQLITE_STATIC);
        while (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
                TemplateDiskRow *disk = g_new0(TemplateDiskRow, 1);
                g_ptr_array_add(row->disks, disk);
                rc = sql_read_row(statement, 0, &disk_table, disk);
        }
        if (rc != SQLITE_DONE)
                r = sql_fail(s, rc, "read table template_disks", f);
        (void) sqlite3_reset(statement);
        return r;
}

int store_put_template(Store *s, const TemplateRow *row, Fault *f)
{
        int r = sql_enter(s, f);

        if (r < 0)
                return r;
        r = put_with_disks(s, row, f);
        if (r < 0) {
                sql_abandon(s);
                return r;
        }
        return sql_leave(s, f);
}

int store_delete_template(Store *s, const char *id, Fault *f)
{
        return sql_delete(s, &table, id, f);
}

int store_load_templates(Store *s, GPtrArray **ret_rows, Fault *f)
{
        g_autoptr(GPtrArray) rows = NULL;
        int r = sql_load(s, &table, &rows, f);

        for (unsigned i = 0; r == 0 && i < rows->len; i++) {
                TemplateRow *row = rows->pdata[i];
                row->disks = g_ptr_array_new_with_free_func(free_disk_row);
                r = load_disks(s, row, f);
        }
        if (r == 0)
                *ret_rows = TAKE_PTR(rows);
        return r;
}
