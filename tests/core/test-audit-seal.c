/* SPDX-License-Identifier: MIT */

/* Old rows leave the database for sealed files: nothing is lost, and nothing is there twice. */

#include "tests/core/trail.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

static const char settings[] = "stop_timeout = 0s\naudit_rows_kept_max = 1000\n";
static const Caller root = {.uid = 0};

/* -- helpers ---------------------------------------------------------------------------------- */

#define DAY_USEC (24 * 3600 * USEC_PER_SEC)

/* In one transaction; the first has the number 1 in an empty trail. */
static void append_rows(unsigned n, uint64_t age_usec)
{
        Store *store = fixture.manager->store;

        need(store_begin(store, &fixture.fault), "begin");
        for (unsigned i = 1; i <= n; i++) {
                g_autofree char *name = g_strdup_printf("web-%u", i % 10);
                AuditRow row = {.time_usec = now_realtime_usec() - age_usec,
                                .caller_uid = 1000,
                                .caller = "test[1]",
                                .kind = i % 2 ? "file.read" : "command.exec",
                                .phase = "done",
                                .object = "/sh/fluid/Host1/sandbox/0123456789ab",
                                .detail = i % 3 ? "{\"path\":\"\\/etc\\/motd \\u001b\"}"
                                                : "{ \"not\": \"as we write it\" }",
                                .error = "",
                                .sandbox_name = name,
                                .agent = "ada",
                                .owner_uid = i % 5 ? 1000 : UID_NONE};
                need(store_append_audit(store, &row, &fixture.fault), "append");
        }
        need(store_commit(store, &fixture.fault), "commit");
}

static char *audit_path(const char *name)
{
        return g_build_filename(fixture.directory, "s", "audit", name, NULL);
}

/* The names of the files, "a b". */
static char *list_files(void)
{
        g_autofree char *path = audit_path(NULL);
        g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);

        for (const char *name; directory && (name = g_dir_read_name(directory));)
                g_ptr_array_add(files, g_strdup(name));
        g_ptr_array_sort(files, compare_names);
        g_ptr_array_add(files, NULL);
        return g_strjoinv(" ", (char **) files->pdata);
}

static char *numbers(unsigned first, unsigned last)
{
        GString *seqs = g_string_new(NULL);

        for (unsigned i = first; i <= last; i++)
                g_string_append_printf(seqs, "%s%u", i > first ? " " : "", i);
        return g_string_free(seqs, FALSE);
}

static int count_one(const AuditRow *row, void *userdata)
{
        (void) row;
        ++*(unsigned *) userdata;
        return 0;
}

/* In the database, whether they are sealed or not. */
static unsigned count_rows(void)
{
        unsigned n = 0;

        need(store_query_audit(fixture.manager->store, &(AuditFilter){.first_seq = 1}, count_one,
                               &n, &fixture.fault),
             "audit");
        return n;
}

static guint count_segments(void)
{
        g_autoptr(GArray) segments = NULL;

        need(store_load_audit_segments(fixture.manager->store, &segments, &fixture.fault),
             "segments");
        return segments->len;
}

static bool has_segment(void *userdata)
{
        return count_segments() >= GPOINTER_TO_UINT(userdata);
}

static bool has_rows(void *userdata)
{
        return count_rows() == GPOINTER_TO_UINT(userdata);
}

static void seal_until(bool (*condition)(void *), unsigned n)
{
        audit_seal_tend(fixture.manager);
        if (!until(condition, GUINT_TO_POINTER(n)))
                tap_bail_out("rows are not sealed");
}

static bool is_whole(unsigned rows)
{
        g_autofree char *seqs = exported_seqs(&root, &(AuditQuery){0});
        g_autofree char *expected = numbers(1, rows);
        uint64_t verified = 0;
        g_autofree char *wrong = verify_trail(NULL, 0, &verified);

        if (wrong)
                tap_note("%s", wrong);
        if (!g_str_equal(seqs, expected))
                tap_note("other rows: %.400s", seqs);
        return !wrong && verified == rows && g_str_equal(seqs, expected);
}

/* -- sealing ---------------------------------------------------------------------------------- */

static void test_few(void)
{
        append_rows(1200, 0);
        audit_seal_tend(fixture.manager);
        settle();
        tap_ok(count_segments() == 0, "a few rows too many wait for more");
}

