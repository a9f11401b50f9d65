/* SPDX-License-Identifier: MIT */
#include "loop/child.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/quantity.h"
#include "tests/socket-unit.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LATER (20 * USEC_PER_SEC)

static char *directory;
static Fault fault;

/* A file in memory that children write to or read from. */
static int new_file(const char *content)
{
        int fd = memfd_create("child", MFD_CLOEXEC);

        if (fd < 0 || write_all(fd, content, strlen(content)) < 0 || lseek(fd, 0, SEEK_SET) < 0)
                tap_bail_out("no file in memory");
        return fd;
}

static char *content_of(int fd)
{
        struct stat st = {0};
        char *text;

        (void) fstat(fd, &st);
        text = g_malloc0((size_t) st.st_size + 1);
        if (pread_all(fd, text, (size_t) st.st_size, 0) < 0)
                tap_bail_out("a file in memory cannot be read");
        return text;
}

static int run_with(const char *script, ChildSpec spec)
{
        const char *const argv[] = {"sh", "-c", script, NULL};

        spec.unit = "sh";
        spec.argv = argv;
        fault_clear(&fault);
        return child_run(&spec, &fault);
}

static int run(const char *script)
{
        return run_with(script, (ChildSpec){.deadline_usec = LATER});
}

/* What the script writes to its standard output. */
static char *output_of(const char *script, ChildSpec spec)
{
        autofd out = new_file("");

        spec.stdout_fd = out;
        spec.deadline_usec = LATER;
        if (run_with(script, spec) < 0)
                tap_note("%s", fault.message);
        return content_of(out);
}

/* -- how it ends ------------------------------------------------------------------------------ */

static void test_ends(void)
{
        tap_is_int(run("exit 0"), 0, "a program that ends well is no fault");
        tap_ok(!fault_is_set(&fault), "and there is no reason");
        tap_is_int(run("echo 'only a warning' >&2"), 0, "nor is one that says something");

        tap_is_int(run("echo first >&2; echo 'second: no' >&2; echo >&2; exit 3"), -EIO,
                   "one that fails is");
        tap_is_str(fault.message, "sh: second: no",
                   "with its name and the last line that it wrote");
        tap_is_int(run("exit 1"), -EIO, "so is one that fails without a word");
        tap_is_str(fault.message, "sh: it failed without a word", "which is said");
        tap_is_int(run("printf 'a\\033[2Jb\\377' >&2; exit 1"), -EIO,
                   "what it wrote may be hostile");
        tap_is_str(fault.message, "sh: a\\x1b[2Jb\\xff", "and is escaped");
        tap_is_int(run("i=0; while [ $i -lt 2000 ]; do echo $i >&2; i=$((i+1)); done; exit 1"),
                   -EIO, "and it may be much");
        tap_is_str(fault.message, "sh: 1999", "of which the end is kept");
        tap_is_int(run("echo 'write: No space left on device' >&2; exit 1"), -ENOSPC,
                   "a full disk is told as one");
        tap_is_int(fault.code, FAULT_NO_SPACE, "by its code");
        tap_is_int(run("kill -SEGV $$"), -EIO, "one that a signal ends has failed");
        tap_is_str(fault.message, "sh was ended by signal 11", "with the signal");
}

static void test_missing(void)
{
        static const char *const argv[] = {"fluid-diff", NULL};
        ChildSpec spec = CHILD_SPEC(.unit = "nothing", .argv = argv, .deadline_usec = LATER);
        pid_t unit = socket_unit_start(directory, "nothing", "/nowhere/fluid-diff");

        fault_clear(&fault);
        tap_is_int(child_run(&spec, &fault), -EIO, "a program that is missing is a fault");
        tap_is_str(fault.message, "cannot run 'fluid-diff': is it installed?",
                   "which names it and says what to do");
        socket_unit_stop(unit, directory, "nothing");
        fault_clear(&fault);
        tap_is_int(child_run(&spec, &fault), -EIO, "so is a unit that is missing");
        tap_ok(strstr(fault.message, "'systemctl start nothing.socket' makes it"),
               "for which there is something to do, too");
        child_set_directory(
                "/tmp/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z/0/1/2/3/4/5/6/7"
                "/8/9/a/b/c/d/e/f/g/h/i/j/k");
        tap_is_int(child_run(&spec, NULL), -EIO, "a path that no socket can have is a fault");
        child_set_directory(directory);
}

