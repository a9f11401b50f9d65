/* SPDX-License-Identifier: MIT */
#pragma once

/* What fluid does inside a guest, through its agent: run a program, move a file, freeze its file
 * systems. Every operation is a GuestTask; done() runs once, on the loop, never before the starter
 * returned, and the task is gone then. agent_free() ends all tasks with FAULT_CANCELLED and leaves
 * the guest as it is: programs run on, and can be taken up again. */

#include "base/fault.h"
#include "host/agent.h"

#include <glib.h>
#include <stdint.h>
#include <systemd/sd-event.h>

typedef struct GuestTask GuestTask;

/* Gives the task up; none of its handlers is called any more. As long as the agent lives, a program
 * is then killed in the guest, a half-written file removed, a frozen guest thawed. May be called
 * from the task's handlers but done(). NULL is allowed. */
void guest_task_cancel(GuestTask *task);

/* -- programs ------------------------------------------------------------------------------- */

typedef enum GuestStream { GUEST_STDOUT, GUEST_STDERR, _GUEST_STREAM_MAX } GuestStream;

typedef struct GuestExecSpec {
        /* Marks all processes of the command in the guest (environment FLUID_COMMAND=id), so that
         * they can be found and killed, also those that left the process group. NULL: not marked,
         * and not killed when its time is up. */
        const char *id;
        /* NULL-terminated; argv[0] is looked up in PATH. Byte strings; UTF-8 is required by the
         * protocol's JSON: FAULT_INVALID_ARGUMENT else. */
        const char *const *argv;
        /* "NAME=value" on top of PATH, HOME, USER, LOGNAME, SHELL, LANG=C.UTF-8; may be NULL. */
        const char *const *environment;
        const char *directory; /* NULL: / ; has to exist, else FAULT_COMMAND_NOT_RUN */
        const char *user;      /* NULL: root; a name or number in the guest's passwd */
        const void *input;     /* standard input, at most GUEST_INPUT_MAX bytes; may be NULL */
        size_t input_size;
        /* USEC_INFINITY: none. When it is up, all marked processes and their descendants get
         * SIGTERM, 2 s later SIGKILL; what they wrote until then is kept. */
        uint64_t timeout_usec;
        uint64_t output_max; /* bytes kept per stream; more is dropped and truncated is set */
} GuestExecSpec;

#define GUEST_INPUT_MAX (1024 * 1024)
/* The agent itself keeps no more than this per stream. */
#define GUEST_OUTPUT_MAX (16 * 1024 * 1024)

typedef struct GuestExit {
        int exit_status; /* of the program; -1 when a signal ended it */
        int signal;      /* or 0 */
        bool timed_out;  /* its time was up and it was ended */
        bool truncated[_GUEST_STREAM_MAX];
} GuestExit;

typedef struct GuestExecHandlers {
        /* The program runs; `pid` is the guest's number for it, needed to resume. */
        void (*started)(int64_t pid, void *userdata);
        /* A piece of output, never more than output_max in all. */
        void (*output)(GuestStream stream, const void *bytes, size_t size, void *userdata);
        /* r < 0: it did not run or its end is not known (FAULT_COMMAND_NOT_RUN, AGENT_…). */
        void (*done)(const GuestExit *exit, int r, const Fault *f, void *userdata);
} GuestExecHandlers;

/* Starts a program. All strings are copied. One whose directory is / and whose user is root is
 * started directly; else /bin/sh enters the directory, finds the program in PATH, and becomes the
 * user with setpriv or su. The agent tells output only with the exit, and no exit while a process,
 * be it a grandchild in the background, holds the program's standard output open: redirect a
 * daemon's. What has cleaned its environment and lost its parent cannot be found by its mark. Where
 * the agent is silent for 60 s, or at the end of the time, the task ends with the channel's fault.
 */
int guest_exec(sd_event *event, Agent *agent, const GuestExecSpec *spec,
               const GuestExecHandlers *handlers, void *userdata, GuestTask **ret, Fault *f);

/* Takes up the wait for a program that guest_exec() of an earlier process had started. `spec` needs
 * only id, timeout_usec (what is left) and output_max. */
int guest_exec_resume(sd_event *event, Agent *agent, int64_t pid, const GuestExecSpec *spec,
                      const GuestExecHandlers *handlers, void *userdata, GuestTask **ret, Fault *f);

/* Sends `signal` to all processes marked with `id`; done with r < 0 where that could not be done.
 */
typedef void (*GuestDone)(int r, const Fault *f, void *userdata);
int guest_kill(sd_event *event, Agent *agent, const char *id, int signal, GuestDone done,
               void *userdata, GuestTask **ret, Fault *f);

/* -- files ---------------------------------------------------------------------------------- */

/* Reads at most `max_bytes` of `path` (absolute) from `offset`; pieces come in order through
 * `piece`; a negative return from it ends the task with that error and no reason in the Fault.
 * `ended` tells whether the file's end was reached. Only regular files: FAULT_NOT_FOUND,
 * INVALID_ARGUMENT else. */
typedef struct GuestReadHandlers {
        int (*piece)(const void *bytes, size_t size, void *userdata);
        void (*done)(bool ended, int r, const Fault *f, void *userdata);
} GuestReadHandlers;
int guest_read_file(sd_event *event, Agent *agent, const char *path, uint64_t offset,
                    uint64_t max_bytes, const GuestReadHandlers *handlers, void *userdata,
                    GuestTask **ret, Fault *f);

/* Writes a file: pulls pieces from `next` (returns bytes put into buffer, 0 at the end, negative
 * errno to give up; must not block; the first call comes before the starter returns) into a
 * temporary file beside `path` (absolute), syncs it, gives it `mode`, and renames it, so that
 * `path` is either the old or the whole new content. `mode` -1 keeps an existing file's, else 0644;
 * an existing file keeps its owner. A symbolic link is followed: what it points to is replaced.
 * FAULT_NOT_FOUND where the directory does not exist, INVALID_ARGUMENT where `path` is no regular
 * file. */
typedef struct GuestWriteHandlers {
        ssize_t (*next)(void *buffer, size_t size, void *userdata);
        GuestDone done;
} GuestWriteHandlers;
int guest_write_file(sd_event *event, Agent *agent, const char *path, int mode,
                     const GuestWriteHandlers *handlers, void *userdata, GuestTask **ret, Fault *f);

/* -- freezing ------------------------------------------------------------------------------- */

/* Freezes all file systems, or thaws them. `timeout_usec` bounds the wait. A freeze that ended with
 * an error or deadline is thawed again by the task itself before done(). */
int guest_freeze(sd_event *event, Agent *agent, uint64_t timeout_usec, GuestDone done,
                 void *userdata, GuestTask **ret, Fault *f);
int guest_thaw(sd_event *event, Agent *agent, uint64_t timeout_usec, GuestDone done, void *userdata,
               GuestTask **ret, Fault *f);
