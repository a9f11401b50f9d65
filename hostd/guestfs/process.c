/* SPDX-License-Identifier: MIT */
#include "guestfs/process.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_MAX 65536

static volatile pid_t pids[_PROCESS_MAX];
static volatile sig_atomic_t ended_by;

void process_kill_all(void)
{
        for (int kind = 0; kind < _PROCESS_MAX; kind++) {
                if (pids[kind] <= 0)
                        continue;
                /* QEMU is in the worker's group, once that is one. */
                if (kind == PROCESS_WORKER)
                        (void) kill(-pids[kind], SIGKILL);
                (void) kill(pids[kind], SIGKILL);
        }
}

static void on_signal(int number)
{
        ended_by = number;
        process_kill_all();
}

void process_catch_signals(bool catch)
{
        static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGALRM};
        const struct sigaction action = {.sa_handler = catch ? on_signal : SIG_DFL};

        for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
                (void) sigaction(numbers[i], &action, NULL);
}

int process_ended_by(void)
{
        return ended_by;
}

static void become(ProcessKind kind, pid_t parent)
{
        int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        process_catch_signals(false);
        if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDOUT_FILENO) < 0 ||
            (kind == PROCESS_WORKER && setpgid(0, 0) < 0) || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
            getppid() != parent)
                _exit(EXIT_FAILURE);
        (void) close_fd(null_fd);
}

/* No signal is taken before it is known whom to kill then. */
pid_t process_start(ProcessKind kind, int *ret_fd, Fault *f)
{
        sigset_t all, old;
        int fds[2];
        pid_t parent = getpid();

        if (pipe2(fds, O_CLOEXEC) < 0)
                return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot make a pipe");
        (void) sigfillset(&all);
        (void) sigprocmask(SIG_BLOCK, &all, &old);
        pid_t pid = fork();
        if (pid == 0)
                become(kind, parent);
        pids[kind] = pid;
        (void) sigprocmask(SIG_SETMASK, &old, NULL);
        (void) close_fd(fds[pid != 0]);
        *ret_fd = fds[pid == 0];
        if (pid < 0) {
                *ret_fd = close_fd(fds[0]);
                return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot start a process");
        }
        return pid;
}

char *process_read(int fd)
{
        g_autoptr(GString) text = g_string_new(NULL);
        char buffer[4096];
        ssize_t n = 1;

        while (!ended_by && n != 0 && text->len <= TEXT_MAX) {
                n = read(fd, buffer, sizeof(buffer));
                if (n > 0)
                        g_string_append_len(text, buffer, n);
                else if (n < 0 && errno != EINTR)
                        break;
        }
        return n == 0 ? g_string_free(TAKE_PTR(text), FALSE) : NULL;
}

int process_wait(ProcessKind kind, int *ret_status, Fault *f)
{
        pid_t pid = pids[kind];
        int status = 0;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        break;
        pids[kind] = 0;
        if (kind == PROCESS_WORKER)
                (void) kill(-pid, SIGKILL);
        if (!WIFEXITED(status))
                return fault_set(f, FAULT_DIFF_FAILED,
                                 "what %s was killed by signal %d; was there enough memory?",
                                 kind == PROCESS_READER ? "reads the disks" : "copies the files",
                                 WTERMSIG(status));
        *ret_status = WEXITSTATUS(status);
        return 0;
}

void process_end_all(void)
{
        Fault ignored = {0};
        int status;

        process_kill_all();
        for (int kind = 0; kind < _PROCESS_MAX; kind++)
                if (pids[kind] > 0)
                        (void) process_wait((ProcessKind) kind, &status, &ignored);
}
