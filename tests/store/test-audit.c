/* SPDX-License-Identifier: MIT */
#include "tests/store/rows.h"

#include "tests/store/bad-disk.h"

#include "base/log.h"
#include "base/quantity.h"
#include "store/sql.h"

#include <errno.h>

static char *directory;

/* -- helpers -------------------------------------------------------------------------------- */

static void append_rows(Store *s, unsigned n)
{
        for (unsigned i = 1; i <= n; i++) {
                g_autofree char *object =
                        g_strdup_printf("/sh/fluid/Host1/sandbox/%012x", i % 1000);
                AuditRow row =
                        audit_row(i % 10 == 0 ? "sandbox.destroy" : "sandbox.create", object);
                row.time_usec = 1000 * i;
                row.caller_uid = 1000 + i % 50;
                if (store_append_audit(s, &row, NULL) < 0)
                        tap_bail_out("cannot append");
        }
}

/* One transaction for all, where the speed of the disk is not the question. */
static void fill(const char *name, unsigned n)
{
        g_autoptr(Store) s = open_store(directory, name);

        if (store_begin(s, NULL) < 0)
                tap_bail_out("cannot begin");
        append_rows(s, n);
        if (store_commit(s, NULL) < 0)
                tap_bail_out("cannot commit");
}

static int collect(const AuditRow *row, void *userdata)
{
        g_string_append_printf(userdata, "%s%" PRIu64, ((GString *) userdata)->len ? " " : "",
                               row->seq);
        return 0;
}

static void expect_seqs(Store *s, const AuditFilter *filter, const char *expected, const char *what)
{
        g_autoptr(GString) seqs = g_string_new(NULL);

        (void) store_query_audit(s, filter, collect, seqs, NULL);
        tap_is_str(seqs->str, expected, "%s", what);
}

/* -- appending and the chain ---------------------------------------------------------------- */

static int compare_row(const AuditRow *row, void *userdata)
{
        const AuditRow *expected = userdata;

        return row->seq == expected->seq && row->time_usec == expected->time_usec &&
                               row->caller_uid == expected->caller_uid &&
                               !strcmp(row->caller, expected->caller) &&
                               !strcmp(row->kind, expected->kind) &&
                               !strcmp(row->phase, expected->phase) &&
                               !strcmp(row->object, expected->object) &&
                               !strcmp(row->detail, expected->detail) &&
                               !strcmp(row->error, expected->error) &&
                               !strcmp(row->hash, expected->hash)
                       ? 0
                       : -EBADMSG;
}

/* The hash of a row, written down a second time from its description. */
static char *expected_hash(const char *previous, const AuditRow *row)
{
        g_autoptr(GString) text = g_string_new(NULL);
        g_autofree char *seq = g_strdup_printf("%" PRIu64, row->seq);
        g_autofree char *time = g_strdup_printf("%" PRIu64, row->time_usec);
        g_autofree char *uid = g_strdup_printf("%u", row->caller_uid);
        const char *const fields[] = {previous,  seq,        time,        uid,         row->caller,
                                      row->kind, row->phase, row->object, row->detail, row->error};

        for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
                g_string_append_printf(text, "%zu:%s", strlen(fields[i]), fields[i]);
        return g_compute_checksum_for_string(G_CHECKSUM_SHA256, text->str, (gssize) text->len);
}