static void test_sealed(void)
{
        g_autofree char *leftover = NULL, *partial = NULL, *files = NULL, *path = NULL;

        append_rows(1300, 0);
        /* As of a daemon that was killed before the database knew of them. */
        need(make_directory((path = audit_path(NULL)), 0700, 0, 0, &fixture.fault), "mkdir");
        leftover = audit_path("000000000001-000000000700.jsonl");
        partial = audit_path("000000000001-000000001500.jsonl.new");
        (void) g_file_set_contents(leftover, "{}\n", -1, NULL);
        (void) g_file_set_contents(partial, "{", -1, NULL);
        seal_until(has_segment, 1);
        files = list_files();
        tap_is_str(files, "000000000001-000000001500.jsonl",
                   "what is more than is kept goes to one file, and leftovers are gone");
        tap_ok(is_whole(2500), "the trail is whole as soon as the database knows of it");
        seal_until(has_rows, 1000);
        tap_ok(is_whole(2500), "and when its rows are deleted there");
}

static void test_after_stop(void)
{
        append_rows(600, 0);
        seal_until(has_segment, 2);
        tap_ok(count_rows() > 1000, "a daemon is stopped before it has deleted what is sealed");
        restart_manager();
        settle();
        tap_ok(is_whole(3100), "the trail is whole at the next start");
        seal_until(has_rows, 1000);
        tap_ok(is_whole(3100), "and when the rest is deleted");
}

/* -- reading ---------------------------------------------------------------------------------- */

static void expect_seqs(const AuditQuery *query, const char *expected, const char *what)
{
        g_autofree char *seqs = exported_seqs(&root, query);

        tap_is_str(seqs, expected, "%s", what);
}

static void test_queries(void)
{
        g_autofree char *across = numbers(1995, 2104), *backwards = NULL;
        const Caller owner = {.uid = 1000}, other = {.uid = 1001};
        GString *seqs = g_string_new(NULL);

        expect_seqs(&(AuditQuery){.before_seq = 2105, .limit = 110}, across,
                    "a page that begins in a file and ends in the database is whole");
        for (unsigned i = 2104; i >= 1995; i--)
                g_string_append_printf(seqs, "%s%u", i < 2104 ? " " : "", i);
        backwards = g_string_free(seqs, FALSE);
        expect_seqs(&(AuditQuery){.before_seq = 2105, .limit = 110, .is_newest_first = true},
                    backwards, "also the newest first");
        expect_seqs(&(AuditQuery){.before_seq = 31, .sandbox = "web-3"}, "3 13 23",
                    "sealed rows are found by sandbox");
        expect_seqs(&(AuditQuery){.before_seq = 6, .kind = "file"}, "1 3 5", "by kind");
        expect_seqs(&(AuditQuery){.before_seq = 3, .agent = "bob"}, "", "or not");
        expect_seqs(&(AuditQuery){.object = "0123456789ab", .limit = 2}, "3099 3100",
                    "a limit that the database can fill needs no file");
        expect_seqs(&(AuditQuery){.until_usec = 1}, "", "nor does a time before all");
        g_autofree char *own = exported_seqs(&owner, &(AuditQuery){.before_seq = 4});
        tap_is_str(own, "1 2 3", "whoever called reads sealed rows, too");
        g_autofree char *others = exported_seqs(&other, &(AuditQuery){0});
        tap_is_str(others, "", "and nobody else");
}

/* What goes out has the bytes that the hash is of. */
static void test_lines(void)
{
        g_autofree char *text = export(&root, &(AuditQuery){.before_seq = 4});
        g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
        AuditHead last = {.hash = AUDIT_HASH_OF_NONE};
        bool is_chain = g_strv_length(lines) == 4;

        for (size_t i = 0; is_chain && i < 3; i++) {
                g_autoptr(Json) owner = NULL;
                g_autofree char *wrong = NULL;
                AuditRow row;

                is_chain = audit_line_parse(lines[i], strlen(lines[i]), &row, &owner, NULL) == 0 &&
                           !(wrong = audit_check_row(&last, &row));
        }
        tap_ok(is_chain, "the hash chain can be computed anew from the lines");
        tap_ok(strstr(lines[0], "\"detail\":{\"path\":\"/etc/motd \\u001b\"}") &&
                       strstr(lines[2], "\"detail_text\":\"{ \\\"not\\\""),
               "a detail is an object, or a text where its bytes would be lost");
}

/* -- tampering -------------------------------------------------------------------------------- */

