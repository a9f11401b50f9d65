/* SPDX-License-Identifier: MIT */
#include "tests/host/guest-fixture.h"

#include <signal.h>

static void test_exec(void)
{
        Run run;

        run_spec(&run, SPEC(.argv = ARGV("/bin/sh", "-c", "echo out; echo err >&2; exit 3")));
        tap_ok(run.r == 0 && run.exit.exit_status == 3 && run.exit.signal == 0 &&
                       !run.exit.timed_out && run.pid > 0,
               "a program's exit status is told");
        tap_is_str(run.output[GUEST_STDOUT]->str, "out\n", "standard output is told");
        tap_is_str(run.output[GUEST_STDERR]->str, "err\n", "standard error is told");
        done_run(&run);

        run_spec(&run, SPEC(.argv = ARGV("/bin/sh", "-c", "kill -9 $$")));
        tap_ok(run.r == 0 && run.exit.signal == SIGKILL && run.exit.exit_status == -1,
               "a program's signal is told");
        done_run(&run);

        run_spec(&run, SPEC(.argv = ARGV("cat"), .input = "a\0b", .input_size = 3));
        tap_ok(run.output[GUEST_STDOUT]->len == 3 && run.output[GUEST_STDOUT]->str[2] == 'b',
               "standard input is passed on");
        done_run(&run);

        run_spec(&run, SPEC(.argv = ARGV("env"), .environment = ARGV("LANG=de", "A=b=c\n")));
        g_autofree char *environment = g_strconcat(
                "FLUID_COMMAND=", run.id.text,
                "\n"
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
                "SHELL=/bin/sh\nHOME=/root\nUSER=root\nLOGNAME=root\nLANG=de\nA=b=c\n\n",
                NULL);
        tap_is_str(run.output[GUEST_STDOUT]->str, environment,
                   "the environment is a full one, and the caller's on top");
        done_run(&run);

        run_spec(&run, SPEC(.argv = ARGV("/bin/sh", "-c", "echo 1234567890; echo 5 >&2"),
                            .output_max = 4));
        tap_ok(g_str_equal(run.output[GUEST_STDOUT]->str, "1234") &&
                       run.exit.truncated[GUEST_STDOUT] && !run.exit.truncated[GUEST_STDERR],
               "output is cut at its limit, with a flag for the stream");
        done_run(&run);

        run_spec(&run, SPEC(.argv = ARGV("no-such-program")));
        tap_ok(run.fault.code == FAULT_COMMAND_NOT_RUN &&
                       strstr(run.fault.message, "no-such-program"),
               "a program that does not exist is not run");
        done_run(&run);
}

static void test_refused_specs(void)
{
        Id id = id_new();
        const struct {
                const char *name;
                GuestExecSpec spec;
        } bad[] = {
                {"an id of another form", {.id = "../../etc", .argv = ARGV("true")}},
                {"no program", {.id = id.text, .argv = (const char *const[]){NULL}}},
                {"an empty program", {.id = id.text, .argv = ARGV("")}},
                {"an argument that is not UTF-8", {.id = id.text, .argv = ARGV("echo", "\xff")}},
                {"a variable without =",
                 {.id = id.text, .argv = ARGV("true"), .environment = ARGV("A")}},
                {"a variable without a name",
                 {.id = id.text, .argv = ARGV("true"), .environment = ARGV("=a")}},
                {"the mark as a variable",
                 {.id = id.text, .argv = ARGV("true"), .environment = ARGV("FLUID_COMMAND=x")}},
                {"a relative directory", {.id = id.text, .argv = ARGV("true"), .directory = "tmp"}},
                {"an option as a user", {.id = id.text, .argv = ARGV("true"), .user = "-p"}},
                {"a line as a user", {.id = id.text, .argv = ARGV("true"), .user = "root:x:0:0"}},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                Run run;
                int r = start(&run, &bad[i].spec);
                tap_is_int(r < 0 ? (int64_t) run.fault.code : -1, FAULT_INVALID_ARGUMENT,
                           "%s is refused", bad[i].name);
                done_run(&run);
        }
        Run run;
        (void) start(&run,
                     SPEC(.argv = ARGV("cat"), .input = "", .input_size = GUEST_INPUT_MAX + 1));
        tap_is_int(run.fault.code, FAULT_LIMITS_EXCEEDED, "input that is too large is refused");
        done_run(&run);
}