/* Who is in place of the runner. */
static void test_runner_is_gone(void)
{
        static const char *const argv[] = {"sh", "-c", "kill -KILL $PPID; exec sleep 60", NULL};
        ChildSpec spec = CHILD_SPEC(.unit = "sh", .argv = argv, .deadline_usec = LATER);

        fault_clear(&fault);
        tap_is_int(child_run(&spec, &fault), -EIO, "a runner that is killed is a fault");
        tap_ok(strstr(fault.message, "journalctl -u \"sh@*\""), "and where to look is told");
}

/* -- what it is given ------------------------------------------------------------------------- */

static void test_surroundings(void)
{
        if (setenv("SECRET", "x", 1) < 0)
                tap_bail_out("setenv");
        g_autofree char *environment = output_of("exec /usr/bin/env", (ChildSpec){0});
        g_auto(GStrv) lines = g_strsplit(g_strchomp(environment), "\n", -1);
        bool is_known = true;

        /* The shell itself adds the last three. */
        for (size_t i = 0; lines[i]; i++)
                is_known &= g_str_has_prefix(lines[i], "PATH=/usr/local/sbin:") ||
                            g_str_equal(lines[i], "LC_ALL=C.UTF-8") ||
                            g_str_has_prefix(lines[i], "PWD=") ||
                            g_str_has_prefix(lines[i], "SHLVL=") ||
                            g_str_has_prefix(lines[i], "_=");
        tap_ok(is_known && g_strv_contains((const char *const *) lines, "LC_ALL=C.UTF-8"),
               "its environment is PATH and the locale");

        g_autofree char *input = output_of("cat; readlink /proc/self/fd/0", (ChildSpec){0});
        tap_is_str(input, "/dev/null\n", "its standard input is /dev/null");
        tap_is_int(run("[ \"$(readlink /proc/$$/fd/1)\" = /dev/null ]"), 0,
                   "so is its standard output, unless somebody wants it");
        g_autofree char *output = output_of("echo out; echo err >&2", (ChildSpec){0});
        tap_is_str(output, "out\n", "else it goes where it was asked for");
        g_autofree char *mask = output_of("grep -E 'SigBlk' /proc/self/status", (ChildSpec){0});
        tap_ok(g_str_has_suffix(mask, "0000000000000000\n"), "no signal is blocked");
        g_autofree char *group =
                output_of("set -- $(cat /proc/$$/stat); [ $1 = $5 ] && echo own", (ChildSpec){0});
        tap_is_str(group, "own\n", "it has a process group of its own");
}

static void test_descriptors(void)
{
        autofd first = new_file("one"), second = new_file("two"), third = new_file("three");
        /* An inheritable one, which it must not get. */
        autofd open_one = dup(first);
        g_autofree char *listing = NULL, *text = NULL, *swapped = NULL;

        text = output_of("cat <&3; cat <&4; cat <&5",
                         (ChildSpec){.fds = (int[]){first, second, third}, .n_fds = 3});
        tap_is_str(text, "onetwothree", "descriptors arrive as 3, 4, 5 in their order");
        listing = output_of("for i in $(seq 0 255); do [ ! -e /proc/$$/fd/$i ] || echo $i; done",
                            (ChildSpec){.fds = (int[]){first}, .n_fds = 1});
        tap_is_str(listing, "0\n1\n2\n3\n", "and no other does");
        tap_ok(fcntl(open_one, F_GETFD) == 0, "though others can be inherited");

        /* Those that have each other's numbers. */
        int low[2] = {fcntl(first, F_DUPFD_CLOEXEC, 3), fcntl(second, F_DUPFD_CLOEXEC, 3)};
        (void) lseek(first, 0, SEEK_SET);
        (void) lseek(second, 0, SEEK_SET);
        swapped = output_of("cat <&3; cat <&4",
                            (ChildSpec){.fds = (int[]){low[1], low[0]}, .n_fds = 2});
        tap_is_str(swapped, "twoone", "whatever numbers they had");
        tap_ok(fcntl(low[0], F_GETFD) == FD_CLOEXEC && fcntl(low[1], F_GETFD) == FD_CLOEXEC,
               "the caller keeps its own");
        (void) close_fd(low[0]);
        (void) close_fd(low[1]);
}

