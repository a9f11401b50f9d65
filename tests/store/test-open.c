/* SPDX-License-Identifier: MIT */
#include "tests/store/rows.h"

#include "tests/store/bad-disk.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "store/migrations.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *directory;

/* -- helpers -------------------------------------------------------------------------------- */

static char *path_of(const char *name)
{
        return g_build_filename(directory, name, NULL);
}

/* Tries to open; expects that result and these words in the reason. */
static void expect_refused(const char *name, int expected, const char *words, const char *what)
{
        g_autofree char *path = path_of(name);
        g_autoptr(Store) s = NULL;
        Fault fault = {0};

        tap_is_int(store_open(path, &s, &fault), expected, "%s is refused", what);
        tap_ok(strstr(fault.message, words) != NULL, "and it is said why: %s", fault.message);
}

static void put_templates(const char *name, unsigned n)
{
        g_autoptr(Store) s = open_store(directory, name);

        for (unsigned i = 1; i <= n; i++) {
                g_autoptr(TemplateRow) row = new_template(i);
                if (store_put_template(s, row, NULL) < 0)
                        tap_bail_out("cannot put a template");
        }
}

static void overwrite(const char *name, const void *bytes, size_t size, off_t offset)
{
        g_autofree char *path = path_of(name);
        autofd fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        if (fd < 0 || pwrite(fd, bytes, size, offset) != (ssize_t) size)
                tap_bail_out("cannot write to a file");
}

/* A database as the first migration left it, with a row. */
static void make_first_version(const char *name)
{
        g_autofree char *sql = g_strconcat(
                migrations[0].sql,
                "PRAGMA user_version = 1; PRAGMA journal_mode = WAL;"
                "INSERT INTO templates VALUES ('000000000001', 'old', 'ready', 'image', '', 1,"
                " NULL, NULL, NULL, NULL, NULL, 1, 1, 1, 0);",
                NULL);
        g_autofree char *path = path_of(name);

        (void) unlink(path);
        g_free(run_sql(directory, name, sql));
}

/* A database as the second migration left it, with all that a host may have had. */
static void make_second_version(const char *name)
{
        static const char rows[] =
                "PRAGMA user_version = 2; PRAGMA journal_mode = WAL;"
                "INSERT INTO templates VALUES ('000000000001', 'base', 'ready', 'image', '', 1,"
                " NULL, NULL, NULL, NULL, NULL, 1, 1, 1, 0);"
                "INSERT INTO template_disks VALUES ('000000000001', 0, 'vda', '/x', 'raw', 1, 1, 1);"
                "INSERT INTO sandboxes VALUES ('00000000000b', 'web', 'ada', 1000, 'ready', '',"
                " '000000000001', '000000000016', 3, 4, 2, 1048576, 5, 6, 7, 'none', '{}'),"
                " ('00000000000a', 'db', '', 1000, 'stopped', 'off', '000000000001', NULL, 1, 2, 1,"
                " 1048576, 5, 8, 0, 'none', '{\"a\":\"b\"}');"
                "INSERT INTO snapshots VALUES"
                " ('000000000015', '00000000000b', 'one', NULL, 1, 'ready', 'frozen', '', 9, 10),"
                " ('000000000016', '00000000000b', NULL, '000000000015', 2, 'ready', 'off', '', 9,"
                " 11);"
                "INSERT INTO commands VALUES ('00000000001f', '00000000000b', '[\"true\"]', 'exited',"
                " '', 0, 0, 1, 1, 0, 1, 1, 0, 0, 1, 2);";
        g_autofree char *sql = g_strconcat(migrations[0].sql, migrations[1].sql, rows, NULL);

        g_free(run_sql(directory, name, sql));
}

/* -- opening -------------------------------------------------------------------------------- */

static void test_settings(void)
{
        g_autofree char *path = path_of("new"), *log = path_of("new-wal"),
                        *partial = path_of("new.new");
        g_autoptr(Store) s = open_store(directory, "new");
        struct stat st;

        tap_ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600,
               "a new database is readable by its owner only");
        tap_ok(access(log, F_OK) == 0, "it is written ahead");
        tap_ok(access(partial, F_OK) < 0, "nothing of its making is left");
        s = store_free(s);
        tap_ok(access(log, F_OK) < 0, "closing leaves one file");
        g_autofree char *version = run_sql(directory, "new", "PRAGMA user_version");
        tap_is_int(atoi(version), (int) migrations_count,
                   "its version is that of the last migration");
}

