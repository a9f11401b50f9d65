/* SPDX-License-Identifier: MIT */

/* kill -9 of the daemon at every call into the host and before every commit, in every operation.
 *
 * Each daemon is a child process of this program, which itself never has a thread: one that dies,
 * then one that finds what is left on disk, in libvirt and in the guests. With FLUID_TEST_ALL the
 * second one is killed at all of its steps, too, and a third one has to put things right. */

#include "tests/core/operations.h"

#include <signal.h>
#include <sys/wait.h>

static int host_fd; /* what outlived the last daemon */

/* Of a daemon that is to be killed at its nth step; 0: never. */
static void arm(unsigned n)
{
        arm_commits(n > 0, 0);
        fake_host_die_nth(n, host_fd);
}

typedef enum End { END_GOOD, END_BAD, END_KILLED } End;

/* Runs a daemon in a process of its own. */
static End run_daemon(int (*daemon)(const void *argument), const void *argument)
{
        int status = 0;
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
        need(waitpid(pid, &status, 0) < 0 ? -errno : 0, "waitpid");
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
                return END_KILLED;
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? END_GOOD : END_BAD;
}

static void forget_all(void)
{
        static const char *const names[] = {"s", "r"};

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *path = g_build_filename(fixture.directory, names[i], NULL);

                need(remove_tree(path, &fixture.fault), path);
        }
        need(ftruncate(host_fd, 0), "ftruncate");
        need(lseek(host_fd, 0, SEEK_SET) < 0 ? -errno : 0, "lseek");
}

/* -- a daemon that is killed ------------------------------------------------------------------ */

typedef struct Death {
        const Operation *op;
        unsigned n;
} Death;

static int die_in_operation(const void *argument)
{
        const Death *death = argument;

        start_manager();
        death->op->prepare();
        arm(death->n);
        (void) death->op->attempt();
        settle();
        return 0;
}

static int die_in_recovery(const void *argument)
{
        const unsigned *n = argument;

        fake_host_load(host_fd);
        need(ftruncate(host_fd, 0), "ftruncate");
        need(lseek(host_fd, 0, SEEK_SET) < 0 ? -errno : 0, "lseek");
        arm(*n);
        start_manager();
        /* It had fewer steps: what it leaves is found by the next one all the same. */
        fake_host_die_nth(1, host_fd);
        (void) fake_host_step("the end");
        return 1;
}

/* -- the daemon after it ---------------------------------------------------------------------- */

static bool is_trail_intact(void)
{
        g_autofree char *detail = NULL;
        bool is_intact = false;
        uint64_t rows;

        if (audit_verify(fixture.manager, &is_intact, &rows, &detail, &fixture.fault) == 0 &&
            is_intact)
                return true;
        tap_note("the trail is broken: %s", detail);
        return false;
}

static bool can_be_done(const Operation *op)
{
        int r = op->is_done && op->is_done() ? 0 : op->attempt();

        if (r >= 0 && (!op->is_done || op->is_done()) && is_world_consistent())
                return true;
        tap_note("it cannot be done: %s", fixture.fault.message);
        return false;
}

