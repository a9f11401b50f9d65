/* SPDX-License-Identifier: MIT */

/* Programs in guests: how they end, what is kept of them, and what is not. */

#include "tests/core/world.h"

#include <signal.h>

static int run_spec(const CommandSpec *spec, Command **ret)
{
        int r = command_start(get_sandbox("web"), &fixture.caller, spec, ret, fresh_fault());

        return r < 0 ? r : end_command(*ret);
}

static int run(const char *const *argv, Command **ret)
{
        return run_spec(&(CommandSpec){.argv = argv}, ret);
}

/* -- ends ------------------------------------------------------------------------------------- */

static void test_ends(void)
{
        Command *c = NULL;
        g_autofree char *last = NULL;

        is_done(run(ARGV("true"), &c), "a program ends well");
        tap_ok(command_has_ended(c) && !fault_is_set(command_fault(c)) &&
                       command_row(c)->exit_status == 0,
               "with 0");
        is_done(run(ARGV("exit", "3"), &c), "another does not");
        tap_is_int(command_row(c)->exit_status, 3, "its status is kept");
        tap_is_str(command_row(c)->state, "exited", "it has exited all the same");
        is_done(run(ARGV("no-such-program"), &c), "one that the guest does not have");
        tap_is_str(command_row(c)->state, "failed", "has failed");
        tap_is_int(command_fault(c)->code, FAULT_COMMAND_NOT_RUN, "as it was not run");
        tap_is_int(command_row(c)->exit_status, -1, "it has no status");
        last = last_audit("command.exec");
        tap_is_str(last, "failed CommandNotRun", "which is in the trail");
        is_done(run(ARGV("vanish"), &c), "one that the agent loses");
        tap_is_int(command_fault(c)->code, FAULT_AGENT_REFUSED, "has failed with what it said");
        is_done(run_spec(&(CommandSpec){.argv = ARGV("sleep"), .timeout_usec = 1000}, &c),
                "one that takes too long");
        tap_is_str(command_row(c)->state, "timed-out", "is ended");
        tap_is_int(command_row(c)->exit_status, 128 + SIGKILL, "by a signal");
}

static void test_kill(void)
{
        Outcome o = {0}, waited = {0};
        Command *c;

        need(start_command("web", ARGV("sleep"), &c), "start");
        need(command_wait(c, USEC_INFINITY, on_outcome, &waited, &fixture.fault), "wait");
        is_refused(command_kill(c, &fixture.caller, 0, on_outcome, &o, fresh_fault()),
                   FAULT_INVALID_ARGUMENT, "0 is no signal");
        is_refused(command_kill(c, &fixture.caller, 65, on_outcome, &o, fresh_fault()),
                   FAULT_INVALID_ARGUMENT, "nor is 65");
        is_done(finish(command_kill(c, &fixture.caller, SIGTERM, on_outcome, &o, fresh_fault()),
                       &o),
                "a program is killed");
        tap_ok(waited.has_ended && waited.r == 0, "whoever waits for it is told");
        tap_is_str(command_row(c)->state, "killed", "it was killed");
        tap_is_int(command_row(c)->signal, SIGTERM, "by that signal");
        tap_is_int(command_row(c)->exit_status, 128 + SIGTERM, "which its status tells, too");
        is_refused(command_kill(c, &fixture.caller, SIGTERM, on_outcome, &o, fresh_fault()),
                   FAULT_WRONG_STATE, "what has ended cannot be killed");
        tap_is_int(count_audit("command.kill", "done", ""), 1, "the trail says who killed it");
}

static void test_waits(void)
{
        Outcome late = {0}, gone = {0};
        Command *c;

        need(start_command("web", ARGV("sleep"), &c), "start");
        need(command_wait(c, 1000, on_outcome, &late, &fixture.fault), "wait");
        (void) until(has_ended, &late);
        tap_is_int(late.fault.code, FAULT_TIMED_OUT, "a wait ends at its deadline");
        tap_ok(!command_has_ended(c), "the program does not");
        need(command_wait(c, USEC_INFINITY, on_outcome, &gone, &fixture.fault), "wait");
        need(stop_sandbox("web", true), "stop");
        tap_ok(gone.has_ended && gone.r == 0 && command_has_ended(c),
               "switching the guest off ends it");
        tap_is_int(command_fault(c)->code, FAULT_AGENT_UNAVAILABLE, "with the reason");
        need(start_sandbox("web"), "start");
        tap_is_int(fake_host_processes(), 0, "nothing of it runs on");
}

