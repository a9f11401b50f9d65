/* SPDX-License-Identifier: MIT */
#include "tests/store/trail.h"

#include "tests/store/bad-disk.h"

#include "base/log.h"
#include "base/quantity.h"
#include "store/migrations.h"
#include "store/sql.h"

#include <errno.h>

/* -- appending and the chain ---------------------------------------------------------------- */

static const char *none_is_empty(const char *text)
{
        return text ? text : "";
}

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
                               !g_strcmp0(row->sandbox_id, none_is_empty(expected->sandbox_id)) &&
                               !g_strcmp0(row->sandbox_name,
                                          none_is_empty(expected->sandbox_name)) &&
                               !g_strcmp0(row->agent, none_is_empty(expected->agent)) &&
                               row->owner_uid == expected->owner_uid &&
                               row->begin_seq == expected->begin_seq && !row->is_damaged &&
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
        g_autofree char *owner = g_strdup_printf("%u", row->owner_uid);
        g_autofree char *begin = g_strdup_printf("%" PRIu64, row->begin_seq);
        const char *const fields[] = {previous,
                                      seq,
                                      time,
                                      uid,
                                      row->caller,
                                      row->kind,
                                      row->phase,
                                      row->object,
                                      row->detail,
                                      row->error,
                                      row->sandbox_id,
                                      row->sandbox_name,
                                      row->agent,
                                      owner,
                                      begin};

        for (size_t i = 0; i < (row->owner_uid == UID_NONE ? 10 : G_N_ELEMENTS(fields)); i++)
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
        second.sandbox_id = "0123456789ab";
        second.sandbox_name = "web1";
        second.agent = "claude";
        second.owner_uid = 1000;
        second.begin_seq = 1;
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
        static const char *const columns[] = {"caller",     "kind",         "object",
                                              "detail",     "error",        "hash",
                                              "sandbox_id", "sandbox_name", "agent"};

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
        expect_found("UPDATE audit SET caller_uid = caller_uid + 4294967296 WHERE seq = 7",
                     "row 7 was changed", "a caller that reads the same in 32 bits");
        expect_found("UPDATE audit SET owner_uid = 0 WHERE seq = 7", "row 7 was changed",
                     "another owner");
        expect_found("UPDATE audit SET begin_seq = 6 WHERE seq = 7", "row 7 was changed",
                     "another beginning");
        expect_found("UPDATE audit SET agent = 'x' WHERE seq = 8", "row 8 was changed",
                     "an agent where there was none");
        expect_found("UPDATE audit SET sandbox_id = '', sandbox_name = '', agent = '',"
                     " owner_uid = 4294967295 WHERE seq = 7",
                     "row 7 was changed", "a subject taken away");
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
        tap_note("took %" PRIu64 " ms", took / 1000);
}

/* Rows of before 0.3, when the table had no more columns. */
static void test_old_trail(void)
{
        AuditRow row = audit_row("sandbox.pause", "/sandbox/1");
        g_autofree char *hash = NULL, *sql = NULL, *open = NULL, *detail = NULL;
        GString *script = g_string_new(NULL);
        uint64_t rows = 0;
        bool is_intact = false;

        row.seq = 1;
        hash = expected_hash(AUDIT_HASH_OF_NONE, &row);
        for (size_t i = 0; i < 5; i++)
                g_string_append(script, migrations[i].sql);
        g_string_append_printf(script,
                               "INSERT INTO audit (seq, time_usec, caller_uid, caller, kind, phase,"
                               " object, detail, error, hash) VALUES (1, %" PRIu64
                               ", 1000, '%s', '%s', 'begin', '%s', '%s', '', '%s');"
                               "UPDATE meta SET audit_seq = 1, audit_hash = '%s';"
                               "PRAGMA user_version = 5; PRAGMA journal_mode = WAL;",
                               row.time_usec, row.caller, row.kind, row.object, row.detail, hash,
                               hash);
        sql = g_string_free(script, FALSE);
        g_free(run_sql(directory, "old", sql));
        g_autoptr(Store) s = open_store(directory, "old");
        (void) store_verify_audit(s, &is_intact, &rows, &detail, NULL);
        tap_ok(is_intact && rows == 1, "the rows of an older fluid are as they were: %s", detail);
        s = store_free(s);
        open = run_sql(directory, "old", "SELECT seq FROM audit_open");
        tap_is_str(open, "1", "what they have begun and not ended is known");
}