/* More than one message to the runner takes. */
static void test_many_descriptors(void)
{
        autofd file = new_file("last");
        int fds[1100];
        const char *const good[] = {"x", NULL};

        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
                fds[i] = file;
        g_autofree char *text =
                output_of("exec </dev/fd/302; cat; [ ! -e /proc/$$/fd/303 ] && echo .",
                          (ChildSpec){.fds = fds, .n_fds = 300});
        tap_is_str(text, "last.\n", "there may be hundreds of them");
        tap_is_int(child_run(&CHILD_SPEC(.unit = "sh", .argv = good, .deadline_usec = LATER,
                                         .fds = fds, .n_fds = G_N_ELEMENTS(fds)),
                             NULL),
                   -EINVAL, "but not thousands");
}

/* -- deadlines -------------------------------------------------------------------------------- */

/* The pids that a script has written, one a line. */
static bool all_are_gone(const char *path)
{
        g_autofree char *text = NULL;
        g_auto(GStrv) pids = NULL;
        uint64_t end = now_monotonic_usec() + LATER;
        bool are_gone = true;

        if (!g_file_get_contents(path, &text, NULL, NULL))
                return false;
        pids = g_strsplit(g_strchomp(text), "\n", -1);
        for (size_t i = 0; pids[i]; i++) {
                pid_t pid = (pid_t) g_ascii_strtoll(pids[i], NULL, 10);

                /* Killed is not yet gone: its new parent has to collect it. */
                for (;;) {
                        g_autofree char *stat_path = g_strdup_printf("/proc/%d/stat", pid);
                        g_autofree char *stat_text = NULL;
                        const char *state;

                        if (pid <= 0 || !g_file_get_contents(stat_path, &stat_text, NULL, NULL))
                                break;
                        state = strrchr(stat_text, ')');
                        if (state && (state[2] == 'Z' || state[2] == 'X'))
                                break;
                        if (now_monotonic_usec() > end) {
                                are_gone = false;
                                (void) kill(pid, SIGKILL);
                                break;
                        }
                        (void) g_usleep(1000);
                }
        }
        return are_gone && pids[0];
}

static int run_in_directory(const char *script, uint64_t deadline_usec)
{
        g_autofree char *text = g_strdup_printf("cd '%s'; rm -f pids; %s", directory, script);
        uint64_t begin = now_monotonic_usec();
        int r = run_with(text, (ChildSpec){.deadline_usec = deadline_usec});

        tap_ok(now_monotonic_usec() - begin < LATER, "nobody waits for it");
        return r;
}

/* Whether it has written so many pids. */
static bool has_begun(const char *path, unsigned n)
{
        g_autofree char *text = NULL;
        unsigned lines = 0;

        if (!g_file_get_contents(path, &text, NULL, NULL))
                return false;
        for (const char *c = text; *c; c++)
                lines += *c == '\n';
        return lines == n;
}

/* With a deadline that leaves it the time to begin, and to write so many pids. */
static void expect_killed(const char *script, unsigned n, const char *what)
{
        g_autofree char *pids = g_build_filename(directory, "pids", NULL);
        uint64_t deadline = 100 * USEC_PER_MSEC;
        int r = run_in_directory(script, deadline);

        while (r == -ETIMEDOUT && !has_begun(pids, n) && (deadline *= 2) < LATER)
                r = run_in_directory(script, deadline);
        tap_is_int(r, -ETIMEDOUT, "%s does not end in time", what);
        tap_ok(all_are_gone(pids), "all of its processes are killed");
}

