/* SPDX-License-Identifier: MIT */
#pragma once

/* What can be done with a host, as a table: for the tests that let each fail at each of its steps.
 */

#include "tests/core/world.h"

#include <sqlite3.h>

/* Time does not pass, and three snapshots make a chain as long as it may be. */
static const char operation_settings[] =
        "stop_timeout = 0s\nttl_default = infinity\nchain_depth_max = 4\nverify_user = nobody\n";

typedef struct Operation {
        const char *name;
        const char *kind; /* in the trail */
        void (*prepare)(void);
        /* To its end; a negative errno if it did not get there. */
        int (*attempt)(void);
        /* It was done, wholly. */
        bool (*is_done)(void);
        /* What the guest wrote before has to be there afterwards, done or not. */
        bool keeps_data;
        /* So has what it has in its memory (SESSION), unless it was done. */
        bool keeps_memory;
} Operation;

/* -- the guest's data ------------------------------------------------------------------------- */

#define DATA "what the guest wrote"

/* The guest of "web" writes to its disk. */
static inline void write_data(void)
{
        g_autofree char *path = fake_host_disk(get_sandbox("web")->row->id.text, 0);
        autofd fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

        need(fd < 0 ? -errno : write_all(fd, DATA, strlen(DATA)), "write");
}

static inline bool layer_has_data(const Sandbox *s, unsigned layer)
{
        g_autofree char *path = sandbox_layer_path(s->manager, s->row->id.text, layer, "vda");
        g_autofree char *text = NULL;

        return g_file_get_contents(path, &text, NULL, NULL) && strstr(text, DATA);
}

/* Whether it is in a layer of the chain that the sandbox stands on. */
static inline bool has_data(const char *sandbox)
{
        const Sandbox *s = get_sandbox(sandbox);
        bool found = s && layer_has_data(s, s->row->layer);

        for (const Snapshot *p = s ? snapshot_head(s) : NULL; p && !found;
             p = snapshot_by_id(s->manager, p->row->parent_id.text))
                found = layer_has_data(s, p->row->layer);
        return found;
}

/* -- the guest's memory ----------------------------------------------------------------------- */

#define SESSION "what the guest has in its memory"

/* It runs with it, or stands still with it, or it is in a file. */
static inline bool has_memory(const char *sandbox)
{
        const Sandbox *s = get_sandbox(sandbox);
        g_autofree char *path = NULL, *text = NULL;

        if (!s)
                return false;
        if (s->state == SANDBOX_PAUSED && fake_host_domain(s->row->id.text) == DOMAIN_SHUT_OFF) {
                path = sandbox_file(s->manager, s->row->id.text, "paused.state");
                return g_file_get_contents(path, &text, NULL, NULL) && strstr(text, SESSION);
        }
        text = fake_host_memory(s->row->id.text);
        return (s->state == SANDBOX_READY || s->state == SANDBOX_PAUSED) &&
               g_strcmp0(text, SESSION) == 0;
}

/* -- the operations --------------------------------------------------------------------------- */

static inline void prepare_template(void)
{
        need(import_image("base", IMAGE), "import");
}

static inline void prepare_unused_template(void)
{
        need(import_image("other", IMAGE), "import");
}

static inline void prepare_ready(void)
{
        (void) ready_sandbox("web");
        write_data();
        fake_host_set_memory(get_sandbox("web")->row->id.text, SESSION);
}

static inline void prepare_stopped(void)
{
        prepare_ready();
        need(stop_sandbox("web", true), "stop");
}

static inline void prepare_snapshot(void)
{
        prepare_ready();
        need(take_snapshot("web", "s"), "snapshot");
}

static inline void prepare_stopped_snapshot(void)
{
        prepare_snapshot();
        need(stop_sandbox("web", true), "stop");
}

static inline void prepare_unused_snapshot(void)
{
        prepare_snapshot();
        need(restore_snapshot("web", "template"), "restore");
        write_data();
}

static inline char *foreign_disk(void)
{
        return g_build_filename(fixture.directory, "foreign.img", NULL);
}

static inline void prepare_foreign(void)
{
        g_autofree char *disk = foreign_disk();

        need(g_file_set_contents(disk, IMAGE, -1, NULL) ? chmod(disk, 0644) : -EIO, disk);
        prepare_template();
}

static inline int unless(bool good)
{
        return good ? 0 : -EIO;
}

static inline int attempt_import(void)
{
        return import_image("other", IMAGE);
}

static inline int attempt_clone(void)
{
        TemplateSpec spec = {.name = "other",
                             .domain = "foreign",
                             .image_fd = -1,
                             .kernel_fd = -1,
                             .initrd_fd = -1};
        g_autofree char *disk = foreign_disk();

        fake_host_add_foreign("foreign", disk);
        return import_template(&spec, NULL);
}

static inline int attempt_remove(void)
{
        return remove_template("other");
}

static inline int attempt_create(void)
{
        int r = create_sandbox("new");

        return r < 0 ? r : unless(g_str_equal(state_of("new"), "ready"));
}

static inline int attempt_start(void)
{
        int r = start_sandbox("web");

        return r < 0 ? r : unless(g_str_equal(state_of("web"), "ready"));
}

static inline int attempt_stop(void)
{
        int r = stop_sandbox("web", true);

        return r < 0 ? r : unless(g_str_equal(state_of("web"), "stopped"));
}

static inline int attempt_press(void)
{
        int r = stop_sandbox("web", false);

        return r < 0 ? r : unless(g_str_equal(state_of("web"), "stopped"));
}

