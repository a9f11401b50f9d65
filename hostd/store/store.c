/* SPDX-License-Identifier: MIT */
#include "store/sql.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- opening a file ------------------------------------------------------------------------- */

/* Before anything is read: nobody else may have it open, and no schema is trusted. */
static const char *const pragmas_before[] = {
        "PRAGMA locking_mode = EXCLUSIVE",
        "PRAGMA trusted_schema = OFF",
        "PRAGMA cell_size_check = ON",
        "PRAGMA temp_store = MEMORY",
};

/* Once it is known to be ours and whole. */
static const char *const pragmas_after[] = {
        "PRAGMA synchronous = FULL",
        "PRAGMA foreign_keys = ON",
        "PRAGMA secure_delete = OFF",
        "PRAGMA journal_size_limit = 8388608",
};

enum { BUSY_TIMEOUT_MSEC = 250 };

static int run_pragmas(Store *s, const char *const *pragmas, size_t n, Fault *f)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < n; i++)
                r = sql_execute(s, pragmas[i], "configure", f);
        return r;
}

static int connect_file(Store *s, Fault *f)
{
        int rc = sqlite3_open_v2(
                s->path, &s->db,
                SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

        if (!s->db)
                return fault_set(f, FAULT_NO_MEMORY, "cannot open the database '%s'", s->path);
        if (rc != SQLITE_OK)
                return sql_fail(s, rc, "open a connection", f);
        (void) sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MSEC);
        (void) sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, 0);
        (void) sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        (void) sqlite3_db_config(s->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
        (void) sqlite3_db_config(s->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
        return run_pragmas(s, pragmas_before, G_N_ELEMENTS(pragmas_before), f);
}

/* What the file's header says (sqlite.org/fileformat2.html, offset 18). SQLite 3.40 answers "wal"
 * to the pragma even where writing the header failed, and goes on with a rollback journal. */
static bool is_written_ahead(Store *s)
{
        sqlite3_file *file = NULL;
        uint8_t versions[2];

        return sqlite3_file_control(s->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK &&
               file->pMethods &&
               file->pMethods->xRead(file, versions, sizeof versions, 18) == SQLITE_OK &&
               versions[0] == 2 && versions[1] == 2;
}

static int set_journal_mode(Store *s, Fault *f)
{
        int r = sql_execute(s, "PRAGMA journal_mode = WAL", "configure", f);

        if (r < 0 || is_written_ahead(s))
                return r;
        return fault_set(f, FAULT_IO, "cannot switch the database '%s' to write-ahead logging",
                         s->path);
}

static int quick_check(Store *s, Fault *f)
{
        sqlite3_stmt *statement;
        int r = sql_prepare(s, "PRAGMA quick_check(1)", &statement, f);

        if (r < 0)
                return r;
        int rc = sqlite3_step(statement);
        const char *text =
                rc == SQLITE_ROW ? (const char *) sqlite3_column_text(statement, 0) : NULL;
        const char *line = text ? strrchr(text, '\n') : NULL; /* after SQLite's heading */
        if (rc != SQLITE_ROW)
                r = sql_fail(s, rc, "check the pages", f);
        else if (g_strcmp0(text, "ok") != 0)
                r = fault_set(f, FAULT_IO,
                              "the database '%s' is damaged (%s); put a backup in its place, "
                              "nothing begins it anew",
                              s->path,
                              line   ? line + 1
                              : text ? text
                                     : "no answer");
        (void) sqlite3_reset(statement);
        return r;
}

static void finalize(void *statement)
{
        (void) sqlite3_finalize(statement);
}

/* A file that exists; it may be empty. */
static int open_file(const char *path, Store **ret, Fault *f)
{
        g_autoptr(Store) s = g_new0(Store, 1);
        int version;

        s->path = g_strdup(path);
        s->statements = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, finalize);
        int r = connect_file(s, f);
        if (r == 0)
                r = migrate_check(s, &version, f);
        if (r == 0)
                r = quick_check(s, f);
        if (r == 0)
                r = set_journal_mode(s, f);
        if (r == 0)
                r = run_pragmas(s, pragmas_after, G_N_ELEMENTS(pragmas_after), f);
        if (r == 0)
                r = migrate(s, version, f);
        if (r == 0)
                r = audit_load_times(s, f);
        if (r == 0)
                r = sql_prepare_undo(s, f);
        if (r == 0)
                *ret = TAKE_PTR(s);
        return r;
}

/* -- creating a file ------------------------------------------------------------------------ */

/* The file's log was lost or left over: with a log of another file, SQLite would mix the two. */
static int check_no_log(const char *path, Fault *f)
{
        g_autofree char *log = g_strconcat(path, "-wal", NULL);
        struct stat st;

        if (stat(log, &st) < 0)
                return errno == ENOENT
                               ? 0
                               : fault_set_errno(f, FAULT_IO, errno, "cannot look at '%s'", log);
        if (st.st_size == 0)
                return 0;
        return fault_set(
                f, FAULT_IO,
                "the database '%s' is missing, but its log '%s' is there: put the database "
                "back, or move the log away to begin with an empty one",
                path, log);
}

static int touch_file(const char *path, Fault *f)
{
        autofd fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

        return fd < 0 ? fault_set_errno(f, FAULT_IO, errno, "cannot create the database '%s'", path)
                      : 0;
}

/* All into the file, nothing left in its log, so that it can be renamed. */
static int fill_file(const char *path, Fault *f)
{
        g_autoptr(Store) s = NULL;
        int r = touch_file(path, f);

        if (r == 0)
                r = open_file(path, &s, f);
        return r < 0 ? r
                     : sql_execute(s, "PRAGMA wal_checkpoint(TRUNCATE)", "write back the log", f);
}

/* Filled under another name: a database that has its own is never empty. What a crash left under
 * the other name is completed. */
static int create_file(const char *path, Fault *f)
{
        g_autofree char *partial = g_strconcat(path, ".new", NULL);
        g_autofree char *directory = g_path_get_dirname(path);

        int r = check_no_log(path, f);
        if (r == 0)
                r = fill_file(partial, f);
        if (r == 0)
                r = sync_path(partial, f);
        if (r < 0)
                return r;
        if (rename(partial, path) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot rename '%s'", partial);
        r = sync_path(directory, f);
        if (r == 0)
                log_fields(LOG_NOTICE, NULL, "created the database '%s'", path);
        return r;
}

/* -- public --------------------------------------------------------------------------------- */

int store_open(const char *path, Store **ret, Fault *f)
{
        struct stat st;
        int r = 0;

        if (stat(path, &st) == 0) {
                if (st.st_size == 0)
                        r = fault_set(
                                f, FAULT_IO,
                                "the database '%s' is empty, which it never was: put a backup in "
                                "its place, or remove it to begin with an empty one",
                                path);
        } else if (errno == ENOENT) {
                r = create_file(path, f);
        } else {
                r = fault_set_errno(f, FAULT_IO, errno, "cannot look at the database '%s'", path);
        }
        return r < 0 ? r : open_file(path, ret, f);
}

Store *store_free(Store *s)
{
        if (!s)
                return NULL;
        g_hash_table_unref(s->statements);
        (void) audit_batch_free(s->untold);
        g_clear_pointer(&s->audit_blocks, g_array_unref);
        g_warn_if_fail(sqlite3_close(s->db) == SQLITE_OK);
        g_free(s->path);
        g_free(s);
        return NULL;
}

int store_begin(Store *s, Fault *f)
{
        g_assert(!s->in_transaction);
        int r = sql_execute(s, "BEGIN IMMEDIATE", "begin", f);
        s->in_transaction = r == 0;
        return r;
}

int store_commit(Store *s, Fault *f)
{
        g_assert(s->in_transaction);
        int r = sql_execute(s, "COMMIT", "commit", f);
        if (r < 0)
                store_rollback(s);
        s->in_transaction = false;
        sql_tell_audit(s, r == 0);
        return r;
}

void store_rollback(Store *s)
{
        s->in_transaction = false;
        sql_tell_audit(s, false);
        sql_abandon(s);
}