/* It ends in time, but leaves something behind. */
static void expect_left_behind(const char *script, const char *what)
{
        g_autofree char *pids = g_build_filename(directory, "pids", NULL);
        int r = run_in_directory(script, 2 * LATER);

        tap_is_int(r, 0, "a program that leaves %s behind ends well", what);
        tap_ok(all_are_gone(pids), "what it left is killed");
}

static void test_deadline(void)
{
        expect_killed("echo $$ >pids; exec sleep 60", 1, "a program that sleeps");
        expect_killed("trap '' TERM HUP INT; echo $$ >pids; sleep 60 & echo $! >>pids; wait", 2,
                      "one with a child that ignores signals");
        expect_killed("echo $$ >pids; exec 2>/dev/null; exec sleep 60", 1,
                      "one that has closed its standard error");
        expect_killed("echo $$ >pids; while :; do echo x >&2; done", 1,
                      "one that writes without end");
        expect_killed("echo $$ >pids; exec yes >&2", 1, "one that writes as fast as it can");
        tap_is_int(fault.code, FAULT_TIMED_OUT, "it is told by its code");
        tap_ok(strstr(fault.message, "sh did not end in time"), "and its reason names the program");
        expect_left_behind("sleep 60 & echo $! >pids", "a child with its standard error");
        expect_left_behind("yes >&2 & echo $! >pids", "a child that writes without end");

        uint64_t begin = now_monotonic_usec();
        tap_is_int(run_with("exit 0", (ChildSpec){.deadline_usec = UINT64_MAX}), 0,
                   "there may be no deadline");
        tap_ok(now_monotonic_usec() - begin < LATER, "whose end is not waited for");
}

static void test_death(void)
{
        g_autofree char *pids = g_build_filename(directory, "orphan", NULL);
        g_autofree char *script = g_strdup_printf(
                "echo $$ >'%s.new' && mv '%s.new' '%s'; exec sleep 60", pids, pids, pids);
        uint64_t end = now_monotonic_usec() + LATER;
        pid_t daemon = fork();

        if (daemon == 0) {
                (void) run(script);
                _exit(1);
        }
        while (!g_file_test(pids, G_FILE_TEST_EXISTS) && now_monotonic_usec() < end)
                (void) g_usleep(1000);
        (void) kill(daemon, SIGKILL);
        (void) waitpid(daemon, NULL, 0);
        tap_ok(all_are_gone(pids), "a program does not outlive a daemon that is killed");
}

/* The other half of child_run(), for who has a loop to wait in. */
static void test_start(void)
{
        const char *const argv[] = {"sh", "-c", "read line <&3; echo $line >&2; exit 7", NULL};
        const char *const sleeper[] = {"sh", "-c", "exec sleep 60", NULL};
        autofd input = new_file("said\n"), errors = new_file("");
        int fd = -1, status = 0;

        int r = child_start(&CHILD_SPEC(.unit = "sh", .argv = argv, .fds = &input, .n_fds = 1),
                            errors, &fd, NULL);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        tap_ok(r == 0 && poll(&p, 1, -1) == 1 && child_ended(fd, "sh", &status, NULL) == 1 &&
                       WIFEXITED(status) && WEXITSTATUS(status) == 7,
               "a child that was started is the caller's to wait for");
        (void) close_fd(fd);
        g_autofree char *said = content_of(errors);
        tap_is_str(said, "said\n", "it has its descriptors, and its errors go where they should");

        r = child_start(&CHILD_SPEC(.unit = "sh", .argv = sleeper), errors, &fd, NULL);
        tap_ok(r == 0 && child_ended(fd, "sh", &status, NULL) == 0, "one that runs has not ended");
        child_kill(fd);
        p.fd = fd;
        tap_ok(poll(&p, 1, -1) == 1 && child_ended(fd, "sh", &status, NULL) == 1 &&
                       WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
               "it has when it was killed");
        (void) close_fd(fd);
}