/* `shell` tells whose programs the wrapper finds. */
static void test_wrapper(const char *shell)
{
        Run run;

        run_spec(&run, SPEC(.argv = ARGV("/bin/sh", "-c", "pwd; echo \"$1\"; exit 125", "sh",
                                         "$(id)'\"\n"),
                            .directory = folder));
        g_autofree char *expected = g_strdup_printf("%s\n$(id)'\"\n\n", folder);
        tap_is_str(run.output[GUEST_STDOUT]->str, expected,
                   "the directory is entered and arguments arrive as they are (%s)", shell);
        tap_ok(run.r == 0 && run.exit.exit_status == 125, "a program may exit with 125 (%s)",
               shell);
        done_run(&run);

        run_spec(&run, SPEC(.argv = ARGV("/bin/sh", "-c", "echo fluid:x:user >&2; exit 125"),
                            .directory = folder));
        tap_ok(run.r == 0 && g_str_equal(run.output[GUEST_STDERR]->str, "fluid:x:user\n"),
               "a program's own last words are its own (%s)", shell);
        done_run(&run);

        run_spec(&run, SPEC(.argv = ARGV("true"), .directory = "/no/such\x1b"));
        tap_ok(run.fault.code == FAULT_COMMAND_NOT_RUN &&
                       strstr(run.fault.message, "/no/such\\x1b") &&
                       run.output[GUEST_STDERR]->len == 0,
               "a directory that does not exist is told (%s)", shell);
        done_run(&run);

        run_spec(&run, SPEC(.argv = ARGV("no-such-program"), .directory = folder));
        tap_ok(run.fault.code == FAULT_COMMAND_NOT_RUN &&
                       strstr(run.fault.message, "no-such-program"),
               "a program that does not exist is told (%s)", shell);
        done_run(&run);

        run_spec(&run, SPEC(.argv = ARGV("true"), .user = "no-such-user"));
        tap_ok(run.fault.code == FAULT_COMMAND_NOT_RUN && strstr(run.fault.message, "no-such-user"),
               "a user that does not exist is told (%s)", shell);
        done_run(&run);
}

static void test_user(const char *shell)
{
        static const char *const users[] = {"nobody", "65534"};
        Run run;

        if (geteuid() != 0) {
                tap_skip("a program runs as another user", "needs root");
                return;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(users); i++) {
                run_spec(
                        &run,
                        SPEC(.argv = ARGV(
                                     "/bin/sh", "-c",
                                     "echo $(id -u) $(id -G) $HOME $USER $LOGNAME $name; echo \"$@\"",
                                     "sh", "-l", "--", "a  b"),
                             .environment = ARGV("HOME=/h", "name=n"), .user = users[i]));
                tap_is_str(run.output[GUEST_STDOUT]->str,
                           "65534 65534 /h nobody nobody n\n-l -- a  b\n",
                           "a program runs as user %s (%s)", users[i], shell);
                tap_is_str(run.output[GUEST_STDERR]->str, "",
                           "without a word from the wrapper (%s)", shell);
                done_run(&run);
        }
}

/* -- time ------------------------------------------------------------------------------------ */

/* Processes of this machine that bear the command's mark. */
static unsigned count_marked(const Run *run)
{
        g_autofree char *mark = g_strconcat("FLUID_COMMAND=", run->id.text, NULL);
        g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
        unsigned n = 0;
        const char *name;

        while ((name = g_dir_read_name(dir))) {
                g_autofree char *path = g_strdup_printf("/proc/%s/environ", name);
                g_autofree char *text = NULL;
                gsize size;
                if (g_ascii_isdigit(*name) && g_file_get_contents(path, &text, &size, NULL))
                        n += memmem(text, size, mark, strlen(mark)) != NULL;
        }
        return n;
}

