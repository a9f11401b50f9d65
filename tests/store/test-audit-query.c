/* SPDX-License-Identifier: MIT */

/* Which rows of the trail a query finds, and by which index. */

#include "tests/store/trail.h"

#include "base/log.h"
#include "base/quantity.h"
#include "store/sql.h"

/* -- querying ------------------------------------------------------------------------------- */

static void test_filters(void)
{
        g_autoptr(Store) s = open_store(directory, "trail");
        AuditFilter since = {.since_usec = 18000}, until = {.until_usec = 2000};
        AuditFilter kind = {.kind = "sandbox.destroy"};

        expect_seqs(s, &(AuditFilter){.limit = 3}, "18 19 20",
                    "a limit gives the newest, oldest first");
        expect_seqs(s, &since, "18 19 20", "since a time, it included");
        expect_seqs(s, &until, "1 2", "until a time, it included");
        expect_seqs(s, &kind, "10 20", "by kind");
        kind.limit = 1;
        expect_seqs(s, &kind, "20", "by kind, the newest one");
        expect_seqs(s, &(AuditFilter){.has_caller_uid = true, .caller_uid = 1005}, "5",
                    "by caller");
        expect_seqs(s, &(AuditFilter){.has_caller_uid = true}, "",
                    "by a caller of uid 0, not by none");
        expect_seqs(s, &(AuditFilter){.object = "/sh/fluid/Host1/sandbox/00000000000a"}, "10",
                    "by the whole object path");
        expect_seqs(s, &(AuditFilter){.object = "00000000000a"}, "10", "by its id");
        expect_seqs(s, &(AuditFilter){.object = "sandbox/00000000000a"}, "10", "by its end");
        expect_seqs(s, &(AuditFilter){.object = "box/00000000000a"}, "", "but not within a name");
        expect_seqs(s, &(AuditFilter){.object = "00000000000"}, "", "nor by a part of the id");
        expect_seqs(s, &(AuditFilter){.object = "%' OR 1=1 --"}, "", "nor by SQL");
        expect_seqs(s, &(AuditFilter){.sandbox = "00000000000b"}, "11", "by the id of a sandbox");
        expect_seqs(s, &(AuditFilter){.sandbox = "00000000000c"}, "12",
                    "by one of before rows said so, as the object");
        expect_seqs(s, &(AuditFilter){.sandbox = "web-11"}, "11", "by the name of a sandbox");
        expect_seqs(s, &(AuditFilter){.agent = "codex"}, "3 6 9 15 18", "by agent");
        expect_seqs(s, &(AuditFilter){.agent = "codex", .limit = 2, .order = AUDIT_NEWEST_FIRST},
                    "18 15", "newest first");
        expect_seqs(s, &(AuditFilter){.agent = "codex", .limit = 2, .order = AUDIT_OLDEST}, "3 6",
                    "or the oldest");
        expect_seqs(s, &(AuditFilter){.agent = "codex", .last_seq = 14, .limit = 2}, "6 9",
                    "or the page before a row");
        expect_seqs(s, &(AuditFilter){.kind = "sandbox", .limit = 2}, "19 20",
                    "by kind's beginning");
        expect_seqs(s, &(AuditFilter){.kind = "sandbox.*", .limit = 2}, "19 20",
                    "or with an asterisk");
        expect_seqs(s, &(AuditFilter){.kind = "sand"}, "", "but not by a part of a word");
        expect_seqs(s, &(AuditFilter){.phase = "done"}, "", "by phase");
        expect_seqs(s, &(AuditFilter){.error = "Busy"}, "", "by error");
        expect_seqs(s, &(AuditFilter){.has_reader_uid = true, .reader_uid = 1003}, "3 10 17",
                    "what a user has called, or owns");
        expect_seqs(s,
                    &(AuditFilter){.object = "00000000000a",
                                   .kind = "sandbox.destroy",
                                   .has_caller_uid = true,
                                   .caller_uid = 1010,
                                   .since_usec = 10000,
                                   .until_usec = 10000,
                                   .limit = 5},
                    "10", "by all together");
}

/* What goes for rows of the table goes for those of files. */
static void test_filters_elsewhere(void)
{
        static const AuditFilter filters[] = {
                {.object = "00000000000a"},
                {.object = "sandbox/00000000000a"},
                {.object = "box/00000000000a"},
                {.sandbox = "00000000000b"},
                {.sandbox = "00000000000c"},
                {.sandbox = "web-11"},
                {.agent = "codex", .last_seq = 14},
                {.kind = "sandbox"},
                {.kind = "sandbox.*", .first_seq = 7},
                {.kind = "sandbox.destroy"},
                {.kind = "sand"},
                {.phase = "begin", .since_usec = 3000},
                {.error = "", .until_usec = 3000},
                {.error = "Busy"},
                {.has_reader_uid = true, .reader_uid = 1003},
                {.has_caller_uid = true, .caller_uid = 1003},
        };
        g_autoptr(Store) s = open_store(directory, "trail");
        g_autoptr(AuditBatch) batch = audit_batch_new();

        (void) store_query_audit(s, &(AuditFilter){0}, audit_batch_each, batch, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(filters); i++) {
                g_autoptr(GString) expected = g_string_new(NULL), found = g_string_new(NULL);

                (void) store_query_audit(s, &filters[i], collect, expected, NULL);
                for (guint j = 0; j < batch->rows->len; j++) {
                        const AuditRow *row = &g_array_index(batch->rows, AuditRow, j);
                        if (audit_filter_matches(&filters[i], row))
                                (void) collect(row, found);
                }
                tap_is_str(found->str, expected->str, "filter %zu finds the same elsewhere", i);
        }
}