/* -- on the loop ------------------------------------------------------------------------------ */

typedef struct TaskEnd {
        bool has_ended;
        int r;
} TaskEnd;

static void on_task(int r, const Fault *f, void *userdata)
{
        TaskEnd *end = userdata;

        *end = (TaskEnd){true, r};
        fault_clear(&fault);
        fault = fault_copy(f);
}

/* How it ended, with the loop run until then. */
static int run_task(const char *script, ChildSpec spec)
{
        const char *const argv[] = {"sh", "-c", script, NULL};
        sd_event *event = NULL;
        ChildTask *task = NULL;
        TaskEnd end = {0};

        spec.unit = "sh";
        spec.argv = argv;
        spec.deadline_usec = spec.deadline_usec ? spec.deadline_usec : LATER;
        if (sd_event_new(&event) < 0 ||
            child_task_start(event, &spec, on_task, &end, &task, &fault) < 0)
                tap_bail_out("no task");
        if (end.has_ended)
                tap_bail_out("it ended before it began");
        while (!end.has_ended)
                if (sd_event_run(event, LATER) <= 0)
                        break;
        task = child_task_free(task);
        (void) sd_event_unref(event);
        return end.has_ended ? end.r : -ETIME;
}

static void test_tasks(void)
{
        autofd out = new_file("");
        int status = 0;

        tap_is_int(run_task("echo done", (ChildSpec){.stdout_fd = out}), 0,
                   "a child on the loop ends as one that is waited for");
        g_autofree char *text = content_of(out);
        tap_is_str(text, "done\n", "with what it wrote");
        tap_is_int(run_task("echo first >&2; echo no such thing >&2; exit 3",
                            (ChildSpec){.ret_status = &status}),
                   -EIO, "a failure is one");
        tap_is_int(status, 3, "with its exit status");
        tap_is_str(fault.message, "sh: no such thing", "and its last line");
        tap_is_int(run_task("exec sleep 1000", (ChildSpec){.deadline_usec = 1000}), -ETIMEDOUT,
                   "one that takes too long is killed");
}

static void test_task_is_freed(void)
{
        const char *const argv[] = {"sh", "-c", "echo; exec sleep 1000", NULL};
        sd_event *event = NULL;
        ChildTask *task = NULL;
        TaskEnd end = {0};
        int out[2];
        char byte;

        if (pipe2(out, O_CLOEXEC) < 0 || sd_event_new(&event) < 0 ||
            child_task_start(event,
                             &CHILD_SPEC(.unit = "sh", .argv = argv, .deadline_usec = LATER,
                                         .stdout_fd = out[1]),
                             on_task, &end, &task, &fault) < 0)
                tap_bail_out("no task");
        (void) close(out[1]);
        tap_is_int(read(out[0], &byte, 1), 1, "a child runs");
        task = child_task_free(task);
        /* Nobody has the other end any more. */
        tap_is_int(read(out[0], &byte, 1), 0, "freeing its task kills it");
        tap_ok(!end.has_ended, "without a word");
        (void) close(out[0]);
        (void) sd_event_unref(event);
}

int main(void)
{
        char template[] = "/tmp/fluid-child-XXXXXX";
        pid_t unit;

        directory = g_strdup(mkdtemp(template));
        if (!directory)
                tap_bail_out("no directory");
        child_set_directory(directory);
        unit = socket_unit_start(directory, "sh", "/bin/sh");
        test_ends();
        test_missing();
        test_runner_is_gone();
        test_surroundings();
        test_descriptors();
        test_many_descriptors();
        test_deadline();
        test_death();
        test_start();
        test_tasks();
        test_task_is_freed();
        socket_unit_stop(unit, directory, "sh");
        (void) remove_tree(directory, NULL);
        g_free(directory);
        return tap_done();
}
