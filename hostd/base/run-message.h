/* SPDX-License-Identifier: MIT */
#pragma once

/* What fluid-hostd and fluid-runner say to each other, over a SOCK_SEQPACKET connection that is one
 * run of one program. The daemon sends a request; the runner runs the program of its unit, and
 * tells how that ended. When the daemon closes the connection, or its half of it, before that, the
 * program is killed.
 *
 * Both ends come from one build. The daemon trusts nothing of an answer: who took the program over
 * could be the runner's user. */

#include "base/fault.h"

#include <stddef.h>

#define RUN_ARGUMENTS_MAX 160         /* two for each of 26 disks at two points, and others */
#define RUN_TEXT_MAX      (64 * 1024) /* of all arguments */
#define RUN_FDS_MAX       1024

/* The first two descriptors of a request; the program gets those that follow as 3, 4, … */
enum { RUN_STDERR, RUN_STDOUT, _RUN_FD_MAX };

typedef struct RunRequest {
        char **arguments; /* beside the program's name; NULL-terminated */
        int *fds;
        size_t n_fds; /* at least _RUN_FD_MAX */
} RunRequest;

/* Frees the texts and closes the descriptors of one that was received. */
void run_request_done(RunRequest *q);

/* Does not block: -EAGAIN cannot be for a new connection, whose buffer takes it all.
 * FAULT_INVALID_ARGUMENT: more than the most; FAULT_IO. */
int run_request_send(int fd, const char *const *arguments, const int *fds, size_t n_fds, Fault *f);
/* Blocks. FAULT_INVALID_ARGUMENT: not a request; FAULT_IO: the other end is gone. */
int run_request_receive(int fd, RunRequest *ret, Fault *f);

/* `status` is as of waitpid(). 0 or a negative errno. */
int run_end_send(int fd, int status);
/* Does not block. 1; 0: not yet; -EIO: the runner is gone without a word, or sent another one. */
int run_end_receive(int fd, int *ret_status);
