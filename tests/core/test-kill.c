/* SPDX-License-Identifier: MIT */

/* kill -9 of the daemon in what it does with disks, and while commands run. */

#include "tests/core/killing.h"

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
        return die_now();
}

static int die_before_started(const void *argument)
{
        Command *c;

        start_manager();
        (void) ready_sandbox("web");
        need(start_command("web", argument, &c), "start");
        return die_now();
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
        prepare_killing();
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
        end_killing();
        return tap_done();
}