/* The file as `changed` bytes, which it frees; then as it was. */
static void expect_found(const char *name, char *changed, const char *words, const char *what)
{
        g_autofree char *path = audit_path(name), *text = NULL, *wrong = NULL;
        g_autofree char *owned = changed;
        size_t size;

        need(file_read(path, 64 << 20, &text, &size, &fixture.fault), "read");
        (void) g_unlink(path);
        if (changed && !g_file_set_contents(path, changed, -1, NULL))
                tap_bail_out("cannot write");
        wrong = verify_trail(NULL, 0, NULL);
        tap_ok(wrong && strstr(wrong, words), "%s: %s", what, wrong ? wrong : "not found");
        if (!g_file_set_contents(path, text, (gssize) size, NULL))
                tap_bail_out("cannot write");
}

static char *replaced(const char *text, const char *old, const char *new)
{
        const char *at = strstr(text, old);

        return at ? g_strdup_printf("%.*s%s%s", (int) (at - text), text, new, at + strlen(old))
                  : g_strdup("");
}

static void test_tampering(void)
{
        static const char first[] = "000000000001-000000001500.jsonl";
        g_autofree char *path = audit_path(first), *text = NULL;
        size_t size;

        need(file_read(path, 64 << 20, &text, &size, &fixture.fault), "read");
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        g_autofree char *ninth = g_strconcat(lines[8], "\n", NULL);
        g_autofree char *both = g_strconcat(lines[8], "\n", lines[9], "\n", NULL);
        g_autofree char *swapped = g_strconcat(lines[9], "\n", lines[8], "\n", NULL);
        g_autofree char *twice = g_strconcat(lines[8], "\n", lines[8], "\n", NULL);

        expect_found(first,
                     replaced(text, "\"seq\":9,\"time_usec\":1", "\"seq\":9,\"time_usec\":2"),
                     "row 9 was changed", "a changed row of a file is found");
        expect_found(first, replaced(text, ninth, ""), "row 9 is missing", "a dropped one");
        expect_found(first, replaced(text, both, swapped), "row 9 is missing", "swapped ones");
        expect_found(first, replaced(text, ninth, twice), "row 9 was added", "an inserted one");
        expect_found(first, g_strndup(text, size - strlen(lines[1499]) - 1), "row 1500 is missing",
                     "a cut end");
        expect_found(first, g_strdup("garbage\n"), "row 1 is missing", "garbage");
        expect_found(first, NULL, "row 1 is missing", "a file that is not there");
        tap_ok(is_whole(3100), "as they were all is well");

        g_autofree char *missing = audit_path("000000001501-000000002100.jsonl");
        g_autofree char *moved = audit_path("moved");
        (void) g_rename(missing, moved);
        g_autofree char *exported = exported_seqs(&root, &(AuditQuery){0});
        tap_is_str(exported, "refused", "an export that would lack a file fails");
        tap_ok(strstr(fixture.fault.message, "000000001501-000000002100.jsonl") != NULL,
               "and names it");
        (void) g_rename(moved, missing);
}

static int take_head(const AuditRow *row, void *userdata)
{
        AuditHead *head = userdata;

        head->seq = row->seq;
        (void) g_strlcpy(head->hash, row->hash, sizeof head->hash);
        return 0;
}

static void test_heads(void)
{
        AuditHead heads[2] = {{.seq = 0}}, wrong, beyond;
        AuditFilter second = {.first_seq = 2300, .last_seq = 2300};
        g_autofree char *words = NULL;

        need(store_query_audit(fixture.manager->store, &second, take_head, &heads[0],
                               &fixture.fault),
             "audit");
        need(store_load_audit_head(fixture.manager->store, &heads[1], &fixture.fault), "head");
        tap_ok(!(words = verify_trail(heads, 2, NULL)), "heads of before are found in the trail");
        wrong = heads[0];
        wrong.hash[5] = wrong.hash[5] == 'a' ? 'b' : 'a';
        words = verify_trail(&wrong, 1, NULL);
        tap_ok(words && strstr(words, "row 2300 was changed"), "another one is not: %s", words);
        beyond = heads[1];
        beyond.seq += 5;
        g_free(words);
        words = verify_trail(&beyond, 1, NULL);
        tap_ok(words && strstr(words, "row 3101 is missing"),
               "one beyond the end tells that it was cut off: %s", words);
        beyond.hash[0] = 'X';
        g_free(words);
        words = verify_trail(&beyond, 1, NULL);
        tap_is_str(words, "refused", "one that is none is refused");
}

