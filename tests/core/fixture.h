/* SPDX-License-Identifier: MIT */
#pragma once

/* A manager on the host in memory, one loop, one thread but for the workers. Calls that end later
 * are made to look like calls that return: the loop runs until they have ended. Nothing sleeps. */

#include "core/diff.h"
#include "core/internal.h"
#include "core/network.h"
#include "tests/fake/host.h"
#include "tests/socket-unit.h"
#include "tests/tap.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/quantity.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE_USEC (20 * USEC_PER_SEC)
#define IMAGE         "a disk of nothing\n"

static struct {
        char *directory; /* scratch */
        pid_t diff_unit; /* runs what write_program() wrote */
        char *settings;  /* more lines of fluid.conf */
        sd_event *event;
        Manager *manager;
        Caller caller;
        Fault fault;       /* of the call that ended last */
        GHashTable *known; /* objects that the observer was told of; see watch_objects() */
        bool was_told_twice;
        GPtrArray *outcomes; /* of calls that may end later than anybody waits for them */
} fixture;

static inline void need(int r, const char *what)
{
        if (r >= 0)
                return;
        tap_note("%s: %s: %s", what, g_strerror(-r), fixture.fault.message);
        tap_bail_out("the fixture cannot be made");
}

/* -- beginning and end ------------------------------------------------------------------------ */

static inline bool write_to(const char *path, const char *text)
{
        autofd fd = open(path, O_WRONLY | O_CLOEXEC);

        return fd >= 0 && write_all(fd, text, strlen(text)) == 0;
}

/* The daemon gives files to other users. Whoever is not root becomes the root of a namespace of its
 * own, in which the only user is root. */
static inline void become_root(void)
{
        g_autofree char *users = g_strdup_printf("0 %u 1", geteuid());
        g_autofree char *groups = g_strdup_printf("0 %u 1", getegid());

        if (geteuid() == 0)
                return;
        if (unshare(CLONE_NEWUSER) == 0 && write_to("/proc/self/setgroups", "deny") &&
            write_to("/proc/self/uid_map", users) && write_to("/proc/self/gid_map", groups))
                return;
        tap_skip("all of it", "needs to be root, or user namespaces");
        exit(tap_done());
}

/* Runs the loop until nothing is under way and nothing has been left to do. */
static inline void settle(void)
{
        uint64_t end = now_monotonic_usec() + PATIENCE_USEC;

        for (;;) {
                const Manager *m = fixture.manager;
                bool is_busy =
                        m && (workers_pending(m->workers) > fake_host_jobs() || m->operations > 0);
                int r = sd_event_run(fixture.event, is_busy ? 100 * USEC_PER_MSEC : 0);

                need(r, "sd_event_run");
                if (r == 0 && !is_busy)
                        return;
                if (now_monotonic_usec() > end)
                        tap_bail_out("something does not come to its end");
        }
}

static inline bool until(bool (*condition)(void *userdata), void *userdata)
{
        uint64_t end = now_monotonic_usec() + PATIENCE_USEC;

        while (!condition(userdata)) {
                if (now_monotonic_usec() > end)
                        return false;
                need(sd_event_run(fixture.event, 100 * USEC_PER_MSEC), "sd_event_run");
        }
        return true;
}

static inline bool are_held(void *n)
{
        return fake_host_held() >= GPOINTER_TO_UINT(n);
}

/* Until so many calls wait in libvirt. */
static inline void until_held(unsigned n)
{
        if (!until(are_held, GUINT_TO_POINTER(n)))
                tap_bail_out("nobody calls libvirt");
}

static inline Config *new_config(const char *settings)
{
        g_autofree char *text = g_strdup_printf(
                "state_directory = %s/s\nruntime_directory = %s/r\nqemu_user = root\n"
                "qemu_group = root\nworker_threads = 2\nnetworks_file = %s/networks\n"
                "apply_file = %s/apply.conf\n%s",
                fixture.directory, fixture.directory, fixture.directory, fixture.directory,
                settings ? settings : "");
        Config *config;

        need(config_parse("fluid.conf", text, &config, &fixture.fault), "config_parse");
        return config;
}

/* -- what the bus would know ------------------------------------------------------------------ */

static inline void on_known(void *object, void *userdata)
{
        (void) userdata;
        (void) g_hash_table_add(fixture.known, object);
}

static inline void on_object_added(ObjectKind kind, void *object, void *userdata)
{
        (void) kind;
        (void) userdata;
        fixture.was_told_twice |= !g_hash_table_add(fixture.known, object);
}

static inline void on_object_changed(ObjectKind kind, void *object, void *userdata)
{
        (void) kind;
        (void) object;
        (void) userdata;
}

static inline void on_object_removed(ObjectKind kind, void *object, void *userdata)
{
        (void) kind;
        (void) userdata;
        fixture.was_told_twice |= !g_hash_table_remove(fixture.known, object);
}

static inline void on_manager_state(void *userdata)
{
        (void) userdata;
}

static const ManagerObserver object_watcher = {on_object_added, on_object_changed,
                                               on_object_removed, on_manager_state};

