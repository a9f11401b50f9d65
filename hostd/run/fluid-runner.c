/* SPDX-License-Identifier: MIT */

/* fluid-runner: what fluid-hostd asks a unit to run. */

#include "base/cleanup.h"
#include "base/file.h"
#include "base/run-message.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef FLUID_VERSION
#define FLUID_VERSION "0"
#endif

#define EXIT_USAGE 2

/* As shells have them. */
#define EXIT_NOT_SET_UP  126
#define EXIT_NOT_STARTED 127

static const char usage[] =
        "Usage: fluid-runner PROGRAM\n"
        "\n"
        "Runs PROGRAM once for fluid-hostd, which asks on the connection that is standard input: with\n"
        "the arguments and the open files of its request, in a process group of its own, with nothing\n"
        "in its environment but PATH and LC_ALL=C.UTF-8. Tells how it ended. The program is killed\n"
        "when fluid-hostd hangs up, and what it leaves behind in its group when it ends.\n"
        "\n"
        "It is started by the sockets of fluid's units, and it is these that say what PROGRAM may do.\n"
        "\n"
        "      --help, --version\n"
        "\n"
        "Exit status: 0 told, or hung up; 1 failed; 2 wrong usage.\n";

static void complain(const Fault *f)
{
        g_autofree char *line = g_strdup_printf("fluid-runner: %s\n", f->message);

        (void) write_all(STDERR_FILENO, line, strlen(line));
}

/* -- the program ---------------------------------------------------------------------------- */

/* Descriptors above every number that the program's have to get. */
static int raise_fds(const RunRequest *q, Fault *f)
{
        for (size_t i = 0; i < q->n_fds; i++) {
                int high = fcntl(q->fds[i], F_DUPFD_CLOEXEC, (int) q->n_fds + _RUN_FD_MAX);

                if (high < 0)
                        return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot pass files on");
                (void) close_fd(q->fds[i]);
                q->fds[i] = high;
        }
        return 0;
}

static void become_program(pid_t parent, char **arguments, const RunRequest *q, int null_fd)
{
        char search[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        char locale[] = "LC_ALL=C.UTF-8";
        char *environment[] = {search, locale, NULL};
        size_t n_more = q->n_fds - _RUN_FD_MAX;
        sigset_t none;

        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) setpgid(0, 0);
        if (dup2(null_fd, STDIN_FILENO) < 0 || dup2(q->fds[RUN_STDOUT], STDOUT_FILENO) < 0 ||
            dup2(q->fds[RUN_STDERR], STDERR_FILENO) < 0)
                _exit(EXIT_NOT_SET_UP);
        for (size_t i = 0; i < n_more; i++)
                if (dup2(q->fds[_RUN_FD_MAX + i], STDERR_FILENO + 1 + (int) i) < 0)
                        _exit(EXIT_NOT_SET_UP);
        if (syscall(SYS_close_range, STDERR_FILENO + 1 + (unsigned) n_more, ~0U, 0) < 0 ||
            prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
                _exit(EXIT_NOT_SET_UP);
        (void) execve(arguments[0], arguments, environment);
        _exit(EXIT_NOT_STARTED);
}

static pid_t start(const char *path, const RunRequest *q, Fault *f)
{
        g_autoptr(GPtrArray) arguments = g_ptr_array_new();
        autofd null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null_fd < 0)
                return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot open /dev/null");
        g_ptr_array_add(arguments, (char *) path);
        for (char **argument = q->arguments; *argument; argument++)
                g_ptr_array_add(arguments, *argument);
        g_ptr_array_add(arguments, NULL);
        int r = raise_fds(q, f);
        if (r < 0)
                return r;
        pid_t parent = getpid(), pid = fork();
        if (pid == 0)
                become_program(parent, (char **) arguments->pdata, q, null_fd);
        return pid < 0 ? fault_set_errno(f, FAULT_INTERNAL, errno, "cannot start '%s'", path) : pid;
}

