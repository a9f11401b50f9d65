/* SPDX-License-Identifier: MIT */
#include "store/migrations.h"
#include "store/sql.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define APPLICATION_ID 0x666c7569 /* "flui", set by the first migration */

int migrate_check(Store *s, int *ret_version, Fault *f)
{
        int64_t version = 0, application = 0, tables = 0;
        int newest = migrations[migrations_count - 1].number;

        int r = sql_get_int64(s, "PRAGMA user_version", &version, f);
        if (r == 0)
                r = sql_get_int64(s, "PRAGMA application_id", &application, f);
        if (r == 0)
                r = sql_get_int64(s, "SELECT count(*) FROM sqlite_schema", &tables, f);
        if (r < 0)
                return r;
        if (application != (version == 0 ? 0 : APPLICATION_ID) || (version == 0 && tables > 0))
                return fault_set(f, FAULT_IO,
                                 "'%s' is a database, but not one of fluid's: move it away",
                                 s->path);
        if (version < 0 || version > newest)
                return fault_set(
                        f, FAULT_IO,
                        "the database '%s' was written by a newer fluid (version %" PRId64
                        " of its tables, this one knows %d): install that fluid again, or put "
                        "the backup '%s.before-%03d' in its place",
                        s->path, version, newest, s->path, newest + 1);
        *ret_version = (int) version;
        return 0;
}

static int copy_pages(Store *s, const char *path, Fault *f)
{
        sqlite3 *copy = NULL;
        int rc = sqlite3_open_v2(path, &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

        if (rc == SQLITE_OK) {
                sqlite3_backup *backup = sqlite3_backup_init(copy, "main", s->db, "main");
                if (backup) {
                        (void) sqlite3_backup_step(backup, -1);
                        (void) sqlite3_backup_finish(backup);
                }
                rc = sqlite3_extended_errcode(copy);
        }
        (void) sqlite3_close(copy);
        return rc == SQLITE_OK ? 0 : sql_fail(s, rc, "make a backup before a migration", f);
}

/* Under another name until it is whole and on disk. */
static int make_backup(Store *s, int number, Fault *f)
{
        g_autofree char *path = g_strdup_printf("%s.before-%03d", s->path, number);
        g_autofree char *partial = g_strconcat(path, ".partial", NULL);
        g_autofree char *directory = g_path_get_dirname(path);
        autofd fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot create the backup '%s'",
                                       partial);
        int r = copy_pages(s, partial, f);
        if (r == 0)
                r = sync_path(partial, f);
        if (r == 0 && rename(partial, path) < 0)
                r = fault_set_errno(f, FAULT_IO, errno, "cannot rename the backup '%s'", partial);
        if (r < 0) {
                (void) unlink(partial);
                return r;
        }
        return sync_path(directory, f);
}

static int run_script(Store *s, const Migration *migration, Fault *f)
{
        g_autofree char *what = g_strdup_printf("run migration %s", migration->name);
        g_autofree char *version = g_strdup_printf("PRAGMA user_version = %d", migration->number);
        int64_t wrong = 0;

        int rc = sqlite3_exec(s->db, migration->sql, NULL, NULL, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_exec(s->db, version, NULL, NULL, NULL);
        if (rc != SQLITE_OK)
                return sql_fail(s, rc, what, f);
        int r = sql_get_int64(s, "SELECT count(*) FROM pragma_foreign_key_check", &wrong, f);
        if (r == 0 && wrong > 0)
                r = fault_set(f, FAULT_INTERNAL,
                              "cannot %s in the database '%s': %" PRId64
                              " rows would refer to none",
                              what, s->path, wrong);
        return r;
}

static int run_migration(Store *s, const Migration *migration, Fault *f)
{
        int r = store_begin(s, f);

        if (r < 0)
                return r;
        r = run_script(s, migration, f);
        if (r < 0) {
                store_rollback(s);
                return r;
        }
        r = store_commit(s, f);
        if (r == 0)
                log_info("database '%s': applied migration %s", s->path, migration->name);
        return r;
}

int migrate(Store *s, int version, Fault *f)
{
        size_t done = (size_t) version;
        int r = 0;

        if (done == migrations_count)
                return 0;
        if (done > 0)
                r = make_backup(s, migrations[done].number, f);
        /* A script may rebuild a table that others refer to; within a transaction this has no
         * effect. */
        if (r == 0)
                r = sql_execute(s, "PRAGMA foreign_keys = OFF", "configure", f);
        for (size_t i = done; r == 0 && i < migrations_count; i++)
                r = run_migration(s, &migrations[i], f);
        if (r == 0)
                r = sql_execute(s, "PRAGMA foreign_keys = ON", "configure", f);
        return r;
}
