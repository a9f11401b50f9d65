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

/* -- identity (guest-identity.c) -------------------------------------------------------------- */

/* What makes a copy of a guest a guest of its own. Strings may be NULL: that stays as it is. */
typedef struct GuestIdentity {
        const char *hostname;
        const char *machine_id;          /* 32 hexadecimal digits, lower case */
        const char *ssh_host_key;        /* an ed25519 key as in ssh_host_ed25519_key, … */
        const char *ssh_host_key_public; /* … and in ssh_host_ed25519_key.pub */
        size_t seed_size;                /* at most GUEST_SEED_MAX */
        const void *seed;                /* fresh random bytes for the kernel's pool */
        bool sets_clock;                 /* to this host's, right when the guest gets it */
} GuestIdentity;
#define GUEST_SEED_MAX 512

/* Renews all of that in one program, and what hangs on it: the one that guest_put_program() has
 * put there, else the shell. Host keys of other kinds are removed where there is a new one
 * (ssh-keygen -A makes them), a running sshd is told to read its key anew, DHCP leases and
 * identifiers and systemd's random seed are removed, /etc/hosts follows the hostname. Files are
 * replaced only where the guest has them (the hostname always). From then on the guest's kernel
 * gives random numbers that depend on the seed. FAULT_INVALID_ARGUMENT; done with
 * FAULT_AGENT_REFUSED and the guest's words where something of it could not be done: the rest has
 * been done then. A cancelled renewal goes on in the guest; where it is the program's, the next one
 * waits for its end. */
int guest_renew_identity(sd_event *event, Agent *agent, const GuestIdentity *identity,
                         GuestDone done, void *userdata, GuestTask **ret, Fault *f);

/* Sets the hostname, of the running guest and in /etc/hostname, without starting a program.
 * FAULT_INVALID_ARGUMENT unless it is 1 to 63 of A-Z a-z 0-9 . - , the first a letter or digit. */
int guest_set_hostname(sd_event *event, Agent *agent, const char *hostname, GuestDone done,
                       void *userdata, GuestTask **ret, Fault *f);

/* A sandbox's name as a valid hostname; the caller frees it. "my_box" becomes "my-box". */
char *guest_hostname_from_name(const char *name);

/* Puts the program into the guest's memory that guest_renew_identity() then is quickest with, in
 * this guest and in copies of its memory. Done with FAULT_AGENT_REFUSED where the guest has no
 * tmpfs from which programs can be run, or is no x86-64: the identity is renewed all the same. */
int guest_put_program(sd_event *event, Agent *agent, GuestDone done, void *userdata,
                      GuestTask **ret, Fault *f);

/* Waits until the guest has come to rest after its boot (systemd says that it is up, be it
 * degraded, where there is systemd), at most `timeout_usec`, and writes its caches to disk. A guest
 * that does not come to rest in time is no failure. */
int guest_settle(sd_event *event, Agent *agent, uint64_t timeout_usec, GuestDone done,
                 void *userdata, GuestTask **ret, Fault *f);