/* A trail that somebody has changed is evidence. */
static void test_broken_is_left(void)
{
        g_autofree char *path = g_build_filename(fixture.directory, "s", "fluid.db", NULL);
        guint before = count_segments();
        sqlite3 *db = NULL;

        append_rows(1000, 0);
        stop_manager();
        if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix") != SQLITE_OK ||
            sqlite3_exec(db,
                         "DROP TRIGGER audit_is_never_changed;"
                         "UPDATE audit SET caller_uid = 0 WHERE seq = 2200",
                         NULL, NULL, NULL) != SQLITE_OK)
                tap_bail_out(sqlite3_errmsg(db));
        (void) sqlite3_close(db);
        start_manager();
        audit_seal_tend(fixture.manager);
        for (unsigned i = 0; i < 20; i++)
                settle();
        tap_ok(count_segments() == before && count_rows() == 2000,
               "rows that somebody has changed are not sealed");
}

/* -- kill -9 ---------------------------------------------------------------------------------- */

static void wait_for_other_files(const char *before)
{
        uint64_t end = now_monotonic_usec() + PATIENCE_USEC;

        for (bool is_same = true; is_same && now_monotonic_usec() < end;) {
                g_autofree char *files = list_files();
                is_same = g_str_equal(files, before);
                g_usleep(200);
        }
}

static void test_killed(void)
{
        unsigned rows = 2500, good = 0, sealed = 0;
        enum { ROUNDS = 15 };

        stop_fixture();
        start_fixture(settings);
        append_rows(rows, 0);
        for (unsigned round = 0; round < ROUNDS; round++) {
                stop_manager();
                g_autofree char *files = list_files();
                int ready[2];
                char byte;
                need(pipe(ready), "pipe");
                pid_t pid = fork();
                if (pid == 0) {
                        need(sd_event_new(&fixture.event), "sd_event_new");
                        start_manager();
                        audit_seal_tend(fixture.manager);
                        need(write(ready[1], "", 1) == 1 ? 0 : -EIO, "write");
                        for (;;)
                                (void) sd_event_run(fixture.event, UINT64_MAX);
                }
                /* Every moment has to be a good one: soon, and around that of the next file. */
                need(read(ready[0], &byte, 1) == 1 ? 0 : -EIO, "read");
                (void) close(ready[0]);
                (void) close(ready[1]);
                if (round % 3 > 0)
                        wait_for_other_files(files);
                g_usleep(2 * USEC_PER_MSEC * round);
                (void) kill(pid, SIGKILL);
                (void) waitpid(pid, NULL, 0);
                start_manager();
                good += is_whole(rows);
                sealed = count_segments();
                append_rows(600, 0);
                rows += 600;
        }
        tap_ok(good == ROUNDS && sealed > 0,
               "killed at %u moments, with %u files sealed: nothing is lost, or there twice",
               ROUNDS, sealed);
        seal_until(has_rows, 1000);
        tap_ok(is_whole(rows), "and it goes on");
}

/* -- age -------------------------------------------------------------------------------------- */

static void test_age(void)
{
        g_autofree char *files = NULL;

        stop_fixture();
        start_fixture("stop_timeout = 0s\naudit_keep = 7d\n");
        append_rows(520, 8 * DAY_USEC);
        append_rows(100, 6 * DAY_USEC);
        seal_until(has_rows, 100);
        files = list_files();
        tap_is_str(files, "000000000001-000000000520.jsonl", "what is old goes, and nothing else");
        append_rows(3, 9 * DAY_USEC);
        audit_seal_tend(fixture.manager);
        settle();
        tap_ok(is_whole(623), "a clock that went back does no harm");

        stop_fixture();
        start_fixture("stop_timeout = 0s\naudit_keep = 7d\n");
        append_rows(3, 7 * DAY_USEC + DAY_USEC / 2);
        audit_seal_tend(fixture.manager);
        settle();
        tap_ok(count_segments() == 0, "a few rows that have just grown old wait for more");
        stop_fixture();
        start_fixture("stop_timeout = 0s\naudit_keep = 7d\n");
        append_rows(3, 8 * DAY_USEC + DAY_USEC / 2);
        seal_until(has_rows, 0);
        tap_ok(is_whole(3), "but for no longer than a day");
}

int main(void)
{
        start_fixture(settings);
        test_few();
        test_sealed();
        test_after_stop();
        test_queries();
        test_lines();
        test_tampering();
        test_heads();
        test_broken_is_left();
        test_killed();
        test_age();
        stop_fixture();
        return tap_done();
}