/* -- anywhere among many ---------------------------------------------------------------------- */

#define COLUMNS \
        "seq, time_usec, caller_uid, caller, kind, phase, object, detail, error, sandbox_id," \
        " sandbox_name, agent, owner_uid, begin_seq, hash"

enum { MANY = 10000 };

typedef enum Tampering { FLIP, DROP, SWAP, INSERT, FLIP_HEAD, _TAMPERING_MAX } Tampering;

static char *get_text(sqlite3 *db, const char *sql)
{
        sqlite3_stmt *statement = NULL;
        char *text = NULL;

        if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
                tap_bail_out(sqlite3_errmsg(db));
        if (sqlite3_step(statement) == SQLITE_ROW)
                text = g_strdup((const char *) sqlite3_column_text(statement, 0));
        (void) sqlite3_finalize(statement);
        return text;
}

/* One bit of one field, whatever it is, in words for the test. */
static char *flip_bit(sqlite3 *db, unsigned seq)
{
        static const char *const texts[] = {"caller", "kind", "object", "detail", "hash"};
        static const char *const numbers[] = {"time_usec", "caller_uid", "owner_uid", "begin_seq"};
        unsigned n = g_random_int_range(0, G_N_ELEMENTS(texts) + G_N_ELEMENTS(numbers));

        if (n >= G_N_ELEMENTS(texts)) {
                const char *column = numbers[n - G_N_ELEMENTS(texts)];
                unsigned bit = g_random_int_range(0, 60);
                return g_strdup_printf("UPDATE audit SET %s = (%s | (1 << %u)) - (%s & (1 << %u))"
                                       " WHERE seq = %u",
                                       column, column, bit, column, bit, seq);
        }
        g_autofree char *select =
                g_strdup_printf("SELECT hex(%s) FROM audit WHERE seq = %u", texts[n], seq);
        g_autofree char *hex = get_text(db, select);
        size_t at = 2 * (size_t) g_random_int_range(0, (gint32) (strlen(hex) / 2));
        char byte[3] = {hex[at], hex[at + 1]}, changed[3];
        g_snprintf(changed, sizeof changed, "%02x",
                   (unsigned) strtoul(byte, NULL, 16) ^ 1u << g_random_int_range(0, 7));
        memcpy(hex + at, changed, 2);
        return g_strdup_printf("UPDATE audit SET %s = CAST(x'%s' AS TEXT) WHERE seq = %u", texts[n],
                               hex, seq);
}

static char *tamper(sqlite3 *db, Tampering how, unsigned seq)
{
        switch (how) {
        case FLIP:
                return flip_bit(db, seq);
        case DROP:
                return g_strdup_printf("DELETE FROM audit WHERE seq = %u", seq);
        case SWAP:
                return g_strdup_printf("UPDATE audit SET seq = -1 WHERE seq = %u;"
                                       "UPDATE audit SET seq = %u WHERE seq = %u;"
                                       "UPDATE audit SET seq = %u WHERE seq = -1",
                                       seq, seq, seq < MANY ? seq + 1 : 1,
                                       seq < MANY ? seq + 1 : 1);
        case INSERT:
                return g_strdup_printf("UPDATE audit SET seq = -seq - 1 WHERE seq >= %u;"
                                       "UPDATE audit SET seq = -seq WHERE seq < 0;"
                                       "INSERT INTO audit (" COLUMNS ") SELECT %u, time_usec,"
                                       " caller_uid, caller, kind, phase, object, detail, error,"
                                       " sandbox_id, sandbox_name, agent, owner_uid, begin_seq,"
                                       " hash FROM audit WHERE seq = %u",
                                       seq, seq, seq > 1 ? seq - 1 : 3);
        case FLIP_HEAD:
                return g_strdup_printf("UPDATE meta SET %s",
                                       seq % 2 ? "audit_hash = replace(audit_hash, 'a', 'b')"
                                               : "audit_seq = audit_seq + 1");
        case _TAMPERING_MAX:
                break;
        }
        g_assert_not_reached();
}

