/* SPDX-License-Identifier: MIT */
#include "store/audit-table.h"

#include "base/cleanup.h"

#include <string.h>

static const char read_segments[] = "read table audit_segments";
static const char write_segments[] = "write to table audit_segments";

static int read_segment(sqlite3_stmt *statement, AuditSegment *ret)
{
        const char *previous = (const char *) sqlite3_column_text(statement, 4);
        const char *last = (const char *) sqlite3_column_text(statement, 5);

        if (!previous || !last)
                return SQLITE_NOMEM;
        *ret = (AuditSegment){.first_seq = (uint64_t) sqlite3_column_int64(statement, 0),
                              .last_seq = (uint64_t) sqlite3_column_int64(statement, 1),
                              .first_usec = (uint64_t) sqlite3_column_int64(statement, 2),
                              .last_usec = (uint64_t) sqlite3_column_int64(statement, 3)};
        (void) g_strlcpy(ret->previous_hash, previous, sizeof ret->previous_hash);
        (void) g_strlcpy(ret->last_hash, last, sizeof ret->last_hash);
        return SQLITE_OK;
}

int store_load_audit_segments(Store *s, GArray **ret, Fault *f)
{
        g_autoptr(GArray) segments = g_array_new(FALSE, FALSE, sizeof(AuditSegment));
        sqlite3_stmt *statement;
        int rc, r = sql_prepare(s,
                                "SELECT first_seq, last_seq, first_usec, last_usec, previous_hash,"
                                " last_hash FROM audit_segments ORDER BY first_seq",
                                &statement, f);

        if (r < 0)
                return r;
        while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
                AuditSegment segment;
                if ((rc = read_segment(statement, &segment)) != SQLITE_OK)
                        break;
                (void) g_array_append_val(segments, segment);
        }
        if (rc != SQLITE_DONE)
                r = sql_fail(s, rc, read_segments, f);
        (void) sqlite3_reset(statement);
        if (r == 0)
                *ret = g_steal_pointer(&segments);
        return r;
}

int audit_load_sealed(Store *s, AuditHead *ret, Fault *f)
{
        sqlite3_stmt *statement;
        int r = sql_prepare(s,
                            "SELECT last_seq, last_hash FROM audit_segments ORDER BY last_seq DESC"
                            " LIMIT 1",
                            &statement, f);

        if (r < 0)
                return r;
        *ret = (AuditHead){.hash = AUDIT_HASH_OF_NONE};
        int rc = sqlite3_step(statement);
        const char *hash =
                rc == SQLITE_ROW ? (const char *) sqlite3_column_text(statement, 1) : NULL;
        if (hash) {
                ret->seq = (uint64_t) sqlite3_column_int64(statement, 0);
                (void) g_strlcpy(ret->hash, hash, sizeof ret->hash);
        } else if (rc != SQLITE_DONE) {
                r = sql_fail(s, rc == SQLITE_ROW ? SQLITE_NOMEM : rc, read_segments, f);
        }
        (void) sqlite3_reset(statement);
        return r;
}

/* -- sealing -------------------------------------------------------------------------------- */

static int insert_segment(Store *s, const AuditSegment *segment, Fault *f)
{
        sqlite3_stmt *statement;
        int rc, r = sql_prepare(s, "INSERT INTO audit_segments VALUES (?, ?, ?, ?, ?, ?)",
                                &statement, f);
        const uint64_t numbers[] = {segment->first_seq, segment->last_seq, segment->first_usec,
                                    segment->last_usec};

        if (r < 0)
                return r;
        rc = SQLITE_OK;
        for (int i = 0; i < (int) G_N_ELEMENTS(numbers) && rc == SQLITE_OK; i++)
                rc = sqlite3_bind_int64(statement, i + 1, (int64_t) numbers[i]);
        if (rc == SQLITE_OK)
                rc = sqlite3_bind_text(statement, 5, segment->previous_hash, -1, SQLITE_STATIC);
        if (rc == SQLITE_OK)
                rc = sqlite3_bind_text(statement, 6, segment->last_hash, -1, SQLITE_STATIC);
        return rc == SQLITE_OK ? sql_run(s, statement, write_segments, f)
                               : sql_fail(s, rc, write_segments, f);
}

static int take_last(const AuditRow *row, void *userdata)
{
        AuditHead *last = userdata;

        last->seq = row->seq;
        (void) g_strlcpy(last->hash, row->hash, sizeof last->hash);
        return 0;
}

int store_put_audit_segment(Store *s, const AuditSegment *segment, Fault *f)
{
        AuditHead sealed, last = {0};
        AuditFilter filter = {.first_seq = segment->last_seq, .last_seq = segment->last_seq};

        int r = audit_load_sealed(s, &sealed, f);
        if (r == 0)
                r = store_query_audit(s, &filter, take_last, &last, f);
        if (r < 0)
                return r;
        if (segment->first_seq != sealed.seq + 1 ||
            !g_str_equal(segment->previous_hash, sealed.hash) || last.seq != segment->last_seq ||
            !g_str_equal(segment->last_hash, last.hash))
                return fault_set(f, FAULT_INTERNAL,
                                 "a segment of the audit trail does not follow the one before, or "
                                 "has no rows in the database '%s'",
                                 s->path);
        r = sql_enter(s, f);
        if (r < 0)
                return r;
        r = insert_segment(s, segment, f);
        if (r == 0)
                return sql_leave(s, f);
        sql_abandon(s);
        return r;
}

int store_trim_audit(Store *s, unsigned limit, unsigned *ret_deleted, Fault *f)
{
        sqlite3_stmt *statement;
        AuditHead sealed;
        int r = audit_load_sealed(s, &sealed, f);

        *ret_deleted = 0;
        if (r < 0 || sealed.seq == 0)
                return r;
        r = sql_prepare(s,
                        "DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE seq <= ?"
                        " ORDER BY seq LIMIT ?)",
                        &statement, f);
        if (r < 0)
                return r;
        int rc = sqlite3_bind_int64(statement, 1, (int64_t) sealed.seq);
        if (rc == SQLITE_OK)
                rc = sqlite3_bind_int64(statement, 2, limit);
        r = rc == SQLITE_OK ? sql_run(s, statement, audit_write_failed, f)
                            : sql_fail(s, rc, audit_write_failed, f);
        if (r == 0)
                *ret_deleted = (unsigned) sqlite3_changes(s->db);
        return r;
}

static int take_time(const AuditRow *row, void *userdata)
{
        *(uint64_t *) userdata = row->time_usec;
        return 0;
}

int store_measure_audit(Store *s, uint64_t *ret_rows, uint64_t *ret_oldest_usec, Fault *f)
{
        AuditFilter oldest = {.limit = 1, .order = AUDIT_OLDEST};
        AuditHead sealed = {.seq = 0}, head = {.seq = 0};
        int r = audit_load_sealed(s, &sealed, f);

        if (r == 0)
                r = store_load_audit_head(s, &head, f);
        if (r < 0)
                return r;
        *ret_rows = head.seq > sealed.seq ? head.seq - sealed.seq : 0;
        *ret_oldest_usec = 0;
        return store_query_audit(s, &oldest, take_time, ret_oldest_usec, f);
}