static bool can_be_cleared(void)
{
        g_autoptr(GPtrArray) sandboxes = manager_list(fixture.manager, OBJECT_SANDBOX);
        g_autoptr(GPtrArray) templates = manager_list(fixture.manager, OBJECT_TEMPLATE);
        Outcome o = {0};

        for (guint i = 0; i < sandboxes->len; i++)
                (void) finish(sandbox_destroy(sandboxes->pdata[i], &fixture.caller, on_outcome,
                                              (o = (Outcome){0}, &o), fresh_fault()),
                              &o);
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

static int recover(const void *argument)
{
        const Operation *op = argument;
        bool is_kept;

        fake_host_load(host_fd);
        start_manager();
        if (!is_world_consistent() || !is_trail_intact())
                return 1;
        is_kept = !op->keeps_data || has_data("web");
        if (!is_kept)
                tap_note("what the guest wrote is lost");
        return is_kept && can_be_done(op) && can_be_cleared() ? 0 : 1;
}

/* -- every operation, every step -------------------------------------------------------------- */

static bool kill_twice(const Operation *op, unsigned n, unsigned m)
{
        forget_all();
        if (run_daemon(die_in_operation, &(Death){op, n}) != END_KILLED ||
            run_daemon(die_in_recovery, &m) != END_KILLED)
                tap_bail_out("a daemon was not killed");
        if (run_daemon(recover, op) == END_GOOD)
                return true;
        tap_note("killed at step %u, and at step %u of putting it right", n, m);
        return false;
}

static void test_every_step(const Operation *op)
{
        bool all = g_getenv("FLUID_TEST_ALL"), is_good = true;
        unsigned n;

        for (n = 1;; n++) {
                End end;

                forget_all();
                end = run_daemon(die_in_operation, &(Death){op, n});
                if (end == END_GOOD)
                        break;
                if (end == END_BAD)
                        tap_bail_out("a daemon cannot be made");
                if (run_daemon(recover, op) != END_GOOD) {
                        tap_note("killed at step %u", n);
                        is_good = false;
                }
                for (unsigned m = all ? 1 : 1 + n % 5; m <= (all ? 12 : 1 + n % 5); m++)
                        is_good &= kill_twice(op, n, m);
        }
        tap_ok(is_good && n > 2, "killed at each of %u steps of %s: all is well at the next start",
               n - 1, op->name);
}

/* -- commands --------------------------------------------------------------------------------- */

static int die_with_command(const void *argument)
{
        Command *c;

        start_manager();
        (void) ready_sandbox("web");
        need(start_command("web", argument, &c), "start");
        /* It has been started, and nobody has heard of its end yet. */
        while (command_row(c)->pid == 0)
                need(sd_event_run(fixture.event, 0), "sd_event_run");
        arm(1);
        (void) fake_host_step("now");
        return 1;
}

static int die_before_started(const void *argument)
{
        Command *c;

        start_manager();
        (void) ready_sandbox("web");
        need(start_command("web", argument, &c), "start");
        arm(1);
        (void) fake_host_step("now");
        return 1;
}

static Command *only_command(void)
{
        g_autoptr(GPtrArray) commands = manager_list(fixture.manager, OBJECT_COMMAND);

        return commands->len == 1 ? commands->pdata[0] : NULL;
}

static int expect_resumed(G_GNUC_UNUSED const void *argument)
{
        Outcome o = {0};
        Command *c;

        fake_host_load(host_fd);
        start_manager();
        c = only_command();
        if (!c || command_has_ended(c) || fake_host_processes() != 1)
                return 1;
        if (finish(command_kill(c, &fixture.caller, SIGTERM, on_outcome, &o, fresh_fault()), &o) <
            0)
                return 1;
        return end_command(c) == 0 && g_str_equal(command_row(c)->state, "killed") &&
                               command_row(c)->signal == SIGTERM && is_world_consistent()
                       ? 0
                       : 1;
}

static int expect_output(G_GNUC_UNUSED const void *argument)
{
        g_autofree char *out = NULL;
        Command *c;

        fake_host_load(host_fd);
        start_manager();
        c = only_command();
        if (!c || end_command(c) < 0 || !g_str_equal(command_row(c)->state, "exited"))
                return 1;
        out = read_output(c, COMMAND_STDOUT);
        return g_str_equal(out, "hello\n") && is_world_consistent() ? 0 : 1;
}

static int expect_not_run(G_GNUC_UNUSED const void *argument)
{
        const Command *c;

        fake_host_load(host_fd);
        start_manager();
        c = only_command();
        return c && g_str_equal(command_row(c)->state, "failed") && command_row(c)->reason[0] &&
                               get_sandbox("web")->commands_running == 0
                       ? 0
                       : 1;
}

/* Between the two its domain was switched off. */
static int expect_failed(G_GNUC_UNUSED const void *argument)
{
        const Command *c;

        fake_host_load(host_fd);
        start_manager();
        fake_host_set_domain(get_sandbox("web")->row->id.text, DOMAIN_SHUT_OFF);
        stop_manager();
        start_manager();
        c = only_command();
        return c && g_str_equal(command_row(c)->state, "failed") &&
                               get_sandbox("web")->commands_running == 0
                       ? 0
                       : 1;
}

static void test_command(int (*die)(const void *), const char *const *argv,
                         int (*find)(const void *), const char *sentence)
{
        forget_all();
        if (run_daemon(die, argv) != END_KILLED)
                tap_bail_out("a daemon was not killed");
        tap_is_int(run_daemon(find, NULL), END_GOOD, "%s", sentence);
}

int main(void)
{
        watch_commits();
        make_fixture("stop_timeout = 0s\n");
        write_program("#!/bin/sh\n");
        host_fd = memfd_create("host", MFD_CLOEXEC);
        need(host_fd, "memfd_create");
        for (size_t i = 0; i < G_N_ELEMENTS(operations); i++)
                test_every_step(operations + i);
        test_command(die_with_command, ARGV("sleep"), expect_resumed,
                     "a command that runs on is taken up, and can be killed");
        test_command(die_with_command, ARGV("echo", "hello"), expect_output,
                     "one that has ended meanwhile is taken up, with its output");
        test_command(die_before_started, ARGV("sleep"), expect_not_run,
                     "one that may not have been started has failed");
        test_command(die_with_command, ARGV("sleep"), expect_failed,
                     "so has one whose guest was switched off");
        (void) close_fd(host_fd);
        stop_fixture();
        return tap_done();
}
