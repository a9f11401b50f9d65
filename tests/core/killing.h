/* SPDX-License-Identifier: MIT */
#pragma once

/* kill -9 of the daemon at every call into the host and before every commit, in an operation.
 *
 * Each daemon is a child process of this program, which itself never has a thread. One is stopped
 * at each of its steps: a copy of its disk, with what is in libvirt and in the guests, is then what
 * kill -9 would leave, and a second daemon has to put it right. Now and then (with FLUID_TEST_ALL
 * always, and at each of its own steps) that one is killed, too, before a third one does. */

#include "tests/core/operations.h"

#include <signal.h>
#include <sys/wait.h>

static int host_fd; /* what outlived the last daemon */

typedef enum End { END_GOOD, END_BAD, END_KILLED } End;

/* A daemon in a process of its own. */
static inline pid_t start_daemon(int (*daemon)(const void *argument), const void *argument)
{
        pid_t pid;

        (void) fflush(stdout);
        pid = fork();
        need(pid < 0 ? -errno : 0, "fork");
        if (pid == 0) {
                int r;

                need(sd_event_new(&fixture.event), "sd_event_new");
                r = daemon(argument);
                (void) fflush(stdout);
                _exit(r);
        }
        return pid;
}

static inline End run_daemon(int (*daemon)(const void *argument), const void *argument)
{
        pid_t pid = start_daemon(daemon, argument);
        int status = 0;

        need(waitpid(pid, &status, 0) < 0 ? -errno : 0, "waitpid");
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
                return END_KILLED;
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? END_GOOD : END_BAD;
}

static inline char *place(const char *name)
{
        return g_build_filename(fixture.directory, name, NULL);
}

static inline void remove_place(const char *name)
{
        g_autofree char *path = place(name);

        need(remove_tree(path, &fixture.fault), path);
}

static inline void copy_tree(const char *from, const char *to)
{
        g_autoptr(GDir) directory = g_dir_open(from, 0, NULL);
        const char *name;

        need(directory ? g_mkdir(to, 0700) : -ENOENT, to);
        while ((name = g_dir_read_name(directory))) {
                g_autofree char *old = g_build_filename(from, name, NULL);
                g_autofree char *new = g_build_filename(to, name, NULL), *content = NULL;
                autofd fd = -1;
                size_t size = 0;

                if (g_file_test(old, G_FILE_TEST_IS_DIR)) {
                        copy_tree(old, new);
                        continue;
                }
                /* A unit listens there, whatever name it has. */
                if (g_str_has_suffix(name, ".socket")) {
                        need(link(old, new) < 0 ? -errno : 0, new);
                        continue;
                }
                fd = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
                need(file_read(old, 64 << 20, &content, &size, &fixture.fault), old);
                need(write_all(fd, content, size), new);
        }
}

static inline void empty_host(void)
{
        need(ftruncate(host_fd, 0), "ftruncate");
        need(lseek(host_fd, 0, SEEK_SET) < 0 ? -errno : 0, "lseek");
}

static inline void write_host(GBytes *host)
{
        size_t size;
        const void *bytes = g_bytes_get_data(host, &size);

        empty_host();
        need(write_all(host_fd, bytes, size), "write");
}

static inline GBytes *read_host(void)
{
        struct stat st;

        need(fstat(host_fd, &st), "fstat");
        return g_bytes_new_take(text_of(host_fd), (size_t) st.st_size);
}

static const char *const disks[] = {"s", "r"};

static inline void forget_all(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(disks); i++)
                remove_place(disks[i]);
        link_units();
        empty_host();
}

/* The disk of a daemon that is stopped is put away; it goes on with it later. */
static inline void move_disk(const char *from, const char *to)
{
        for (size_t i = 0; i < G_N_ELEMENTS(disks); i++) {
                g_autofree char *old = g_strconcat(fixture.directory, "/", disks[i], from, NULL);
                g_autofree char *new = g_strconcat(fixture.directory, "/", disks[i], to, NULL);

                need(remove_tree(new, &fixture.fault), new);
                need(g_rename(old, new) < 0 ? -errno : 0, old);
        }
}

static inline void copy_disk(const char *from)
{
        for (size_t i = 0; i < G_N_ELEMENTS(disks); i++) {
                g_autofree char *old = g_strconcat(fixture.directory, "/", disks[i], from, NULL);
                g_autofree char *new = place(disks[i]);

                need(remove_tree(new, &fixture.fault), new);
                copy_tree(old, new);
        }
}

/* -- a daemon that is killed ------------------------------------------------------------------ */

static inline int die_now(void)
{
        empty_host();
        fake_host_die_nth(1, host_fd);
        (void) fake_host_step("now");
        return 1;
}

static inline int stop_at_each_step(const void *argument)
{
        const Operation *op = argument;

        start_manager();
        op->prepare();
        arm_commits(true, 0);
        fake_host_stop_at_each(host_fd);
        (void) op->attempt();
        settle();
        return 0;
}

/* Where it has fewer steps, it dies after them. */
static inline int die_in_recovery(const void *argument)
{
        const unsigned *n = argument;

        fake_host_load(host_fd);
        empty_host();
        arm_commits(true, 0);
        fake_host_die_nth(*n, host_fd);
        start_manager();
        return die_now();
}