static inline int attempt_snapshot(void)
{
        return take_snapshot("web", "t");
}

static inline int attempt_restore(void)
{
        return restore_snapshot("web", "s");
}

static inline int attempt_delete(void)
{
        return delete_snapshot("web", "s");
}

static inline int attempt_destroy(void)
{
        return destroy_sandbox("web");
}

static inline int attempt_diff(void)
{
        return compare_points("web", "template", "now", NULL);
}

static inline int attempt_exec(void)
{
        Command *c;
        int r = start_command("web", ARGV("true"), &c);

        if (r == 0)
                r = end_command(c);
        return r < 0 ? r : unless(g_str_equal(command_row(c)->state, "exited"));
}

static inline int attempt_extend(void)
{
        return sandbox_extend_ttl(get_sandbox("web"), &fixture.caller, 3600 * USEC_PER_SEC,
                                  fresh_fault());
}

static inline bool is_imported(void)
{
        return get_template("other");
}

static inline bool is_removed(void)
{
        return !get_template("other");
}

static inline bool is_created(void)
{
        return get_sandbox("new");
}

static inline bool is_ready_now(void)
{
        return g_str_equal(state_of("web"), "ready");
}

static inline bool is_stopped_now(void)
{
        return g_str_equal(state_of("web"), "stopped");
}

static inline bool is_taken(void)
{
        return snapshot_find(get_sandbox("web"), "t");
}

static inline bool is_restored(void)
{
        Sandbox *s = get_sandbox("web");

        return g_str_equal(sandbox_head_name(s), "s") && s->row->layer > 2;
}

static inline bool is_deleted(void)
{
        return !snapshot_find(get_sandbox("web"), "s");
}

static inline bool is_destroyed(void)
{
        return !get_sandbox("web");
}

static inline bool is_extended(void)
{
        return get_sandbox("web")->row->expires_usec != 0;
}

static const Operation operations[] = {
        {"importing a template", "template.import", prepare_template, attempt_import, is_imported,
         false, false},
        {"cloning a domain", "template.import", prepare_foreign, attempt_clone, is_imported, false,
         false},
        {"removing a template", "template.remove", prepare_unused_template, attempt_remove,
         is_removed, false, false},
        {"creating a sandbox", "sandbox.create", prepare_template, attempt_create, is_created,
         false, false},
        {"starting one", "sandbox.start", prepare_stopped, attempt_start, is_ready_now, true,
         false},
        {"pulling its plug", "sandbox.stop", prepare_ready, attempt_stop, is_stopped_now, true,
         false},
        {"pressing its power button", "sandbox.stop", prepare_ready, attempt_press, is_stopped_now,
         true, false},
        {"a snapshot of a running one", "snapshot.create", prepare_ready, attempt_snapshot,
         is_taken, true, true},
        {"a snapshot of a stopped one", "snapshot.create", prepare_stopped, attempt_snapshot,
         is_taken, true, false},
        {"restoring a running one", "snapshot.restore", prepare_snapshot, attempt_restore,
         is_restored, true, false},
        {"restoring a stopped one", "snapshot.restore", prepare_stopped_snapshot, attempt_restore,
         is_restored, true, false},
        {"deleting a snapshot", "snapshot.delete", prepare_unused_snapshot, attempt_delete,
         is_deleted, true, false},
        {"a diff of a running one", "sandbox.diff", prepare_ready, attempt_diff, NULL, true, true},
        {"a diff of a stopped one", "sandbox.diff", prepare_stopped, attempt_diff, NULL, true,
         false},
        {"a command", "command.exec", prepare_ready, attempt_exec, NULL, true, true},
        {"extending its time", "sandbox.extend", prepare_ready, attempt_extend, is_extended, true,
         true},
        {"destroying one", "sandbox.destroy", prepare_ready, attempt_destroy, is_destroyed, false,
         false},
};

/* -- steps ------------------------------------------------------------------------------------ */

/* The commits of the store, counted from the last arm_commits() on. */
static struct {
        bool are_calls; /* their ends count as calls into the host, see fake_host_step(), and so do
                         * their beginnings after such a call */
        unsigned n, fail_at, calls;
} commits;

static inline void arm_commits(bool are_calls, unsigned fail_at)
{
        commits.are_calls = are_calls;
        commits.n = commits.calls = 0;
        commits.fail_at = fail_at;
}

static inline int on_committed(void *userdata, sqlite3 *db, const char *name, int pages)
{
        (void) userdata;
        (void) db;
        (void) name;
        (void) pages;
        if (commits.are_calls)
                (void) fake_host_step("the end of a commit");
        commits.calls = fake_host_calls();
        return SQLITE_OK;
}

static inline int on_commit(void *db)
{
        /* SQLite sets one of its own when a file is opened. */
        (void) sqlite3_wal_hook(db, on_committed, NULL);
        commits.n++;
        if (commits.are_calls && fake_host_calls() > commits.calls)
                (void) fake_host_step("a commit");
        return commits.n == commits.fail_at;
}

static inline int on_connection(sqlite3 *db, char **error, const struct sqlite3_api_routines *api)
{
        (void) error;
        (void) api;
        (void) sqlite3_commit_hook(db, on_commit, db);
        return SQLITE_OK;
}

/* Once, before any store is opened. */
static inline void watch_commits(void)
{
        need(sqlite3_auto_extension((void (*)(void)) on_connection) == SQLITE_OK ? 0 : -EIO,
             "SQLite");
}