static char *expected_words(Tampering how, unsigned seq)
{
        switch (how) {
        case DROP:
                return g_strdup_printf("row %u is missing", seq);
        case SWAP:
                return g_strdup_printf("row %u was changed", seq < MANY ? seq : 1);
        case FLIP_HEAD:
                return seq % 2 ? g_strdup_printf("row %u was changed", MANY)
                               : g_strdup_printf("row %u is missing", MANY + 1);
        case FLIP:
        case INSERT:
        case _TAMPERING_MAX:
                break;
        }
        return g_strdup_printf("row %u was changed", seq);
}

static void expect_named(Tampering how, unsigned seq)
{
        static const char *const names[] = {"flipped", "dropped", "swapped", "inserted", "head"};
        g_autofree char *path = g_build_filename(directory, "anywhere", NULL);
        g_autofree char *words = expected_words(how, seq), *detail = NULL, *sql = NULL;
        sqlite3 *db = NULL;
        uint64_t rows = 0;
        bool is_intact = true;

        copy_database(directory, "many", "anywhere");
        (void) sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix");
        sql = tamper(db, how, seq);
        if (sqlite3_exec(db,
                         "PRAGMA ignore_check_constraints = ON;"
                         "DROP TRIGGER audit_is_never_changed; DROP TRIGGER audit_is_never_deleted",
                         NULL, NULL, NULL) != SQLITE_OK ||
            sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
                tap_bail_out(sqlite3_errmsg(db));
        (void) sqlite3_close(db);
        g_autoptr(Store) s = open_store(directory, "anywhere");
        (void) store_verify_audit(s, &is_intact, &rows, &detail, NULL);
        if (!tap_ok(!is_intact && g_str_has_prefix(detail, words), "%s, row %u: %s", names[how],
                    seq, detail))
                tap_note("%s; expected: %s", sql, words);
}

static void test_tampering_anywhere(void)
{
        guint32 seed = (guint32) now_realtime_usec();

        tap_note("seed %u", seed);
        g_random_set_seed(seed);
        for (Tampering how = FLIP; how < _TAMPERING_MAX; how++) {
                expect_named(how, 1);
                expect_named(how, MANY);
                expect_named(how, MANY - 1);
                for (unsigned i = 0; i < 4; i++)
                        expect_named(how, (unsigned) g_random_int_range(2, MANY - 1));
        }
}

/* -- what was begun, and what is told -----------------------------------------------------------
 */

static void test_open(void)
{
        g_autoptr(Store) s = open_store(directory, "open");
        AuditRow first = audit_row("file.write", "/sandbox/1"), second = first, end = first;
        g_autoptr(GString) open = g_string_new(NULL), one = g_string_new(NULL);

        (void) store_append_audit(s, &first, NULL);
        (void) store_append_audit(s, &second, NULL);
        (void) store_find_open_audit(s, "file.write", "/sandbox/1", collect, one, NULL);
        tap_is_str(one->str, "2", "the newest that has begun is found");
        end.phase = "done";
        end.begin_seq = second.seq;
        (void) store_append_audit(s, &end, NULL);
        s = store_free(s);
        s = open_store(directory, "open");
        (void) store_query_open_audit(s, collect, open, NULL);
        tap_is_str(open->str, "1", "what has ended is not open any more, the other is");
}

static void count_told(const AuditRow *row, void *userdata)
{
        g_string_append_printf(userdata, "%" PRIu64 "%s ", row->seq, row->kind + 8);
}

static void test_told(void)
{
        g_autoptr(Store) s = open_store(directory, "told");
        g_autoptr(GString) told = g_string_new(NULL);
        AuditRow a = audit_row("sandbox.a", ""), b = audit_row("sandbox.b", "");

        store_watch_audit(s, count_told, told);
        (void) store_append_audit(s, &a, NULL);
        tap_is_str(told->str, "1a ", "a row is told when it is on disk");
        (void) store_begin(s, NULL);
        (void) store_append_audit(s, &b, NULL);
        tap_is_str(told->str, "1a ", "one of a transaction not yet");
        store_rollback(s);
        tap_is_str(told->str, "1a ", "and never if that is undone");
        (void) store_begin(s, NULL);
        (void) store_append_audit(s, &a, NULL);
        (void) store_append_audit(s, &b, NULL);
        (void) store_commit(s, NULL);
        tap_is_str(told->str, "1a 2a 3b ", "but all with it");
}

/* -- segments --------------------------------------------------------------------------------- */

static int take_hash(const AuditRow *row, void *userdata)
{
        (void) g_strlcpy(userdata, row->hash, SHA256_HEX_SIZE);
        return 0;
}

static AuditSegment segment_of(Store *s, uint64_t first, uint64_t last)
{
        AuditSegment segment = {.first_seq = first,
                                .last_seq = last,
                                .first_usec = 1,
                                .last_usec = 2,
                                .previous_hash = AUDIT_HASH_OF_NONE};
        AuditFilter before = {.first_seq = first - 1, .last_seq = first - 1};
        AuditFilter end = {.first_seq = last, .last_seq = last};

        if (first > 1)
                (void) store_query_audit(s, &before, take_hash, segment.previous_hash, NULL);
        (void) store_query_audit(s, &end, take_hash, segment.last_hash, NULL);
        return segment;
}

static void test_segments(void)
{
        copy_database(directory, "trail", "sealed");
        Store *s = open_store(directory, "sealed");
        AuditSegment first = segment_of(s, 1, 8), gap = segment_of(s, 10, 12),
                     wrong = segment_of(s, 9, 12), second = wrong;
        g_autofree char *detail = NULL, *sql = NULL;
        g_autoptr(GArray) segments = NULL;
        uint64_t rows = 0, oldest = 0;
        unsigned deleted = 99;
        bool is_intact = false;
        AuditRow row = audit_row("sandbox.create", "");

        tap_is_int(store_trim_audit(s, 5, &deleted, NULL), 0, "without a segment nothing goes");
        tap_is_int(deleted, 0, "not one row");
        tap_is_int(store_put_audit_segment(s, &first, NULL), 0, "rows are sealed");
        expect_seqs(s, &(AuditFilter){.limit = 100}, "9 10 11 12 13 14 15 16 17 18 19 20",
                    "from then on they are not the table's");
        (void) store_verify_audit(s, &is_intact, &rows, &detail, NULL);
        tap_ok(is_intact && rows == 20, "the chain goes on from them: %s", detail);
        tap_ok(store_put_audit_segment(s, &gap, NULL) < 0, "a segment with a gap is refused");
        wrong.last_hash[0] ^= 1;
        tap_ok(store_put_audit_segment(s, &wrong, NULL) < 0, "or with another end");
        (void) store_trim_audit(s, 5, &deleted, NULL);
        tap_is_int(deleted, 5, "then they go, a few at a time");
        s = store_free(s);
        s = open_store(directory, "sealed");
        (void) store_trim_audit(s, 5, &deleted, NULL);
        tap_is_int(deleted, 3, "also after a crash in between");
        (void) store_trim_audit(s, 5, &deleted, NULL);
        tap_is_int(deleted, 0, "until none is left");
        tap_is_int(store_put_audit_segment(s, &second, NULL), 0, "and the next follow");
        (void) store_append_audit(s, &row, NULL);
        tap_is_int((int64_t) row.seq, 21, "the numbers go on");
        (void) store_measure_audit(s, &rows, &oldest, NULL);
        tap_ok(rows == 9 && oldest == 13000, "what the table has is known");
        (void) store_load_audit_segments(s, &segments, NULL);
        tap_ok(segments->len == 2 &&
                       !memcmp(&g_array_index(segments, AuditSegment, 1), &second, sizeof second),
               "and what it does not");
        s = store_free(s);
        g_autofree char *path = g_build_filename(directory, "sealed", NULL);
        sqlite3 *db = NULL;
        (void) sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix");
        tap_ok(sqlite3_exec(db, "DELETE FROM audit WHERE seq = 13", NULL, NULL, NULL) != SQLITE_OK,
               "no other row may be deleted");
        tap_ok(sqlite3_exec(db, "DELETE FROM audit WHERE seq <= 12", NULL, NULL, NULL) == SQLITE_OK,
               "as those may");
        (void) sqlite3_close(db);
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
        test_old_trail();
        test_tampering_anywhere();
        test_open();
        test_told();
        test_segments();
        test_flaky_disk();
        test_directory_remove(directory);
        return tap_done();
}