/* -- the daemon after it ---------------------------------------------------------------------- */

static inline bool is_trail_intact(void)
{
        g_autofree char *detail = NULL;
        bool is_intact = false;
        uint64_t rows;

        if (store_verify_audit(fixture.manager->store, &is_intact, &rows, &detail,
                               &fixture.fault) == 0 &&
            is_intact)
                return true;
        tap_note("the trail is broken: %s", detail);
        return false;
}

static inline bool can_be_done(const Operation *op)
{
        int r = op->is_done && op->is_done() ? 0 : op->attempt();

        if (r >= 0 && (!op->is_done || op->is_done()) && is_world_consistent())
                return true;
        tap_note("it cannot be done: %s", fixture.fault.message);
        return false;
}

static inline bool can_be_cleared(void)
{
        g_autoptr(GPtrArray) sandboxes = manager_list(fixture.manager, OBJECT_SANDBOX);
        g_autoptr(GPtrArray) templates = manager_list(fixture.manager, OBJECT_TEMPLATE);
        Outcome o = {0};

        for (guint i = 0; i < sandboxes->len; i++) {
                /* They go with their template. */
                if (sandbox_is_hidden(sandboxes->pdata[i]))
                        continue;
                (void) finish(sandbox_destroy(sandboxes->pdata[i], &fixture.caller, on_outcome,
                                              (o = (Outcome){0}, &o), fresh_fault()),
                              &o);
        }
        for (guint i = 0; i < templates->len; i++)
                (void) finish(template_remove(templates->pdata[i], &fixture.caller, on_outcome,
                                              (o = (Outcome){0}, &o), fresh_fault()),
                              &o);
        if (is_world_consistent() && fake_host_domains() == 0 && fake_host_processes() == 0 &&
            g_hash_table_size(fixture.manager->objects[OBJECT_TEMPLATE]) == 0)
                return true;
        tap_note("something is left");
        return false;
}

typedef struct Recovery {
        const Operation *op;
        bool is_used; /* it goes on with what it found */
} Recovery;

static inline int recover(const void *argument)
{
        const Recovery *recovery = argument;
        const Operation *op = recovery->op;
        bool is_kept;

        fake_host_load(host_fd);
        start_manager();
        settle_networks();
        if (!is_world_consistent() || !is_trail_intact())
                return 1;
        is_kept = !op->keeps_data || has_data("web");
        if (!is_kept)
                tap_note("what the guest wrote is lost");
        if (op->keeps_memory && !has_memory("web")) {
                tap_note("what the guest had in its memory is lost");
                is_kept = false;
        }
        if (!recovery->is_used)
                return is_kept ? 0 : 1;
        return is_kept && can_be_done(op) && can_be_cleared() && is_trail_paired() ? 0 : 1;
}

/* -- every operation, every step -------------------------------------------------------------- */

static inline bool is_recovered(const Operation *op, GBytes *host, unsigned m, bool is_used)
{
        copy_disk(".stopped");
        write_host(host);
        if (m > 0 && run_daemon(die_in_recovery, &m) != END_KILLED)
                tap_bail_out("a daemon was not killed");
        return run_daemon(recover, &(Recovery){op, is_used}) == END_GOOD;
}

/* What a daemon that is stopped at its step n has left. */
static inline bool look(const Operation *op, unsigned n)
{
        enum { RECOVERY_STEPS = 12 };
        GBytes *host = read_host();
        bool all = g_getenv("FLUID_TEST_ALL"), is_good;

        move_disk("", ".stopped");
        is_good = is_recovered(op, host, 0, all || n % 2);
        if (!is_good)
                tap_note("killed at step %u", n);
        for (unsigned m = 1; m <= RECOVERY_STEPS; m++) {
                if ((!all && (n % 8 != 2 || m != 1 + n / 2)) || is_recovered(op, host, m, true))
                        continue;
                tap_note("killed at step %u, and at step %u of putting it right", n, m);
                is_good = false;
        }
        move_disk(".stopped", "");
        empty_host();
        g_bytes_unref(host);
        return is_good;
}

static inline void test_every_step(const Operation *op)
{
        bool is_good = true;
        unsigned n = 0;
        int status;
        pid_t pid;

        forget_all();
        pid = start_daemon(stop_at_each_step, op);
        for (;;) {
                need(waitpid(pid, &status, WUNTRACED) < 0 ? -errno : 0, "waitpid");
                if (!WIFSTOPPED(status))
                        break;
                is_good &= look(op, ++n);
                (void) kill(pid, SIGCONT);
        }
        is_good &= WIFEXITED(status) && WEXITSTATUS(status) == 0;
        tap_ok(is_good && n > 1, "killed at each of %u steps of %s: all is well at the next start",
               n, op->name);
}

/* Before anything else. */
static inline void prepare_killing(void)
{
        watch_commits();
        make_fixture(operation_settings);
        write_program("#!/bin/sh\n");
        host_fd = memfd_create("host", MFD_CLOEXEC);
        need(host_fd, "memfd_create");
}

static inline void end_killing(void)
{
        (void) close_fd(host_fd);
        stop_fixture();
}