/* What everybody may see together, as root does. */
static inline GHashTable *list_visible(void)
{
        GHashTable *kept = fixture.known, *visible = g_hash_table_new(NULL, NULL);
        Caller root = {.uid = 0};

        fixture.known = visible;
        for (ObjectKind kind = 0; kind < _OBJECT_KIND_MAX; kind++)
                manager_foreach(fixture.manager, &root, kind, on_known, NULL);
        fixture.known = kept;
        return visible;
}

static inline void watch_objects(void)
{
        g_clear_pointer(&fixture.known, g_hash_table_unref);
        fixture.known = list_visible();
        fixture.was_told_twice = false;
        manager_set_observer(fixture.manager, &object_watcher, NULL);
}

/* libvirt is reached and everything is compared with it when this returns, if it can be reached. */
static inline void start_manager(void)
{
        need(manager_new(fixture.event, new_config(fixture.settings), &fixture.manager,
                         &fixture.fault),
             "manager_new");
        watch_objects();
        settle();
}

static inline void stop_manager(void)
{
        fixture.manager = manager_free(fixture.manager);
        g_clear_pointer(&fixture.known, g_hash_table_unref);
}

static inline void restart_manager(void)
{
        stop_manager();
        start_manager();
}

/* What fluid-diff would be: tells what it was given. */
#define DIFF_PROGRAM \
        "#!/bin/sh\necho \"$@\"\n" \
        "for i in 3 4 5 6 7 8 9; do [ ! -e /proc/$$/fd/$i ] || readlink /proc/$$/fd/$i; done\n"

static inline void write_program(const char *text)
{
        g_autofree char *path = g_build_filename(fixture.directory, "diff", NULL);

        need(g_file_set_contents(path, text, -1, NULL) ? chmod(path, 0755) : -EIO, path);
}

/* Beside those that are built in. */
#define NETWORKS \
        "[mirror]\nallow = 192.0.2.0/24:443\n" \
        "[names]\nnames = deb.debian.org, *.example.com\n" \
        "[secret]\ninternet = yes\nadmins_only = yes\n"

static inline void write_networks(const char *text)
{
        g_autofree char *path = g_build_filename(fixture.directory, "networks", NULL);

        need(g_file_set_contents(path, text, -1, NULL) ? 0 : -EIO, path);
}

/* What a unit listens at is kept beside the runtime directory, which tests lose. */
static inline void link_units(void)
{
        g_autofree char *runtime = g_build_filename(fixture.directory, "r", NULL);
        g_autofree char *old = g_build_filename(fixture.directory, "fluid-diff.socket", NULL);
        g_autofree char *new = g_build_filename(runtime, "fluid-diff.socket", NULL);

        need(g_mkdir(runtime, 0700) < 0 || link(old, new) < 0 ? -errno : 0, new);
}

static inline void start_units(void)
{
        g_autofree char *program = g_build_filename(fixture.directory, "diff", NULL);

        fixture.diff_unit = socket_unit_start(fixture.directory, "fluid-diff", program);
        link_units();
}

static inline void stop_units(void)
{
        socket_unit_stop(fixture.diff_unit, fixture.directory, "fluid-diff");
}

/* However the program ends: it may be memory that would be left behind. */
static inline void remove_directory(void)
{
        if (fixture.directory)
                (void) remove_tree(fixture.directory, NULL);
}

/* Without a manager. */
static inline void make_fixture(const char *settings)
{
        static bool is_watched;
        /* Memory, where there is some: the store waits for its disk at every step. */
        const char *place =
                g_file_test("/dev/shm", G_FILE_TEST_IS_DIR) ? "/dev/shm" : g_get_tmp_dir();
        g_autofree char *template = g_build_filename(place, "fluid-core-XXXXXX", NULL);

        become_root();
        if (!is_watched)
                (void) atexit(remove_directory);
        is_watched = true;
        log_set_max_priority(g_getenv("FLUID_TEST_LOG") ? LOG_DEBUG : LOG_EMERG);
        fixture.directory = g_strdup(mkdtemp(template));
        need(fixture.directory ? chmod(fixture.directory, 0755) : -errno, "mkdtemp");
        fixture.settings = g_strdup(settings);
        fixture.caller = (Caller){.uid = 1000, .text = "test[1]"};
        write_program(DIFF_PROGRAM);
        write_networks(NETWORKS);
        start_units();
        fake_host_reset();
}

static inline void start_fixture(const char *settings)
{
        make_fixture(settings);
        need(sd_event_new(&fixture.event), "sd_event_new");
        start_manager();
}

static inline void stop_fixture(void)
{
        stop_manager();
        g_clear_pointer(&fixture.outcomes, g_ptr_array_unref);
        fixture.event = sd_event_unref(fixture.event);
        fake_host_reset();
        stop_units();
        (void) remove_tree(fixture.directory, NULL);
        g_clear_pointer(&fixture.directory, g_free);
        g_clear_pointer(&fixture.settings, g_free);
}