/* -- what goes in ----------------------------------------------------------------------------- */

static void test_input(void)
{
        g_autofree char *out = NULL, *environment = NULL, *much = g_malloc0(GUEST_INPUT_MAX + 1);
        Command *c;

        is_done(run_spec(&(CommandSpec){.argv = ARGV("cat"), .input = "a\0b", .input_size = 3}, &c),
                "a program has an input");
        out = read_output(c, COMMAND_STDOUT);
        tap_ok(command_row(c)->stdout_bytes == 3 && memcmp(out, "a\0b", 3) == 0, "of any bytes");
        is_done(run_spec(&(CommandSpec){.argv = ARGV("env"), .environment = ARGV("A=1", "B=x=y")},
                         &c),
                "and an environment");
        environment = read_output(c, COMMAND_STDOUT);
        tap_is_str(environment, "A=1\nB=x=y\n", "as it was given");
        is_refused(run_spec(&(CommandSpec){.argv = ARGV("env"), .environment = ARGV("A")}, &c),
                   FAULT_INVALID_ARGUMENT, "an entry without a value is refused");
        is_refused(run_spec(&(CommandSpec){.argv = ARGV("env"), .environment = ARGV("=x")}, &c),
                   FAULT_INVALID_ARGUMENT, "so is one without a name");
        is_refused(run_spec(&(CommandSpec){.argv = ARGV("true"), .directory = "tmp"}, &c),
                   FAULT_INVALID_ARGUMENT, "a directory that is not absolute");
        is_refused(run_spec(&(CommandSpec){.argv = ARGV("cat"),
                                           .input = much,
                                           .input_size = GUEST_INPUT_MAX + 1},
                            &c),
                   FAULT_INVALID_ARGUMENT, "and an input that is too much");
        is_done(run_spec(&(CommandSpec){.argv = ARGV("cat"),
                                        .input = much,
                                        .input_size = GUEST_INPUT_MAX},
                         &c),
                "the most is taken");
}

static void test_argv(void)
{
        g_autofree const char **many = g_new0(const char *, 1026);
        g_autofree char *longest = g_strnfill(128 * 1024, 'x');
        Command *c;

        is_refused(run(ARGV(NULL), &c), FAULT_INVALID_ARGUMENT, "an empty argv is refused");
        for (size_t i = 0; i < 1025; i++)
                many[i] = "x";
        is_refused(run(many, &c), FAULT_INVALID_ARGUMENT, "so is one of more than 1024 words");
        is_refused(run(ARGV("echo", longest), &c), FAULT_INVALID_ARGUMENT,
                   "and one of more than 128 KiB");
        longest[100000] = '\0';
        is_done(run(ARGV("echo", longest), &c), "a long one is taken");
        is_done(run(ARGV("echo", "\"; DROP TABLE commands; --", "\\", "\x01"), &c),
                "and one of any text");
        tap_is_str(command_row(c)->argv,
                   "[\"echo\",\"\\\"; DROP TABLE commands; --\",\"\\\\\",\"\\u0001\"]",
                   "which is kept as JSON");
}

/* -- what comes out --------------------------------------------------------------------------- */