/* The end that the program is meant to have. On a machine that stands still for a while a program
 * may miss its moment (to begin, to set a trap, to die of SIGTERM before SIGKILL comes): then once
 * more. */
static void run_until(Run *run, int signal, const char *output, const GuestExecSpec *spec)
{
        for (unsigned tries = 1;; tries++) {
                run_spec(run, spec);
                if (run->r == 0 && run->exit.timed_out && run->exit.signal == signal &&
                    g_str_equal(run->output[GUEST_STDOUT]->str, output))
                        return;
                tap_note("it ended otherwise: %d, signal %d, %s", run->r, run->exit.signal,
                         run->fault.message);
                if (tries == 3)
                        return;
                done_run(run);
        }
}

static void test_timeout(const char *shell)
{
        Run run;

        /* In turn: a child, one that ignores SIGTERM in a session of its own, one without the mark.
         */
        run_until(&run, SIGTERM, "begun\n",
                  SPEC(.argv = ARGV("/bin/sh", "-c",
                                    "sleep 1000 & setsid sh -c 'trap \"\" TERM; sleep 1001' & "
                                    "env -i PATH=\"$PATH\" sh -c 'sleep 1002; true' & "
                                    "echo begun; wait"),
                       .timeout_usec = 300 * USEC_PER_MSEC));
        tap_ok(run.r == 0 && run.exit.timed_out && run.exit.signal == SIGTERM,
               "a program whose time is up is terminated (%s)", shell);
        tap_is_str(run.output[GUEST_STDOUT]->str, "begun\n", "its output is kept (%s)", shell);
        tap_is_int(count_marked(&run), 0, "no process of it is left (%s)", shell);
        done_run(&run);

        run_until(&run, SIGKILL, "",
                  SPEC(.argv = ARGV("/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"),
                       .timeout_usec = 100 * USEC_PER_MSEC));
        tap_ok(run.r == 0 && run.exit.timed_out && run.exit.signal == SIGKILL,
               "a program that does not listen is killed (%s)", shell);
        done_run(&run);
}

static void test_kill(const char *shell)
{
        Run run, other;
        Simple s = {0};

        (void) start(&run, SPEC(.argv = ARGV("/bin/sh", "-c", "sleep 1000; true")));
        while (run.pid == 0)
                turn();
        g_assert(guest_kill(event, agent, run.id.text, SIGUSR1, simple_done, &s, &s.task, NULL) ==
                 0);
        wait_simple(&s);
        wait_run(&run);
        if (!tap_ok(s.r == 0 && run.exit.signal == SIGUSR1 && !run.exit.timed_out,
                    "a command is sent a signal (%s)", shell))
                tap_note("%s; %d, signal %d", s.r < 0 ? s.fault.message : "sent", run.r,
                         run.exit.signal);
        while (count_marked(&run) > 0) /* the shell's child has yet to take the signal */
                turn();
        done_run(&run);

        (void) start(&other, SPEC(.argv = ARGV("sleep", "1000")));
        s = (Simple){0};
        g_assert(guest_kill(event, agent, run.id.text, SIGKILL, simple_done, &s, &s.task, NULL) ==
                 0);
        wait_simple(&s);
        tap_is_int(s.fault.code, FAULT_NOT_FOUND, "a command that is gone is told as that (%s)",
                   shell);
        if (!tap_ok(!other.is_done, "another command's processes are left alone (%s)", shell))
                tap_note("%d, signal %d, %s", other.r, other.exit.signal, other.fault.message);
        s = (Simple){0};
        g_assert(guest_kill(event, agent, other.id.text, SIGKILL, simple_done, &s, &s.task, NULL) ==
                 0);
        wait_run(&other);
        wait_simple(&s);
        done_run(&other);
}