static void test_append(void)
{
        g_autoptr(Store) s = open_store(directory, "append");
        AuditRow first = audit_row("sandbox.create", "/sandbox/1"), second = first, bad = first;
        g_autofree char *zeros = g_strnfill(64, '0');

        second.error = "NotFound";
        second.phase = "failed";
        tap_is_int(store_append_audit(s, &first, NULL), 0, "a row is appended");
        tap_is_int((int64_t) first.seq, 1, "its number is 1");
        g_autofree char *hash = expected_hash(zeros, &first);
        tap_is_str(first.hash, hash, "its hash is that of 64 zeros and its fields");
        tap_is_int(store_query_audit(s, &(AuditFilter){0}, compare_row, &first, NULL), 0,
                   "every field comes back");
        tap_is_int(store_query_audit(s, &(AuditFilter){0}, compare_row, &second, NULL), -EBADMSG,
                   "a callback that fails ends the query with its result");

        bad.phase = "maybe";
        tap_ok(store_append_audit(s, &bad, NULL) < 0, "a phase that is none is refused");
        tap_is_int((int64_t) bad.seq, 0, "and the row has no number");
        s = store_free(s);
        s = open_store(directory, "append");
        tap_is_int(store_append_audit(s, &second, NULL), 0,
                   "after opening again, another is appended");
        tap_is_int((int64_t) second.seq, 2, "without a gap");
        g_autofree char *next = expected_hash(first.hash, &second);
        tap_is_str(second.hash, next, "its hash follows the one before");
}

static void test_append_in_transaction(void)
{
        g_autoptr(Store) s = open_store(directory, "joined");
        g_autoptr(TemplateRow) template = new_template(1);
        AuditRow row = audit_row("template.import", "");

        (void) store_begin(s, NULL);
        (void) store_put_template(s, template, NULL);
        tap_is_int(store_append_audit(s, &row, NULL), 0, "an append joins the open transaction");
        store_rollback(s);
        expect_seqs(s, &(AuditFilter){0}, "", "and goes with it");
        (void) store_begin(s, NULL);
        (void) store_append_audit(s, &row, NULL);
        tap_is_int((int64_t) row.seq, 1, "its number is given again");
        (void) store_append_audit(s, &row, NULL);
        (void) store_commit(s, NULL);
        expect_seqs(s, &(AuditFilter){0}, "1 2", "or stays with it");
}

/* -- verifying ------------------------------------------------------------------------------ */

/* Changes a trail of 20 rows behind the store's back; expects the first wrong row to be named. */
static void expect_found(const char *sql, const char *words, const char *what)
{
        g_autofree char *unlocked = g_strconcat("DROP TRIGGER audit_is_never_changed;"
                                                "DROP TRIGGER audit_is_never_deleted;",
                                                sql, NULL);
        g_autofree char *detail = NULL;
        bool intact = true;
        uint64_t rows;

        copy_database(directory, "trail", "tampered");
        g_free(run_sql(directory, "tampered", unlocked));
        g_autoptr(Store) s = open_store(directory, "tampered");
        int r = store_verify_audit(s, &intact, &rows, &detail, NULL);
        tap_ok(r == 0 && !intact && strstr(detail, words), "found: %s: %s", what, detail);
        AuditRow row = audit_row("sandbox.create", "");
        tap_is_int(store_append_audit(s, &row, NULL), 0, "and does not keep us from writing");
        g_free(detail);
        detail = NULL;
        (void) store_verify_audit(s, &intact, &rows, &detail, NULL);
        tap_ok(!intact, "which does not hide it");
}

