/* SPDX-License-Identifier: MIT */
#pragma once

/* A child program, run to its end. Blocks: call it in a worker thread only. */

#include "base/fault.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct ChildSpec {
        /* NULL-terminated; argv[0] is an absolute path. No shell is involved. */
        const char *const *argv;
        /* The time after which it is killed: FAULT_TIMED_OUT. */
        uint64_t deadline_usec;
        /* Where standard output goes, or 0 for /dev/null. Borrowed. */
        int stdout_fd;
        /* Open descriptors that the child gets as 3, 4, …; `n_fds` may be 0. Borrowed. */
        const int *fds;
        size_t n_fds;
        /* The user and group to become, or 0 to stay; supplementary groups are dropped. */
        uid_t uid;
        gid_t gid;
} ChildSpec;

#define CHILD_SPEC(...) ((ChildSpec){__VA_ARGS__})

/* Runs it with an empty environment but PATH and LC_ALL=C.UTF-8, standard input /dev/null, and
 * reports failure as FAULT_IO with the program's name and the last line that it wrote to standard
 * error. What it leaves behind in its process group is killed, and a child never outlives this
 * process. */
int child_run(const ChildSpec *spec, Fault *f);
