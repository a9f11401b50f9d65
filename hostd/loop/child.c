/* SPDX-License-Identifier: MIT */
#include "loop/child.h"

#include "base/cleanup.h"
#include "base/quantity.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STDERR_KEPT 4096

typedef struct Plan {
        const ChildSpec *spec;
        char *const *environment;
        int stdin_fd, stdout_fd, stderr_fd;
        int *high_fds; /* the passed ones, above where they have to go */
} Plan;

/* Only async-signal-safe calls: this runs in the child of a threaded process. */
static void become_child(const Plan *plan)
{
        const ChildSpec *spec = plan->spec;
        unsigned first_unused = 3 + (unsigned) spec->n_fds;
        sigset_t none;

        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) setpgid(0, 0);
        if (dup2(plan->stdin_fd, 0) < 0 || dup2(plan->stdout_fd, 1) < 0 ||
            dup2(plan->stderr_fd, 2) < 0)
                _exit(126);
        for (size_t i = 0; i < spec->n_fds; i++)
                if (dup2(plan->high_fds[i], 3 + (int) i) < 0)
                        _exit(126);
        if (syscall(SYS_close_range, first_unused, ~0U, 0) < 0)
                _exit(126);
        if (spec->gid && (setgroups(0, NULL) < 0 || setgid(spec->gid) < 0))
                _exit(126);
        if (spec->uid && setuid(spec->uid) < 0)
                _exit(126);
        /* After the change of user, which clears it. */
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) execve(spec->argv[0], (char *const *) spec->argv, plan->environment);
        _exit(127);
}

/* Takes what can be read from standard error; its end is what is kept. False at the end of it. */
static bool take_errors(int fd, GString *text)
{
        char buffer[1024];
        ssize_t n = 1;

        /* Not for ever: who writes faster than this reads has a deadline, too. */
        for (unsigned i = 0; i < 64 && (n = read(fd, buffer, sizeof buffer)) > 0; i++) {
                (void) g_string_append_len(text, buffer, n);
                if (text->len > STDERR_KEPT)
                        (void) g_string_erase(text, 0, (gssize) (text->len - STDERR_KEPT));
        }
        return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Until it ends or the deadline passes. What it leaves behind in its process group is killed. */
static int wait_until(pid_t pid, int errors_fd, uint64_t deadline_usec, GString *errors,
                      int *ret_status)
{
        autofd pid_fd = (int) syscall(SYS_pidfd_open, pid, 0);
        struct pollfd p[] = {{.fd = pid_fd, .events = POLLIN}, {.fd = errors_fd, .events = POLLIN}};
        bool has_ended = false;

        while (pid_fd >= 0 && !has_ended) {
                uint64_t now = now_monotonic_usec();
                if (now >= deadline_usec)
                        break;
                uint64_t left_msec = (deadline_usec - now) / USEC_PER_MSEC + 1;
                if (poll(p, G_N_ELEMENTS(p), (int) MIN(left_msec, 3600000)) < 0 && errno != EINTR)
                        break;
                if (p[1].revents && !take_errors(errors_fd, errors))
                        p[1].fd = -1;
                has_ended = p[0].revents;
        }
        (void) take_errors(errors_fd, errors);
        (void) kill(-pid, SIGKILL);
        (void) kill(pid, SIGKILL);
        while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
                ;
        return has_ended ? 0 : -ETIMEDOUT;
}

static const char *last_line(GString *text)
{
        g_strchomp(text->str);
        char *newline = strrchr(text->str, '\n');
        return newline ? newline + 1 : text->str;
}

static int report(const char *program, int status, GString *errors, Fault *f)
{
        const char *said = last_line(errors);
        const char *name = strrchr(program, '/') ? strrchr(program, '/') + 1 : program;

        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 127 && !*said)
                return fault_set(f, FAULT_IO, "cannot run '%s': is it installed?", program);
        if (strstr(said, g_strerror(ENOSPC)))
                return fault_set(f, FAULT_NO_SPACE, "%s: %s", name, said);
        if (WIFSIGNALED(status))
                return fault_set(f, FAULT_IO, "%s was ended by signal %d%s%s", name,
                                 WTERMSIG(status), *said ? ": " : "", said);
        return fault_set(f, FAULT_IO, "%s: %s", name, *said ? said : "it failed without a word");
}

/* The descriptors that are to be passed, duplicated above every number that they have to get. */
static int raise_fds(const ChildSpec *spec, int *high)
{
        for (size_t i = 0; i < spec->n_fds; i++) {
                high[i] = fcntl(spec->fds[i], F_DUPFD_CLOEXEC, 3 + (int) spec->n_fds);
                if (high[i] < 0)
                        return -errno;
        }
        return 0;
}

static int spawn(const ChildSpec *spec, int stderr_fd, int *high_fds, pid_t *ret_pid)
{
        char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        char locale[] = "LC_ALL=C.UTF-8";
        char *environment[] = {path, locale, NULL};
        autofd null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        Plan plan = {.spec = spec,
                     .environment = environment,
                     .stdin_fd = null_fd,
                     .stdout_fd = spec->stdout_fd ? spec->stdout_fd : null_fd,
                     .stderr_fd = stderr_fd,
                     .high_fds = high_fds};
        int r = null_fd < 0 ? -errno : raise_fds(spec, high_fds);

        if (r < 0)
                return r;
        pid_t pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                become_child(&plan);
        *ret_pid = pid;
        return 0;
}

int child_run(const ChildSpec *spec, Fault *f)
{
        uint64_t deadline = now_monotonic_usec() + MIN(spec->deadline_usec, USEC_INFINITY / 2);
        g_autoptr(GString) errors = g_string_new(NULL);
        g_autofree int *high_fds = g_new(int, spec->n_fds + 1);
        int pipe_fds[2], status = 0, r;
        pid_t pid = 0;

        for (size_t i = 0; i < spec->n_fds; i++)
                high_fds[i] = -1;
        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make a pipe");
        autofd reading = pipe_fds[0];
        r = spawn(spec, pipe_fds[1], high_fds, &pid);
        (void) close_fd(pipe_fds[1]);
        for (size_t i = 0; i < spec->n_fds; i++)
                (void) close_fd(high_fds[i]);
        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "cannot start '%s'", spec->argv[0]);
        (void) fcntl(reading, F_SETFL, O_NONBLOCK);
        if (wait_until(pid, reading, deadline, errors, &status) == -ETIMEDOUT)
                return fault_set(f, FAULT_TIMED_OUT, "%s did not end in time and was killed",
                                 spec->argv[0]);
        return report(spec->argv[0], status, errors, f);
}