static void test_cancel_and_resume(void)
{
        Run run, resumed;

        (void) start(&run, SPEC(.argv = ARGV("sleep", "1000")));
        while (run.pid == 0)
                turn();
        guest_task_cancel(run.task);
        while (count_marked(&run) > 0)
                turn();
        tap_ok(!run.is_done, "a cancelled program is killed, without a word");
        done_run(&run);

        (void) start(&run, SPEC(.argv = ARGV("/bin/sh", "-c", "cat; echo end"), .input = "x\n",
                                .input_size = 2));
        while (run.pid == 0)
                turn();
        agent = agent_free(agent);
        tap_is_int(run.fault.code, FAULT_CANCELLED, "freeing the agent ends the task");
        g_assert(agent_new(event, socket_path, NULL, NULL, &agent, NULL) == 0);
        init_run(&resumed);
        GuestExecSpec spec = complete(&run, &(GuestExecSpec){0});
        g_assert(guest_exec_resume(event, agent, run.pid, &spec, &exec_handlers, &resumed,
                                   &resumed.task, NULL) == 0);
        wait_run(&resumed);
        tap_is_str(resumed.output[GUEST_STDOUT]->str, "x\nend\n",
                   "the wait for a program is taken up on another channel");
        done_run(&run);
        done_run(&resumed);
}

/* -- lies ------------------------------------------------------------------------------------ */

static void test_lies(void)
{
        static const struct {
                const char *name, *command, *value;
                FaultCode code;
        } lies[] = {
                {"no number", "guest-exec", "{}", FAULT_AGENT_MISBEHAVED},
                {"a negative number", "guest-exec", "{\"pid\": -1}", FAULT_AGENT_MISBEHAVED},
                {"a list", "guest-exec", "[]", FAULT_AGENT_MISBEHAVED},
                {"another's number", "guest-exec", "{\"pid\": 1}", FAULT_AGENT_REFUSED},
                {"no exit", "guest-exec-status", "{}", FAULT_AGENT_MISBEHAVED},
                {"an exit without status", "guest-exec-status", "{\"exited\": true}",
                 FAULT_AGENT_MISBEHAVED},
                {"a huge status", "guest-exec-status",
                 "{\"exited\": true, \"exitcode\": 4294967296}", FAULT_AGENT_MISBEHAVED},
                {"a huge signal", "guest-exec-status", "{\"exited\": true, \"signal\": 1000}",
                 FAULT_AGENT_MISBEHAVED},
        };
        Run run;

        for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
                begin_lying(lies[i].command, lies[i].value, false);
                run_spec(&run, SPEC(.argv = ARGV("true")));
                tap_is_int(run.fault.code, lies[i].code, "an agent that tells %s ends the command",
                           lies[i].name);
                done_run(&run);
                end();
        }

        begin_lying("guest-exec", "Command guest-exec has been disabled", true);
        run_spec(&run, SPEC(.argv = ARGV("true")));
        tap_ok(run.fault.code == FAULT_AGENT_REFUSED &&
                       strstr(run.fault.message, "/etc/sysconfig/qemu-ga"),
               "where the guest forbids programs, the message says how to allow them");
        done_run(&run);
        end();
}

/* -- interruptions --------------------------------------------------------------------------- */

/* What a frozen agent says to everything but a thaw. */
static bool answer_frozen_at_first(FakeAgent *f, const char *command, Json *arguments,
                                   void *userdata)
{
        (void) arguments;
        (void) userdata;
        if (!g_str_equal(command, "guest-exec-status") || fake_agent_count(f, command) > 3)
                return false;
        fake_agent_error(
                f, "CommandNotFound",
                "Command guest-exec-status has been disabled: the agent is in frozen state");
        return true;
}