static void test_tampering(void)
{
        static const char *const columns[] = {"caller", "kind",  "object",
                                              "detail", "error", "hash"};

        fill("trail", 20);
        for (size_t i = 0; i < G_N_ELEMENTS(columns); i++) {
                g_autofree char *sql =
                        g_strdup_printf("UPDATE audit SET %s = substr(%s, 2) || 'x' WHERE seq = 7",
                                        columns[i], columns[i]);
                expect_found(sql, "row 7 was changed", columns[i]);
        }
        expect_found("UPDATE audit SET time_usec = time_usec + 1 WHERE seq = 7",
                     "row 7 was changed", "another time");
        expect_found("UPDATE audit SET caller_uid = 0 WHERE seq = 7", "row 7 was changed",
                     "another caller");
        expect_found("UPDATE audit SET phase = 'done' WHERE seq = 1", "row 1 was changed",
                     "another phase of the first row");
        expect_found("UPDATE audit SET detail = CAST(CAST(detail AS BLOB) || x'0078' AS TEXT)"
                     " WHERE seq = 7",
                     "row 7 was changed", "text hidden behind a NUL");
        expect_found(
                "UPDATE audit SET caller = caller || 's', kind = substr(kind, 2) WHERE seq = 7",
                "row 7 was changed", "a byte moved from one field to the next");
        expect_found("DELETE FROM audit WHERE seq = 7", "row 7 is missing", "a dropped row");
        expect_found("DELETE FROM audit WHERE seq = 1", "row 1 is missing", "a dropped first row");
        expect_found("DELETE FROM audit WHERE seq > 17", "row 18 is missing", "a cut end");
        expect_found("DELETE FROM audit", "row 1 is missing", "a trail wiped out");
        expect_found("DELETE FROM audit WHERE seq = 7;"
                     "UPDATE audit SET seq = -seq WHERE seq > 7; UPDATE audit SET seq = -seq - 1"
                     " WHERE seq < 0",
                     "row 7 was changed", "a dropped row with the gap closed");
        expect_found(
                "UPDATE audit SET seq = -1 WHERE seq = 7; UPDATE audit SET seq = 7 WHERE seq = 8;"
                "UPDATE audit SET seq = 8 WHERE seq = -1",
                "row 7 was changed", "two swapped rows");
        expect_found("UPDATE audit SET seq = -seq - 1 WHERE seq >= 7;"
                     "UPDATE audit SET seq = -seq WHERE seq < 0;"
                     "INSERT INTO audit (seq, time_usec, caller_uid, caller, kind, phase, object,"
                     " detail, error, hash) SELECT 7, time_usec, caller_uid, caller, kind, phase,"
                     " object, detail, error, hash FROM audit WHERE seq = 6",
                     "row 7 was changed", "an inserted row");
        expect_found("INSERT INTO audit (seq, time_usec, caller_uid, caller, kind, phase, object,"
                     " detail, error, hash) SELECT 0, time_usec, caller_uid, caller, kind, phase,"
                     " object, detail, error, hash FROM audit WHERE seq = 6",
                     "row 0 was added", "a row before the first");
        expect_found("UPDATE meta SET audit_hash = (SELECT hash FROM audit WHERE seq = 19)",
                     "row 20 was changed", "another head");
}

/* With the right hash: only the head tells. */
static void test_forged_end(void)
{
        copy_database(directory, "trail", "forged");
        Store *s = open_store(directory, "forged");
        AuditRow row = audit_row("sandbox.destroy", "");
        g_autofree char *detail = NULL;
        uint64_t rows;
        bool intact;

        (void) store_append_audit(s, &row, NULL);
        s = store_free(s);
        g_free(run_sql(directory, "forged",
                       "UPDATE meta SET (audit_seq, audit_hash) ="
                       " (SELECT seq, hash FROM audit WHERE seq = 20)"));
        s = open_store(directory, "forged");
        (void) store_verify_audit(s, &intact, &rows, &detail, NULL);
        tap_ok(!intact && strstr(detail, "row 21 was added"), "a row behind the head is found: %s",
               detail);
        s = store_free(s);
}

static void test_append_only(void)
{
        g_autofree char *path = g_build_filename(directory, "trail", NULL);
        sqlite3 *db = NULL;

        (void) sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix");
        tap_ok(sqlite3_exec(db, "UPDATE audit SET kind = ''", NULL, NULL, NULL) != SQLITE_OK &&
                       sqlite3_exec(db, "DELETE FROM audit", NULL, NULL, NULL) != SQLITE_OK,
               "the table itself refuses changes");
        (void) sqlite3_close(db);
}

static void test_verify_many(void)
{
        fill("many", 10000);
        g_autoptr(Store) s = open_store(directory, "many");
        g_autofree char *detail = NULL;
        uint64_t rows, start = now_monotonic_usec();
        bool intact;

        tap_is_int(store_verify_audit(s, &intact, &rows, &detail, NULL), 0,
                   "10,000 rows are verified");
        uint64_t took = now_monotonic_usec() - start;
        tap_ok(intact && rows == 10000, "all are as they were");
        tap_is_int((int64_t) strlen(detail), 64, "the detail is the head's hash");
        tap_ok(took < 5 * USEC_PER_SEC, "within seconds");
        tap_note("took %" PRIu64 " ms", took / 1000);
}

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

