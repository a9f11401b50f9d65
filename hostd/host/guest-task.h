/* SPDX-License-Identifier: MIT */
#pragma once

/* What the parts of host/guest.h share; private to them.
 *
 * A task has exactly one thing under way, an agent call or a task of its own, and nothing else
 * leads back to it: so it ends when the agent is freed, and is freed right before its done() is
 * called. */

#include "host/guest.h"

struct GuestTask {
        /* Gives up and frees the task, now or later; its handlers are not called any more. */
        void (*cancel)(GuestTask *task);
};

/* How long one small call may take, and one that may have to wait for the guest's disk. */
#define GUEST_CALL_USEC (30 * USEC_PER_SEC)
/* Where nobody asked for a certain time: the guest has been silent for long enough to give up. */
#define GUEST_SILENCE_USEC (60 * USEC_PER_SEC)

/* FAULT_INVALID_ARGUMENT unless UTF-8 and not empty; `what` is "path", "argument", … */
int guest_check_text(const char *what, const char *text, Fault *f);
/* The same, and absolute. */
int guest_check_path(const char *path, Fault *f);

/* A number from the guest that has to be one; FAULT_AGENT_MISBEHAVED. */
int guest_find_number(Json *reply, const char *key, uint64_t max, uint64_t *ret, Fault *f);

/* Sends a call of which nobody awaits the end. */
void guest_call_detached(Agent *agent, const char *command, Json *arguments);

/* -- requests (guest-request.c), pure --------------------------------------------------------- */

/* The arguments of guest-exec for `spec`. `*ret_marker` is NULL where the program is started
 * directly, else what its wrapper begins its last words on standard error with, when it exits with
 * GUEST_WRAPPER_EXIT because the program cannot be run. FAULT_INVALID_ARGUMENT. */
#define GUEST_WRAPPER_EXIT 125
int guest_request_format(const GuestExecSpec *spec, Json **ret_arguments, char **ret_marker,
                         Fault *f);

/* `text` is what followed the marker; FAULT_COMMAND_NOT_RUN in words. */
int guest_request_explain(const GuestExecSpec *spec, const char *text, Fault *f);

/* -- scripts (guest-script.c) ----------------------------------------------------------------- */

/* Runs the constant `script` with /bin/sh as root; `parameters` (NULL-terminated) are its $1, $2, …
 * done() gets the exit status and what it wrote on both streams, at most GUEST_SCRIPT_OUTPUT_MAX
 * bytes, NUL added. */
#define GUEST_SCRIPT_OUTPUT_MAX 8192
typedef void (*GuestScriptDone)(int status, const GString *output, int r, const Fault *f,
                                void *userdata);
int guest_script(sd_event *event, Agent *agent, const char *script, const char *const *parameters,
                 const void *input, size_t input_size, uint64_t timeout_usec, GuestScriptDone done,
                 void *userdata, GuestTask **ret, Fault *f);

/* Runs a program likewise. `argv`, NULL-terminated, and `input` are copied. */
int guest_program_run(sd_event *event, Agent *agent, const char *const *argv, const void *input,
                      size_t input_size, uint64_t timeout_usec, GuestScriptDone done,
                      void *userdata, GuestTask **ret, Fault *f);

/* guest_kill() that also finds the program by its number `pid` (0: unknown) where its mark is gone.
 */
int guest_kill_process(sd_event *event, Agent *agent, const char *id, int64_t pid, int signal,
                       GuestDone done, void *userdata, GuestTask **ret, Fault *f);

/* -- identity (guest-identity.c, guest-hostname.c, guest-rest.c)
 * -------------------------------------------------------------- */

/* guest_renew_identity() of the files below the directory `root` ("": all of the guest), for tests
 * on a machine that is to keep its own. */
int guest_renew_identity_below(sd_event *event, Agent *agent, const char *root,
                               const GuestIdentity *identity, GuestDone done, void *userdata,
                               GuestTask **ret, Fault *f);

/* guest_set_hostname() likewise. */
int guest_set_hostname_below(sd_event *event, Agent *agent, const char *root, const char *hostname,
                             GuestDone done, void *userdata, GuestTask **ret, Fault *f);

/* guest_put_program() likewise. */
int guest_put_program_below(sd_event *event, Agent *agent, const char *root, GuestDone done,
                            void *userdata, GuestTask **ret, Fault *f);