static bool answer_after_hang_up(FakeAgent *f, const char *command, Json *arguments, void *userdata)
{
        (void) arguments;
        (void) userdata;
        if (!g_str_equal(command, "guest-exec-status") || fake_agent_count(f, command) > 1)
                return false;
        fake_agent_hang_up(f);
        return true;
}

static void test_interruptions(void)
{
        Run run;

        begin(answer_frozen_at_first);
        run_spec(&run, SPEC(.argv = ARGV("/bin/sh", "-c", "exit 7")));
        tap_ok(run.r == 0 && run.exit.exit_status == 7,
               "a frozen guest only delays a program's end");
        done_run(&run);
        end();

        begin(answer_after_hang_up);
        run_spec(&run, SPEC(.argv = ARGV("/bin/sh", "-c", "exit 7")));
        tap_ok(run.r == 0 && run.exit.exit_status == 7,
               "a lost channel only delays a program's end");
        tap_is_int(fake_agent_count(fake, "guest-exec"), 1, "and the program is not started again");
        done_run(&run);
        end();
}

/* -- endless commands, while the other tests go on ------------------------------------------------
 */

typedef struct Endless {
        FakeAgent *fake;
        Agent *agent;
        Run run;
} Endless;

static bool answer_no_status(FakeAgent *f, const char *command, Json *arguments, void *userdata)
{
        (void) f;
        (void) arguments;
        (void) userdata;
        return g_str_equal(command, "guest-exec-status");
}

/* Only the first program never exits: the one that kills it does. */
static bool answer_never_exits(FakeAgent *f, const char *command, Json *arguments, void *userdata)
{
        static uint64_t first;
        uint64_t pid = 0;

        (void) userdata;
        if (!g_str_equal(command, "guest-exec-status"))
                return false;
        (void) json_find_uint(arguments, "pid", &pid);
        first = first > 0 ? first : pid;
        if (pid != first)
                return false;
        fake_agent_return(f, "{\"exited\": false, \"out-data\": \"QUFBQUFBQUE=\"}");
        return true;
}

/* Its socket's path is free for the next agent once it is connected. */
static void begin_endless(Endless *e, FakeAnswer answer)
{
        begin(answer);
        (void) start(&e->run, SPEC(.argv = ARGV("true"), .timeout_usec = 300 * USEC_PER_MSEC));
        while (e->run.pid == 0)
                turn();
        e->fake = TAKE_PTR(fake);
        e->agent = TAKE_PTR(agent);
}

static void end_endless(Endless *e)
{
        done_run(&e->run);
        e->agent = agent_free(e->agent);
        e->fake = fake_agent_free(e->fake);
}

static void test_endless(Endless *silent, Endless *never_exits)
{
        wait_run(&never_exits->run);
        tap_ok(never_exits->run.r == 0 && never_exits->run.exit.timed_out,
               "a program that never exits, says the agent, ends in time");
        tap_ok(never_exits->run.output[GUEST_STDOUT]->len <= 1000,
               "and its output stays within the limit");
        wait_run(&silent->run);
        tap_ok(silent->run.fault.code == FAULT_TIMED_OUT && !silent->run.exit.timed_out,
               "a silent agent ends a command soon after its time");
}

/* -- together -------------------------------------------------------------------------------- */

static void test_scripts(const char *shell)
{
        test_wrapper(shell);
        test_user(shell);
        test_timeout(shell);
        test_kill(shell);
}

int main(void)
{
        Endless silent, never_exits;

        set_up();
        begin_endless(&silent, answer_no_status);
        begin_endless(&never_exits, answer_never_exits);
        begin(NULL);
        test_exec();
        test_refused_specs();
        test_cancel_and_resume();
        test_scripts("sh");
        end();
        if (begin_with_busybox()) {
                test_scripts("busybox");
                end();
        }
        test_lies();
        test_interruptions();
        test_endless(&silent, &never_exits);
        end_endless(&silent);
        end_endless(&never_exits);
        tear_down();
        return tap_done();
}