static void expect_index(const AuditFilter *filter, const char *words)
{
        g_autofree char *sql = audit_query_sql(filter);
        g_autofree char *explain = g_strconcat("EXPLAIN QUERY PLAN ", sql, NULL);
        g_autofree char *path = g_build_filename(directory, "large", NULL);
        g_autoptr(GString) plan = g_string_new(NULL);
        sqlite3_stmt *statement = NULL;
        sqlite3 *db = NULL;

        (void) sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix");
        (void) sqlite3_prepare_v2(db, explain, -1, &statement, NULL);
        while (sqlite3_step(statement) == SQLITE_ROW)
                g_string_append_printf(plan, "%s; ",
                                       (const char *) sqlite3_column_text(statement, 3));
        (void) sqlite3_finalize(statement);
        (void) sqlite3_close(db);
        tap_ok(strstr(plan->str, words) != NULL, "%s", plan->str);
}

static void test_indexes(void)
{
        fill("large", 100000);
        expect_index(&(AuditFilter){.object = "a"}, "INDEX audit_by_object (object_id=?)");
        expect_index(&(AuditFilter){.kind = "a", .limit = 9}, "INDEX audit_by_kind (kind=?)");
        expect_index(&(AuditFilter){.has_caller_uid = true},
                     "INDEX audit_by_caller (caller_uid=?)");
        expect_index(&(AuditFilter){.since_usec = 1, .until_usec = 2, .kind = "a"},
                     "INDEX audit_by_time (time_usec>? AND time_usec<?)");
        expect_index(&(AuditFilter){.until_usec = 2, .limit = 10},
                     "INDEX audit_by_time (time_usec<?)");
        expect_index(&(AuditFilter){.object = "a", .kind = "b", .since_usec = 1},
                     "INDEX audit_by_object (object_id=?)");
        expect_index(&(AuditFilter){.limit = 10}, "SCAN audit;");
        g_autoptr(Store) s = open_store(directory, "large");
        g_autoptr(GString) seqs = g_string_new(NULL);
        uint64_t start = now_monotonic_usec();
        (void) store_query_audit(s, &(AuditFilter){.object = "0000000003e7"}, collect, seqs, NULL);
        tap_note("100 of 100,000 rows took %" PRIu64 " us", now_monotonic_usec() - start);
        tap_ok(g_str_has_prefix(seqs->str, "999 1999 "), "an object's rows are found among many");
}

/* -- a disk that fails now and then --------------------------------------------------------- */

static void test_flaky_disk(void)
{
        g_autofree char *large = g_strnfill(8000, 'x'), *detail = NULL;
        Store *s = open_store(directory, "flaky");
        unsigned acknowledged = 0, refused = 0;
        uint64_t rows = 0;
        bool intact = false;

        for (unsigned i = 0; i < 1500; i++) {
                AuditRow row = audit_row("sandbox.create", "/sandbox/1");
                row.detail = large;
                bad_disk_arm(i % 2 ? BAD_WRITE : BAD_SYNC, 1 + i % 23, false, SQLITE_IOERR_WRITE);
                if (store_append_audit(s, &row, NULL) < 0)
                        refused++;
                else if (row.seq != ++acknowledged)
                        tap_bail_out("a gap in the trail");
        }
        bad_disk_disarm();
        s = store_free(s);
        s = open_store(directory, "flaky");
        (void) store_verify_audit(s, &intact, &rows, &detail, NULL);
        tap_ok(intact && rows == acknowledged && refused > 0,
               "%u rows refused by the disk leave no trace among %u", refused, acknowledged);
        s = store_free(s);
}

int main(void)
{
        bad_disk_install();
        log_set_max_priority(LOG_WARNING);
        directory = test_directory_new();
        test_append();
        test_append_in_transaction();
        test_tampering();
        test_forged_end();
        test_append_only();
        test_verify_many();
        test_filters();
        test_indexes();
        test_flaky_disk();
        test_directory_remove(directory);
        return tap_done();
}