static void test_output(void)
{
        Outcome o = {0};
        Command *c;
        char *piece;
        size_t size;
        bool ended;

        is_done(run_spec(&(CommandSpec){.argv = ARGV("yes", "5000"), .output_max = 1000}, &c),
                "a program writes more than may be kept");
        tap_ok(command_row(c)->stdout_bytes == 1000 && command_row(c)->stdout_truncated,
               "what is more is cut, and it says so");
        tap_ok(!command_row(c)->stderr_truncated, "of that stream only");
        need(run(ARGV("yes", "2500000"), &c), "run");
        tap_ok(command_row(c)->stdout_bytes == 2500000 && !command_row(c)->stdout_truncated,
               "another writes much");
        need(command_read(c, COMMAND_STDOUT, 0, UINT64_MAX, &piece, &size, &ended, &fixture.fault),
             "read");
        tap_ok(size == 1 << 20 && !ended, "of which at most 1 MiB is read at a time");
        g_free(piece);
        need(command_read(c, COMMAND_STDOUT, 2000000, 1 << 20, &piece, &size, &ended,
                          &fixture.fault),
             "read");
        tap_ok(size == 500000 && ended && piece[0] == 'y' && piece[1] == '\n',
               "from any offset to its end");
        g_free(piece);
        need(command_read(c, COMMAND_STDOUT, UINT64_MAX, 10, &piece, &size, &ended, &fixture.fault),
             "read");
        tap_ok(size == 0 && ended, "beyond which there is nothing");
        g_free(piece);
        need(command_read(c, COMMAND_STDERR, 0, 10, &piece, &size, &ended, &fixture.fault), "read");
        tap_ok(size == 0 && ended, "of the other stream there is nothing either");
        g_free(piece);
        need(start_command("web", ARGV("sleep"), &c), "start");
        need(command_read(c, COMMAND_STDOUT, 0, 10, &piece, &size, &ended, &fixture.fault), "read");
        tap_ok(size == 0 && !ended, "while it runs there may be more");
        g_free(piece);
        need(finish(command_kill(c, &fixture.caller, SIGKILL, on_outcome, &o, fresh_fault()), &o),
             "kill");
}

/* Output, input and environment are nowhere but in the files of that command. */
static int find_secret(const AuditRow *row, void *userdata)
{
        *(bool *) userdata |= strstr(row->detail, "s3cret") != NULL;
        return 0;
}

static void test_secrets(void)
{
        g_autofree char *database = g_build_filename(fixture.directory, "s", "fluid.db", NULL),
                        *log = NULL;
        bool is_found = false, is_in_database = false;
        Command *c;

        need(run_spec(&(CommandSpec){.argv = ARGV("cat"),
                                     .environment = ARGV("PASSWORD=s3cret"),
                                     .input = "s3cret",
                                     .input_size = 6},
                      &c),
             "run");
        need(store_query_audit(fixture.manager->store, &(AuditFilter){0}, find_secret, &is_found,
                               &fixture.fault),
             "audit");
        log = g_strconcat(database, "-wal", NULL);
        for (unsigned i = 0; i < 2; i++) {
                g_autofree char *text = NULL;
                size_t size = 0;

                if (g_file_get_contents(i ? log : database, &text, &size, NULL))
                        is_in_database |= memmem(text, size, "s3cret", 6) != NULL;
        }
        tap_ok(!is_found, "input, environment and output of a program are not in the trail");
        tap_ok(!is_in_database, "nor anywhere in the database");
}

static void test_restart(void)
{
        g_autofree char *out = NULL;
        Command *c;
        Id id;

        need(run(ARGV("echo", "kept"), &c), "run");
        id = command_row(c)->id;
        restart_manager();
        c = manager_find_command(fixture.manager, &fixture.caller, id.text);
        tap_ok(c && command_has_ended(c), "a command that has ended is known after a restart");
        if (!c)
                return;
        out = read_output(c, COMMAND_STDOUT);
        tap_is_str(out, "kept\n", "with its output");
        tap_ok(!manager_find_command(fixture.manager, &(Caller){.uid = 1001}, id.text),
               "and is still its owner's alone");
}

/* The daemon is restarted while a program runs. */
static void test_resumed(void)
{
        Outcome o = {0};
        Command *c;
        Id id;

        need(start_command("web", ARGV("sleep"), &c), "start");
        settle();
        id = command_row(c)->id;
        restart_manager();
        c = manager_find_command(fixture.manager, &fixture.caller, id.text);
        tap_ok(c && !command_has_ended(c) && get_sandbox("web")->commands_running == 1,
               "a command runs on while the daemon is restarted");
        if (!c)
                return;
        is_done(finish(command_kill(c, &fixture.caller, SIGTERM, on_outcome, &o, fresh_fault()),
                       &o),
                "it can be killed");
        is_done(end_command(c), "and ends");
        tap_is_int(count_audit("command.exec", "begin", NULL),
                   count_audit("command.exec", "done", NULL) +
                           count_audit("command.exec", "failed", NULL),
                   "the trail tells of its end");
}

int main(void)
{
        start_fixture(NULL);
        (void) ready_sandbox("web");
        test_ends();
        test_kill();
        test_waits();
        test_input();
        test_argv();
        test_output();
        test_secrets();
        test_restart();
        test_resumed();
        tap_ok(is_world_consistent(), "all is well in the end");
        stop_fixture();
        return tap_done();
}
