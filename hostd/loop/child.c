/* SPDX-License-Identifier: MIT */
#include "loop/child.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "base/run-message.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define STDERR_KEPT 4096
/* How long one that was killed may take to go: it can wait for a disk. */
#define KILL_MAX_USEC (10 * USEC_PER_SEC)

static char *directory;

void child_set_directory(const char *path)
{
        g_free(directory);
        directory = g_strdup(path);
}

bool child_unit_exists(const char *unit)
{
        g_autofree char *path = g_strdup_printf("%s/%s.socket", directory, unit);

        return access(path, F_OK) == 0;
}

/* -- asking --------------------------------------------------------------------------------- */

static int connect_to(const char *unit, Fault *f)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int n = snprintf(address.sun_path, sizeof address.sun_path, "%s/%s.socket", directory,
                         unit);
        autofd fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (n >= (int) sizeof address.sun_path)
                return fault_set(f, FAULT_IO, "the path '%s/%s.socket' is too long", directory,
                                 unit);
        if (fd < 0 || connect(fd, (const struct sockaddr *) &address, sizeof address) < 0)
                return fault_set_errno(f, FAULT_IO, errno,
                                       "cannot reach '%s' ('systemctl start %s.socket' makes it)",
                                       address.sun_path, unit);
        return TAKE_FD(fd);
}

int child_start(const ChildSpec *spec, int stderr_fd, int *ret_fd, Fault *f)
{
        g_autofree int *fds = g_new(int, spec->n_fds + _RUN_FD_MAX);
        autofd null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        int r;

        if (null_fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot open /dev/null");
        fds[RUN_STDERR] = stderr_fd;
        fds[RUN_STDOUT] = spec->stdout_fd ? spec->stdout_fd : null_fd;
        for (size_t i = 0; i < spec->n_fds; i++)
                fds[_RUN_FD_MAX + i] = spec->fds[i];
        autofd fd = connect_to(spec->unit, f);
        if (fd < 0)
                return fd;
        r = run_request_send(fd, spec->argv + 1, fds, spec->n_fds + _RUN_FD_MAX, f);
        if (r == 0)
                *ret_fd = TAKE_FD(fd);
        return r;
}

void child_kill(int fd)
{
        (void) shutdown(fd, SHUT_WR);
}

int child_ended(int fd, const char *unit, int *ret_status, Fault *f)
{
        int r = run_end_receive(fd, ret_status);

        return r < 0 ? fault_set(f, FAULT_IO,
                                 "what became of %s cannot be told; 'journalctl -u \"%s@*\"' may",
                                 unit, unit)
                     : r;
}

/* -- waiting -------------------------------------------------------------------------------- */

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

/* Until it ends or that time comes; takes its errors meanwhile. 1, 0 or a fault. */
static int wait_until(int fd, const char *unit, int errors_fd, uint64_t until_usec, GString *errors,
                      int *ret_status, Fault *f)
{
        struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = errors_fd, .events = POLLIN}};
        int r = 0;

        while (r == 0) {
                uint64_t now = now_monotonic_usec();
                if (now >= until_usec)
                        break;
                uint64_t left_msec = (until_usec - now) / USEC_PER_MSEC + 1;
                if (poll(p, G_N_ELEMENTS(p), (int) MIN(left_msec, 3600000)) < 0 && errno != EINTR)
                        return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot wait for %s",
                                               unit);
                if (p[1].revents && !take_errors(errors_fd, errors))
                        p[1].fd = -1;
                if (p[0].revents)
                        r = child_ended(fd, unit, ret_status, f);
        }
        (void) take_errors(errors_fd, errors);
        return r;
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

        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 127 && !*said)
                return fault_set(f, FAULT_IO, "cannot run '%s': is it installed?", program);
        if (strstr(said, g_strerror(ENOSPC)))
                return fault_set(f, FAULT_NO_SPACE, "%s: %s", program, said);
        if (WIFSIGNALED(status))
                return fault_set(f, FAULT_IO, "%s was ended by signal %d%s%s", program,
                                 WTERMSIG(status), *said ? ": " : "", said);
        return fault_set(f, FAULT_IO, "%s: %s", program, *said ? said : "it failed without a word");
}