/* The plan of the query that is chosen. */
static void expect_index(Store *s, const AuditFilter *filter, const char *words)
{
        AuditIndex index = AUDIT_BY_SEQ;

        (void) audit_choose_index(s, filter, &index, NULL);
        g_autofree char *sql = audit_query_sql(filter, index);
        g_autofree char *explain = g_strconcat("EXPLAIN QUERY PLAN ", sql, NULL);
        g_autoptr(GString) plan = g_string_new(NULL);
        sqlite3_stmt *statement = NULL;

        (void) sqlite3_prepare_v2(s->db, explain, -1, &statement, NULL);
        while (sqlite3_step(statement) == SQLITE_ROW)
                g_string_append_printf(plan, "%s; ",
                                       (const char *) sqlite3_column_text(statement, 3));
        (void) sqlite3_finalize(statement);
        tap_ok(strstr(plan->str, words) && !strstr(plan->str, "SCAN audit"), "%s", plan->str);
}

static void test_indexes(void)
{
        fill("large", 100000);
        g_autoptr(Store) s = open_store(directory, "large");
        expect_index(s, &(AuditFilter){.object = "a"},
                     "INDEX audit_by_object (object_id=? AND rowid>? AND rowid<?)");
        expect_index(s, &(AuditFilter){.kind = "a.b", .limit = 9},
                     "INDEX audit_by_kind (kind=? AND rowid>? AND rowid<?)");
        expect_index(s, &(AuditFilter){.kind = "sandbox"},
                     "INDEX audit_by_kind (kind=? AND rowid>? AND rowid<?)");
        expect_index(s, &(AuditFilter){.has_caller_uid = true},
                     "INDEX audit_by_caller (caller_uid=? AND rowid>? AND rowid<?)");
        expect_index(s, &(AuditFilter){.agent = "claude"},
                     "INDEX audit_by_agent (agent=? AND rowid>? AND rowid<?)");
        expect_index(s, &(AuditFilter){.sandbox = "web-7", .agent = "claude"},
                     "SEARCH audit USING INTEGER PRIMARY KEY (rowid=?)");
        expect_index(s, &(AuditFilter){.sandbox = "web-7"},
                     "INDEX audit_by_sandbox_name (sandbox_name=? AND rowid>? AND rowid<?)");
        expect_index(s, &(AuditFilter){.has_reader_uid = true, .reader_uid = 1000},
                     "INDEX audit_by_owner (owner_uid=? AND rowid>? AND rowid<?)");
        expect_index(s, &(AuditFilter){.since_usec = 1, .until_usec = 2},
                     "INDEX audit_by_time (time_usec>? AND time_usec<?)");
        expect_index(s, &(AuditFilter){.since_usec = 1, .limit = 10},
                     "INTEGER PRIMARY KEY (rowid>? AND rowid<?)");
        expect_index(s, &(AuditFilter){.agent = "claude", .kind = "b.c", .since_usec = 1},
                     "INDEX audit_by_kind (kind=?");
        expect_index(s, &(AuditFilter){.agent = "b", .kind = "sandbox.create", .since_usec = 1},
                     "INDEX audit_by_agent (agent=?");
        expect_index(s, &(AuditFilter){.limit = 10}, "INTEGER PRIMARY KEY (rowid>? AND rowid<?)");
        g_autoptr(GString) seqs = g_string_new(NULL);
        uint64_t start = now_monotonic_usec();
        (void) store_query_audit(s, &(AuditFilter){.object = "0000000003e7"}, collect, seqs, NULL);
        tap_note("100 of 100,000 rows took %" PRIu64 " us", now_monotonic_usec() - start);
        tap_ok(g_str_has_prefix(seqs->str, "999 1999 "), "an object's rows are found among many");
}

/* A long trail can be gone through piece by piece. */
static void test_bounds(void)
{
        g_autoptr(Store) s = open_store(directory, "trail");
        AuditFilter all = {0}, time = {.since_usec = 3000, .until_usec = 5000};
        AuditFilter none = {.since_usec = 99000};

        (void) store_bound_audit(s, &all, NULL);
        tap_ok(all.first_seq == 1 && all.last_seq == 20, "the trail has bounds");
        (void) store_bound_audit(s, &time, NULL);
        tap_ok(time.first_seq == 1 && time.last_seq == 20, "a stretch of time not within a block");
        (void) store_bound_audit(s, &none, NULL);
        tap_ok(none.first_seq > none.last_seq, "or it is empty");
        s = store_free(s);
        s = open_store(directory, "large");
        time = (AuditFilter){.since_usec = 50000000, .until_usec = 51000000};
        (void) store_bound_audit(s, &time, NULL);
        tap_ok(time.first_seq <= 50000 && time.first_seq > 40000 && time.last_seq >= 51000 &&
                       time.last_seq < 60000,
               "but among many: %" PRIu64 " to %" PRIu64, time.first_seq, time.last_seq);
        AuditRow row = audit_row("sandbox.create", "");
        row.time_usec = 50500000;
        (void) store_append_audit(s, &row, NULL);
        time = (AuditFilter){.since_usec = 50000000, .until_usec = 51000000};
        (void) store_bound_audit(s, &time, NULL);
        tap_ok(time.last_seq == row.seq, "a clock that was set back is not forgotten");
}

int main(void)
{
        log_set_max_priority(LOG_WARNING);
        directory = test_directory_new();
        fill("trail", 20);
        test_filters();
        test_filters_elsewhere();
        test_indexes();
        test_bounds();
        test_directory_remove(directory);
        return tap_done();
}