static void test_second_opener(void)
{
        g_autoptr(Store) s = open_store(directory, "shared");

        (void) fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
                g_autofree char *path = path_of("shared");
                Store *second = NULL;
                Fault fault = {0};
                int r = store_open(path, &second, &fault);
                _exit(r == -EBUSY && fault.code == FAULT_BUSY ? 0 : 1);
        }
        int status = -1;
        (void) waitpid(child, &status, 0);
        tap_is_int(status, 0, "a second process is refused");
        expect_refused("shared", -EBUSY, "second fluid-hostd", "a second opener");
        g_autoptr(TemplateRow) row = new_template(1);
        tap_is_int(store_put_template(s, row, NULL), 0, "the first goes on");
}

static void test_damage(void)
{
        static const char noise[8192] = "fluid";

        overwrite("text", noise, sizeof noise, 0);
        expect_refused("text", -EIO, "damaged", "a file that is no database");
        g_autofree char *text = path_of("text"), *bytes = NULL;
        size_t size;
        tap_ok(g_file_get_contents(text, &bytes, &size, NULL) && size == sizeof noise &&
                       memcmp(bytes, noise, size) == 0,
               "and left as it was");

        put_templates("torn", 200);
        overwrite("torn", noise, 4096, 4096 * 20);
        expect_refused("torn", -EIO, "damaged", "a database with a page of noise");
        put_templates("short", 200);
        g_autofree char *cut = path_of("short");
        tap_is_int(truncate(cut, 4096 * 21), 0, "a file can be cut");
        expect_refused("short", -EIO, "damaged", "a database cut short");
        overwrite("empty", "", 0, 0);
        expect_refused("empty", -EIO, "is empty", "an empty file");
        overwrite("missing-wal", noise, 100, 0);
        expect_refused("missing", -EIO, "is missing", "a log without its database");
        g_free(run_sql(directory, "foreign", "CREATE TABLE notes (text)"));
        expect_refused("foreign", -EIO, "not one of fluid's", "somebody else's database");
}

/* -- migrations ----------------------------------------------------------------------------- */

static void test_newer(void)
{
        put_templates("newer", 1);
        g_free(run_sql(directory, "newer", "PRAGMA user_version = 999"));
        expect_refused("newer", -EIO, "newer fluid", "a database of a newer version");
        g_autofree char *version = run_sql(directory, "newer", "PRAGMA user_version");
        tap_is_str(version, "999", "and left as it was");
}

static void test_migration(void)
{
        g_autofree char *partial = path_of("old.before-002.partial");
        g_autoptr(GPtrArray) rows = NULL;

        make_first_version("old");
        g_autoptr(Store) s = open_store(directory, "old");
        (void) store_load_templates(s, &rows, NULL);
        tap_is_int(rows->len, 1, "a migration keeps the rows");
        AuditRow audit = audit_row("template.import", "");
        tap_is_int(store_append_audit(s, &audit, NULL), 0, "and brings the new tables");
        g_autofree char *version = run_sql(directory, "old.before-002", "PRAGMA user_version");
        tap_is_str(version, "1", "the backup has the version of before");
        g_autofree char *name = run_sql(directory, "old.before-002", "SELECT name FROM templates");
        tap_is_str(name, "old", "and the rows of before");
        tap_ok(access(partial, F_OK) < 0, "nothing of its making is left");
}