int child_run(const ChildSpec *spec, Fault *f)
{
        uint64_t deadline = now_monotonic_usec() + MIN(spec->deadline_usec, USEC_INFINITY / 2);
        g_autoptr(GString) errors = g_string_new(NULL);
        int pipe_fds[2], status = 0, child = -1, r;

        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make a pipe");
        autofd reading = pipe_fds[0];
        r = child_start(spec, pipe_fds[1], &child, f);
        (void) close_fd(pipe_fds[1]);
        if (r < 0)
                return r;
        autofd running = child;
        (void) fcntl(reading, F_SETFL, O_NONBLOCK);
        r = wait_until(running, spec->unit, reading, deadline, errors, &status, f);
        if (r < 0)
                return r;
        if (r == 0) {
                Fault ignored = {0};

                child_kill(running);
                (void) wait_until(running, spec->unit, reading,
                                  now_monotonic_usec() + KILL_MAX_USEC, errors, &status, &ignored);
                return fault_set(f, FAULT_TIMED_OUT, "%s did not end in time and was killed",
                                 spec->argv[0]);
        }
        if (spec->ret_status && WIFEXITED(status))
                *spec->ret_status = WEXITSTATUS(status);
        return report(spec->argv[0], status, errors, f);
}

/* -- on the loop ---------------------------------------------------------------------------- */

struct ChildTask {
        char *unit, *program;
        int child_fd, errors_fd;
        GString *errors;
        int *ret_status;
        sd_event_source *end, *said, *timer;
        ChildDone done;
        void *userdata;
};

ChildTask *child_task_free(ChildTask *task)
{
        if (!task)
                return NULL;
        (void) sd_event_source_disable_unref(task->end);
        (void) sd_event_source_disable_unref(task->said);
        (void) sd_event_source_disable_unref(task->timer);
        (void) close_fd(task->child_fd);
        (void) close_fd(task->errors_fd);
        (void) g_string_free(task->errors, TRUE);
        g_free(task->unit);
        g_free(task->program);
        g_free(task);
        return NULL;
}

/* done() may free the task. */
static void end_task(ChildTask *task, int r, const Fault *f)
{
        (void) sd_event_source_set_enabled(task->end, SD_EVENT_OFF);
        (void) sd_event_source_set_enabled(task->said, SD_EVENT_OFF);
        (void) sd_event_source_set_enabled(task->timer, SD_EVENT_OFF);
        task->done(r, f, task->userdata);
}

static int on_end(G_GNUC_UNUSED sd_event_source *source, int fd, G_GNUC_UNUSED uint32_t events,
                  void *userdata)
{
        ChildTask *task = userdata;
        int status = 0;
        Fault f = {0};
        int r = child_ended(fd, task->unit, &status, &f);

        if (r == 0)
                return 0;
        (void) take_errors(task->errors_fd, task->errors);
        if (r > 0) {
                if (task->ret_status && WIFEXITED(status))
                        *task->ret_status = WEXITSTATUS(status);
                r = report(task->program, status, task->errors, &f);
        }
        end_task(task, r, &f);
        return 0;
}

static int on_said(sd_event_source *source, int fd, G_GNUC_UNUSED uint32_t events, void *userdata)
{
        ChildTask *task = userdata;

        if (!take_errors(fd, task->errors))
                (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        return 0;
}

static int on_late(G_GNUC_UNUSED sd_event_source *source, G_GNUC_UNUSED uint64_t usec,
                   void *userdata)
{
        ChildTask *task = userdata;
        Fault f = {0};
        int r = fault_set(&f, FAULT_TIMED_OUT, "%s did not end in time and was killed",
                          task->program);

        child_kill(task->child_fd);
        end_task(task, r, &f);
        return 0;
}

static int watch(sd_event *event, ChildTask *task, uint64_t deadline_usec)
{
        int r = sd_event_add_io(event, &task->end, task->child_fd, EPOLLIN, on_end, task);

        if (r >= 0)
                r = sd_event_add_io(event, &task->said, task->errors_fd, EPOLLIN, on_said, task);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &task->timer, CLOCK_MONOTONIC,
                                               MIN(deadline_usec, USEC_INFINITY / 4), 0, on_late,
                                               task);
        return r;
}

int child_task_start(sd_event *event, const ChildSpec *spec, ChildDone done, void *userdata,
                     ChildTask **ret, Fault *f)
{
        int pipe_fds[2], r;

        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make a pipe");
        ChildTask *task = g_new0(ChildTask, 1);
        *task = (ChildTask){.unit = g_strdup(spec->unit),
                            .program = g_strdup(spec->argv[0]),
                            .child_fd = -1,
                            .errors_fd = pipe_fds[0],
                            .errors = g_string_new(NULL),
                            .ret_status = spec->ret_status,
                            .done = done,
                            .userdata = userdata};
        (void) fcntl(task->errors_fd, F_SETFL, O_NONBLOCK);
        r = child_start(spec, pipe_fds[1], &task->child_fd, f);
        (void) close_fd(pipe_fds[1]);
        if (r >= 0) {
                r = watch(event, task, spec->deadline_usec);
                if (r < 0)
                        r = fault_set_errno(f, FAULT_INTERNAL, r, "cannot wait for %s", spec->unit);
        }
        if (r < 0) {
                (void) child_task_free(task);
                return r;
        }
        *ret = task;
        return 0;
}
