/* SPDX-License-Identifier: MIT */
#pragma once

/* Programs that run for this process, each in a unit of its own: UNIT.socket listens, and starts
 * fluid-runner with the one program that UNIT@.service names, as its user, within its limits. This
 * process starts nothing itself. */

#include "base/fault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

typedef struct ChildSpec {
        const char *unit; /* "fluid-diff" */
        /* NULL-terminated; argv[0] is what messages call the program. No shell is involved. */
        const char *const *argv;
        /* The time after which it is killed: FAULT_TIMED_OUT. */
        uint64_t deadline_usec;
        /* Where standard output goes, or 0 for /dev/null. Borrowed. */
        int stdout_fd;
        /* Open descriptors that the child gets as 3, 4, …; `n_fds` may be 0. Borrowed. */
        const int *fds;
        size_t n_fds;
        /* Where its exit status goes, or NULL; left alone where it has none. */
        int *ret_status;
} ChildSpec;

#define CHILD_SPEC(...) ((ChildSpec){__VA_ARGS__})

/* Where the sockets of the units are; copied. To be told before the first child. */
void child_set_directory(const char *path);

/* Whether there is such a unit; some are installed only with what they need. */
bool child_unit_exists(const char *unit);

/* Blocks: call it in a worker thread only. Runs it with an empty environment but PATH and
 * LC_ALL=C.UTF-8, standard input /dev/null, and reports failure as FAULT_IO with the program's name
 * and the last line that it wrote to standard error. What it leaves behind in its process group is
 * killed, and a child never outlives this process. */
int child_run(const ChildSpec *spec, Fault *f);

/* The same on the loop, for what may take long: done() runs once there, never before the starter
 * returned, and what it is given ends as of child_run(). Freeing the task before that kills the
 * child, and done() is not called; in done() it is freed by whoever has it. `spec->ret_status` has
 * to be valid until then, the rest during the call. */
typedef struct ChildTask ChildTask;
typedef void (*ChildDone)(int r, const Fault *f, void *userdata);
int child_task_start(sd_event *event, const ChildSpec *spec, ChildDone done, void *userdata,
                     ChildTask **ret, Fault *f);
ChildTask *child_task_free(ChildTask *task);

/* Starts it, in the same way, and returns. Standard error goes to `stderr_fd`, which is borrowed,
 * and there is no deadline. `*ret_fd` is the caller's to poll, until child_ended(), and to close,
 * which kills the child. FAULT_IO; that it cannot be executed is its exit status, 127. */
int child_start(const ChildSpec *spec, int stderr_fd, int *ret_fd, Fault *f);
/* Kills the child; its end can be awaited as any other. */
void child_kill(int fd);
/* 1 with the status, as of waitpid(), of a child that is gone; 0: not yet; or FAULT_IO: what became
 * of it cannot be told. */
int child_ended(int fd, const char *unit, int *ret_status, Fault *f);
