/* SPDX-License-Identifier: MIT */
#pragma once

/* The two processes that work for this one: each says what it has to say through a pipe, and is
 * killed when this one ends, or is told to. */

#include "base/fault.h"

#include <stdbool.h>
#include <sys/types.h>

typedef enum ProcessKind { PROCESS_READER, PROCESS_WORKER, _PROCESS_MAX } ProcessKind;

/* As fork(). *ret_fd is where the new process writes to, and this one reads from; close() it.
 * Standard input and output are /dev/null there, and the worker leads a group of its own. */
pid_t process_start(ProcessKind kind, int *ret_fd, Fault *f);

/* All that it writes, until it closes its end; g_free() it. NULL where that is too much, or a
 * signal came. */
char *process_read(int fd);

/* Its exit status. FAULT_DIFF_FAILED: it was killed. What is left of its group is killed. */
int process_wait(ProcessKind kind, int *ret_status, Fault *f);

/* SIGTERM, SIGINT, SIGHUP and SIGALRM kill them then, and are remembered; or have their own way
 * again. */
void process_catch_signals(bool catch);

/* The signal that came, or 0. */
int process_ended_by(void);

void process_kill_all(void);

/* Also waits until they are gone. */
void process_end_all(void);