/* Until it ends, or the daemon hangs up: then it is killed. Its status, as of waitpid(). */
static int wait_for(pid_t pid, int connection, int *ret_status, Fault *f)
{
        autofd pid_fd = (int) syscall(SYS_pidfd_open, pid, 0);
        struct pollfd p[] = {{.fd = pid_fd, .events = POLLIN},
                             {.fd = connection, .events = POLLIN | POLLRDHUP}};

        if (pid_fd < 0) {
                (void) kill(pid, SIGKILL);
                return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot wait for a program");
        }
        while (poll(p, G_N_ELEMENTS(p), -1) < 0)
                if (errno != EINTR)
                        break;
        (void) kill(-pid, SIGKILL);
        (void) kill(pid, SIGKILL);
        while (waitpid(pid, ret_status, 0) < 0)
                if (errno != EINTR)
                        return fault_set_errno(f, FAULT_INTERNAL, errno,
                                               "cannot wait for a program");
        return 0;
}

/* -- the whole ------------------------------------------------------------------------------ */

static int run(const char *path, int connection, Fault *f)
{
        RunRequest q = {0};
        int status = 0, r = run_request_receive(connection, &q, f);

        if (r < 0)
                return r;
        pid_t pid = start(path, &q, f);
        run_request_done(&q);
        if (pid < 0)
                return pid;
        r = wait_for(pid, connection, &status, f);
        if (r == 0)
                /* Nobody may be there any more. */
                (void) run_end_send(connection, status);
        return r;
}

static int parse_arguments(int argc, char **argv, const char **ret_path, Fault *f)
{
        static const struct option long_options[] = {
                {"help", no_argument, NULL, 'h'},
                {"version", no_argument, NULL, 'v'},
                {NULL, 0, NULL, 0},
        };
        int option;

        opterr = 0;
        while ((option = getopt_long(argc, argv, "+", long_options, NULL)) >= 0) {
                if (option == '?')
                        return fault_set(f, FAULT_INVALID_ARGUMENT, "unknown option; see --help");
                fputs(option == 'h' ? usage : "fluid-runner " FLUID_VERSION "\n", stdout);
                exit(EXIT_SUCCESS);
        }
        if (argc - optind != 1 || argv[optind][0] != '/')
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "give the absolute path of one program; see --help");
        *ret_path = argv[optind];
        return 0;
}

/* The connection, where nothing that is started gets it. */
static int take_connection(int *ret, Fault *f)
{
        int type = 0;
        socklen_t size = sizeof type;

        if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
            type != SOCK_SEQPACKET)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "standard input is not a connection of fluid-hostd; see --help");
        *ret = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (*ret < 0)
                return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot set up the connection");
        /* It can be standard output, too; and who hangs up must be able to. */
        (void) close_fd(STDIN_FILENO);
        autofd null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null_fd != STDIN_FILENO || dup2(null_fd, STDOUT_FILENO) < 0)
                return fault_set(f, FAULT_INTERNAL, "cannot set up standard input and output");
        (void) TAKE_FD(null_fd);
        return 0;
}

int main(int argc, char **argv)
{
        Fault fault = {0};
        const char *path = NULL;
        autofd connection = -1;
        int r = parse_arguments(argc, argv, &path, &fault);

        if (r == 0)
                r = take_connection(&connection, &fault);
        /* The program can be the same user: what that does with what it holds is not its to see. */
        if (r == 0 && prctl(PR_SET_DUMPABLE, 0) < 0)
                r = fault_set_errno(&fault, FAULT_INTERNAL, errno, "cannot hide its memory");
        if (r == 0)
                r = run(path, connection, &fault);
        /* A connection without a request is who looks whether somebody is there. */
        if (r == 0 || fault.code == FAULT_IO)
                return EXIT_SUCCESS;
        complain(&fault);
        return fault.code == FAULT_INVALID_ARGUMENT ? EXIT_USAGE : EXIT_FAILURE;
}