static void test_memory_migration(void)
{
        g_autoptr(GPtrArray) templates = NULL, sandboxes = NULL, snapshots = NULL, commands = NULL;
        const SnapshotRow *first, *hidden;
        const SandboxRow *web, *db;
        const TemplateRow *base;

        make_second_version("second");
        g_autoptr(Store) s = open_store(directory, "second");
        if (store_load_templates(s, &templates, NULL) < 0 ||
            store_load_sandboxes(s, &sandboxes, NULL) < 0 ||
            store_load_snapshots(s, &snapshots, NULL) < 0 ||
            store_load_commands(s, &commands, NULL) < 0)
                tap_bail_out("cannot read the store");
        tap_ok(templates->len == 1 && sandboxes->len == 2 && snapshots->len == 2 &&
                       commands->len == 1,
               "the migration of the sandboxes keeps what stands on them");
        if (sandboxes->len != 2 || snapshots->len != 2)
                return;
        base = templates->pdata[0];
        web = sandboxes->pdata[0];
        db = sandboxes->pdata[1];
        first = snapshots->pdata[0];
        hidden = snapshots->pdata[1];
        tap_ok(!base->is_warm && base->pool == 0 && base->disks->len == 1,
               "a template of before is not warm and has no pool");
        tap_ok(g_str_equal(web->name, "web") && g_str_equal(db->name, "db"),
               "sandboxes keep their order");
        tap_ok(web->layer == 3 && web->next_layer == 4 &&
                       g_str_equal(web->head_snapshot_id.text, "000000000016") && web->vcpus == 2 &&
                       web->memory_bytes == 1048576 && web->boot_timeout_usec == 5 &&
                       web->created_usec == 6 && web->expires_usec == 7 && web->owner_uid == 1000 &&
                       g_str_equal(web->agent, "ada"),
               "and their fields");
        tap_ok(g_str_equal(db->state, "stopped") && g_str_equal(db->reason, "off") &&
                       !*db->head_snapshot_id.text && db->expires_usec == 0 &&
                       g_str_equal(db->labels, "{\"a\":\"b\"}"),
               "all of them");
        tap_ok(g_str_equal(web->purpose, "") && !web->is_flat && !web->needs_identity &&
                       g_str_equal(web->started_from, "boot") && web->idle_timeout_usec == 0 &&
                       web->paused_usec == 0,
               "they booted, are somebody's, and are not paused");
        tap_ok(g_str_equal(first->name, "one") && !hidden->name &&
                       g_str_equal(hidden->parent_id.text, "000000000015") && !first->memory_abi &&
                       first->memory_bytes == 0 && !first->is_flat,
               "snapshots have no memory");
        s = store_free(s);
        g_autofree char *wrong =
                run_sql(directory, "second", "SELECT count(*) FROM pragma_foreign_key_check");
        tap_is_str(wrong, "0", "no row refers to none");
        s = open_store(directory, "second");
        tap_is_int(store_delete_sandbox(s, "00000000000b", NULL), 0, "one can be deleted");
        g_clear_pointer(&snapshots, g_ptr_array_unref);
        (void) store_load_snapshots(s, &snapshots, NULL);
        tap_is_int(snapshots->len, 0, "and its snapshots go with it, as before");
        g_autofree char *version = run_sql(directory, "second.before-003", "PRAGMA user_version");
        tap_is_str(version, "2", "the backup has the version of before");
}

/* Lets the nth operation of opening fail; false if it has not so many. What the database then is
 * must be openable, and a whole version: all of a migration, or nothing of it. */
static bool fail_open_once(const char *name, BadDiskKind kind, int result, unsigned n,
                           unsigned *wrong)
{
        g_autofree char *path = path_of(name);
        Store *s = NULL;
        Fault fault = {0};

        bad_disk_arm(kind, n, false, result);
        int r = store_open(path, &s, &fault);
        bad_disk_disarm();
        s = store_free(s);
        *wrong += r < 0 && !fault_is_set(&fault);
        if (access(path, F_OK) == 0) {
                g_autofree char *version = run_sql(directory, name, "PRAGMA user_version");
                int reached = atoi(version);
                *wrong += reached < 1 || reached > (int) migrations_count ||
                          (r == 0 && reached != (int) migrations_count);
        }
        s = open_store(directory, name);
        s = store_free(s);
        return bad_disk.failed;
}

static void test_failing_migration(BadDiskKind kind, int result, const char *what)
{
        unsigned n = 1, tries = 0, wrong = 0;
        bool failed;

        make_first_version("first");
        do {
                copy_database(directory, "first", "upgrade");
                failed = fail_open_once("upgrade", kind, result, n, &wrong);
                n += bad_disk_stride(kind);
                tries++;
        } while (failed && n < 60000);
        tap_ok(!failed && wrong == 0 && tries > 1,
               "%s: each of %u failures of an upgrade leaves a whole version", what, tries - 1);
}

