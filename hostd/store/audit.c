/* SPDX-License-Identifier: MIT */
#include "store/audit-table.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <string.h>

/* What the hash covers, in its order. */
static const SqlColumn columns[] = {
        SQL_COLUMN(AuditRow, seq),          SQL_COLUMN(AuditRow, time_usec),
        SQL_COLUMN(AuditRow, caller_uid),   SQL_COLUMN(AuditRow, caller),
        SQL_COLUMN(AuditRow, kind),         SQL_COLUMN(AuditRow, phase),
        SQL_COLUMN(AuditRow, object),       SQL_COLUMN(AuditRow, detail),
        SQL_COLUMN(AuditRow, error),        SQL_COLUMN(AuditRow, sandbox_id),
        SQL_COLUMN(AuditRow, sandbox_name), SQL_COLUMN(AuditRow, agent),
        SQL_COLUMN(AuditRow, owner_uid),    SQL_COLUMN(AuditRow, begin_seq),
};
G_STATIC_ASSERT(G_N_ELEMENTS(columns) == AUDIT_HASH_COLUMN);

const SqlTable audit_table = SQL_TABLE(AuditRow, "audit", columns, NULL);

const char audit_read_failed[] = "read table audit";
const char audit_write_failed[] = "write to table audit";

/* -- the chain ------------------------------------------------------------------------------ */

int store_load_audit_head(Store *s, AuditHead *ret, Fault *f)
{
        sqlite3_stmt *statement;
        int r = sql_prepare(s, "SELECT audit_seq, audit_hash FROM meta", &statement, f);

        if (r < 0)
                return r;
        int rc = sqlite3_step(statement);
        const char *hash =
                rc == SQLITE_ROW ? (const char *) sqlite3_column_text(statement, 1) : NULL;
        int64_t seq = hash ? sqlite3_column_int64(statement, 0) : -1;
        if (seq >= 0 && sqlite3_column_bytes(statement, 1) == SHA256_HEX_SIZE - 1) {
                ret->seq = (uint64_t) seq;
                (void) g_strlcpy(ret->hash, hash, sizeof ret->hash);
        } else {
                r = rc == SQLITE_DONE || hash
                            ? fault_set(f, FAULT_IO,
                                        "the head of the audit trail in the database '%s' "
                                        "(table meta) is damaged",
                                        s->path)
                            : sql_fail(s, rc == SQLITE_ROW ? SQLITE_NOMEM : rc, "read table meta",
                                       f);
        }
        (void) sqlite3_reset(statement);
        return r;
}

static int save_head(Store *s, const AuditRow *row, Fault *f)
{
        sqlite3_stmt *statement;
        int r = sql_prepare(s, "UPDATE meta SET audit_seq = ?, audit_hash = ?", &statement, f);

        if (r < 0)
                return r;
        int rc = sqlite3_bind_int64(statement, 1, (int64_t) row->seq);
        if (rc == SQLITE_OK)
                rc = sqlite3_bind_text(statement, 2, row->hash, -1, SQLITE_STATIC);
        return rc == SQLITE_OK ? sql_run(s, statement, "write to table meta", f)
                               : sql_fail(s, rc, "write to table meta", f);
}

/* -- appending ------------------------------------------------------------------------------ */

static int insert_row(Store *s, const AuditRow *row, Fault *f)
{
        g_autofree char *names = sql_column_list(&audit_table, "");
        g_autofree char *parameters = sql_column_list(&audit_table, ":");
        g_autofree char *sql = g_strdup_printf("INSERT INTO audit (%s, hash) VALUES (%s, :hash)",
                                               names, parameters);
        sqlite3_stmt *statement;

        int r = sql_prepare(s, sql, &statement, f);
        if (r < 0)
                return r;
        int rc = sql_bind_row(statement, 1, &audit_table, row);
        if (rc == SQLITE_OK)
                rc = sqlite3_bind_text(statement, AUDIT_HASH_COLUMN + 1, row->hash, -1,
                                       SQLITE_STATIC);
        return rc == SQLITE_OK ? sql_run(s, statement, audit_write_failed, f)
                               : sql_fail(s, rc, audit_write_failed, f);
}

static int change_open(Store *s, const char *sql, uint64_t seq, Fault *f)
{
        static const char what[] = "write to table audit_open";
        sqlite3_stmt *statement;
        int r = sql_prepare(s, sql, &statement, f);

        if (r < 0)
                return r;
        int rc = sqlite3_bind_int64(statement, 1, (int64_t) seq);
        return rc == SQLITE_OK ? sql_run(s, statement, what, f) : sql_fail(s, rc, what, f);
}

/* A row that somebody added behind the head does not keep us from writing; verifying finds it. */
static int append_after_head(Store *s, AuditRow *row, Fault *f)
{
        AuditHead head = {.seq = 0};
        int64_t last = 0;

        int r = store_load_audit_head(s, &head, f);
        if (r == 0)
                r = sql_get_int64(s, "SELECT max(seq) FROM audit", &last, f);
        if (r < 0)
                return r;
        row->seq = MAX(head.seq, (uint64_t) MAX(last, 0)) + 1;
        audit_hash(row, head.hash, row->hash);
        r = insert_row(s, row, f);
        if (r == 0 && g_strcmp0(row->phase, "begin") == 0)
                r = change_open(s, "INSERT INTO audit_open (seq) VALUES (?)", row->seq, f);
        if (r == 0 && row->begin_seq > 0)
                r = change_open(s, "DELETE FROM audit_open WHERE seq = ?", row->begin_seq, f);
        return r < 0 ? r : save_head(s, row, f);
}

int store_append_audit(Store *s, AuditRow *row, Fault *f)
{
        AuditRow appended = *row;

        int r = sql_enter(s, f);
        if (r < 0)
                return r;
        r = append_after_head(s, &appended, f);
        if (r < 0)
                sql_abandon(s);
        else
                r = sql_leave(s, f);
        if (r < 0)
                return r;
        row->seq = appended.seq;
        audit_add_time(s, row->seq, row->time_usec);
        (void) g_strlcpy(row->hash, appended.hash, sizeof row->hash);
        if (s->told && s->in_transaction)
                audit_batch_add(s->untold, row);
        else if (s->told)
                s->told(row, s->told_userdata);
        return 0;
}

void store_watch_audit(Store *s, AuditTold told, void *userdata)
{
        s->told = told;
        s->told_userdata = userdata;
        if (!s->untold)
                s->untold = audit_batch_new();
}

void sql_tell_audit(Store *s, bool is_committed)
{
        if (!s->untold || s->untold->rows->len == 0)
                return;
        for (guint i = 0; is_committed && i < s->untold->rows->len; i++)
                s->told(&g_array_index(s->untold->rows, AuditRow, i), s->told_userdata);
        audit_batch_clear(s->untold);
}
