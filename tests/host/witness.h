/* SPDX-License-Identifier: MIT */
#pragma once

/* Runs the program that gives a guest its identity, so that this machine keeps its clock and random
 * numbers: what it asks of the kernel for them is written down in the guest's folder instead, in
 * the words of the programs that the scripts use, and answered with success, or with the error
 * number that the file "refused-clock" or "refused-seed" there holds. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WITNESS_RESEED 0x5207 /* RNDRESEEDCRNG */

static inline int witness_listen(void)
{
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

        g_assert(filter);
        g_assert(seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(clock_settime), 0) == 0);
        g_assert(seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(ioctl), 1,
                                  SCMP_A1(SCMP_CMP_EQ, WITNESS_RESEED)) == 0);
        g_assert(seccomp_load(filter) == 0);
        int fd = seccomp_notify_fd(filter);
        g_assert(fd >= 0);
        return fd;
}

static inline int witness_refusal(const char *guest, const char *name)
{
        g_autofree char *path = g_build_filename(guest, name, NULL);
        g_autofree char *text = NULL;

        return g_file_get_contents(path, &text, NULL, NULL) ? atoi(text) : 0;
}

static inline void witness_note(const char *guest, const char *name, const char *line)
{
        g_autofree char *path = g_build_filename(guest, name, NULL);
        FILE *file = fopen(path, "a");

        g_assert(file && fputs(line, file) >= 0 && fclose(file) == 0);
}

static inline int witness_call(const struct seccomp_notif *call, const char *guest)
{
        struct timespec time = {0};
        struct iovec to = {&time, sizeof time};
        struct iovec from = {(void *) (uintptr_t) call->data.args[1], sizeof time};
        char line[80];

        if (call->data.nr == SCMP_SYS(ioctl)) {
                witness_note(guest, "reseeded", "ioctl\n");
                return witness_refusal(guest, "refused-seed");
        }
        g_assert(call->data.args[0] == CLOCK_REALTIME);
        g_assert(process_vm_readv((pid_t) call->pid, &to, 1, &from, 1, 0) == sizeof time);
        (void) snprintf(line, sizeof line, "-u -s @%ld.%09ld\n", (long) time.tv_sec,
                        (long) time.tv_nsec);
        witness_note(guest, "clock", line);
        return witness_refusal(guest, "refused-clock");
}

static inline void witness_answer(int fd, const char *guest)
{
        struct seccomp_notif *call;
        struct seccomp_notif_resp *answer;

        g_assert(seccomp_notify_alloc(&call, &answer) == 0);
        if (seccomp_notify_receive(fd, call) == 0) {
                answer->id = call->id;
                answer->error = -witness_call(call, guest);
                g_assert(seccomp_notify_respond(fd, answer) == 0);
        }
        seccomp_notify_free(call, answer);
}

/* `arguments`: the program, and its own, of which the first is the guest's folder. Ends as it. */
__attribute__((noreturn)) static inline void witness_run(char **arguments)
{
        sigset_t child_ends;
        int status, fd = witness_listen();

        (void) sigemptyset(&child_ends);
        (void) sigaddset(&child_ends, SIGCHLD);
        (void) sigprocmask(SIG_BLOCK, &child_ends, NULL);
        int ends = signalfd(-1, &child_ends, SFD_CLOEXEC);
        pid_t pid = fork();
        g_assert(ends >= 0 && pid >= 0);
        if (pid == 0) {
                (void) execv(arguments[0], arguments);
                (void) kill(getpid(), SIGABRT);
        }
        struct pollfd polls[] = {{.fd = fd, .events = POLLIN}, {.fd = ends, .events = POLLIN}};
        while (poll(polls, G_N_ELEMENTS(polls), -1) < 0 || !polls[1].revents)
                if (polls[0].revents & POLLIN)
                        witness_answer(fd, arguments[1]);
        g_assert(waitpid(pid, &status, 0) == pid);
        if (WIFSIGNALED(status))
                (void) kill(getpid(), SIGKILL);
        exit(WEXITSTATUS(status));
}