static void test_failing_creation(BadDiskKind kind, int result, const char *what)
{
        g_autofree char *path = path_of("creation");
        unsigned n = 0, wrong = 0;
        bool failed;

        do {
                (void) unlink(path);
                failed = fail_open_once("creation", kind, result, ++n, &wrong);
        } while (failed && n < 60000);
        tap_ok(!failed && wrong == 0 && n > 1,
               "%s: creation is taken up again after each of %u failures", what, n - 1);
}

/* -- what was acknowledged ------------------------------------------------------------------ */

static void test_sync_before_return(void)
{
        g_autoptr(Store) s = open_store(directory, "sync");
        unsigned unsynced = 0;

        for (unsigned i = 1; i <= 50; i++) {
                g_autoptr(TemplateRow) row = new_template(i);
                AuditRow audit = audit_row("template.import", "");
                bad_disk.unsynced_writes = 0;
                (void) store_put_template(s, row, NULL);
                unsynced += bad_disk.unsynced_writes;
                (void) store_append_audit(s, &audit, NULL);
                unsynced += bad_disk.unsynced_writes;
        }
        tap_is_int(unsynced, 0, "nothing that was acknowledged waits for its sync");
}

/* Appends until it is killed; writes each acknowledged seq to the pipe. */
static void append_until_killed(int fd)
{
        Store *s = open_store(directory, "killed");

        for (;;) {
                AuditRow row = audit_row("sandbox.create", "/sandbox/1");
                if (store_append_audit(s, &row, NULL) < 0 ||
                    write(fd, &row.seq, sizeof row.seq) != sizeof row.seq)
                        _exit(1);
        }
}

/* Kills after `rows` more rows are acknowledged; the last seq that was. */
static uint64_t kill_an_appender(unsigned rows)
{
        uint64_t seq, last = 0;
        int fds[2];

        if (pipe(fds) < 0)
                tap_bail_out("cannot make a pipe");
        pid_t child = fork();
        if (child == 0)
                append_until_killed(fds[1]);
        (void) close(fds[1]);
        for (unsigned i = 0; i < rows && read(fds[0], &seq, sizeof seq) == sizeof seq; i++)
                last = seq;
        (void) kill(child, SIGKILL);
        while (read(fds[0], &seq, sizeof seq) == sizeof seq)
                last = seq;
        (void) close(fds[0]);
        (void) waitpid(child, NULL, 0);
        return last;
}

static void test_kill(void)
{
        unsigned lost = 0, broken = 0;

        for (unsigned round = 0; round < 20; round++) {
                uint64_t acknowledged = kill_an_appender(1 + round * 3), rows;
                g_autoptr(Store) s = open_store(directory, "killed");
                g_autofree char *detail = NULL;
                bool intact = false;

                if (store_verify_audit(s, &intact, &rows, &detail, NULL) < 0)
                        tap_bail_out("cannot verify");
                broken += !intact;
                lost += rows < acknowledged || acknowledged == 0;
        }
        tap_is_int(lost, 0, "what was acknowledged before kill -9 is there");
        tap_is_int(broken, 0, "and the chain is whole");
}

int main(void)
{
        bad_disk_install();
        log_set_max_priority(LOG_WARNING);
        directory = test_directory_new();
        test_settings();
        test_second_opener();
        test_damage();
        test_newer();
        test_migration();
        test_memory_migration();
        test_failing_migration(BAD_WRITE, SQLITE_FULL, "disk full");
        test_failing_migration(BAD_SYNC, SQLITE_IOERR_FSYNC, "no sync");
        test_failing_migration(BAD_MEMORY, 0, "no memory");
        test_failing_creation(BAD_WRITE, SQLITE_FULL, "disk full");
        test_failing_creation(BAD_SYNC, SQLITE_IOERR_FSYNC, "no sync");
        test_sync_before_return();
        test_kill();
        test_directory_remove(directory);
        return tap_done();
}
