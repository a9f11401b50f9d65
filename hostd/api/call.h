/* SPDX-License-Identifier: MIT */
#pragma once

/* One method call, from its arrival to its reply. Every method of every interface passes through
 * call_enter(), which finds the object, charges the caller's budget, authorises, runs the handler,
 * turns a Fault into an error reply, and writes down calls that were turned down.
 *
 * A call is charged until it is answered: at most CALLS_PER_UID_MAX of a user and CALLS_MAX of all
 * may be under way; more are FAULT_LIMITS_EXCEEDED. Those refusals are not audited: a flood must
 * not cost a write each. */

#include "api/object.h"

#define CALLS_PER_UID_MAX 256
#define CALLS_MAX         2048

typedef struct Call {
        Api *api; /* NULL once the caller or the Api is gone: nobody waits for the reply */
        sd_bus_message *message; /* then NULL */
        const Method *method;
        Caller caller;
        sd_bus_slot *polkit; /* the question that it waits for, or NULL */
        GList link;
} Call;

/* Reads the arguments of call->message, makes one call into core and replies. A negative return
 * means that nothing was begun and nothing was replied. CALL_PENDING means that the call now
 * belongs to a done function, which ends it with call_done() or call_end(). */
typedef int (*MethodHandler)(Call *call, void *object, Fault *f);
#define CALL_PENDING 1

struct Method {
        const char *member;
        MethodHandler handle;
        const char *action;     /* polkit's, for callers that are not root */
        const char *audit_kind; /* of methods that change something, else NULL */
};

/* The handler of every SD_BUS_METHOD. */
int call_enter(sd_bus_message *m, void *object, sd_bus_error *error);

/* A callback for all that is below PATH_ROOT: answers what is said to objects that do not exist, so
 * that calls which would change something are audited too; leaves all else to the vtables. */
int call_enter_missing(sd_bus_message *m, void *api, sd_bus_error *error);

/* An OperationDone for methods without result. `userdata` is the Call. */
void call_done(int r, const Fault *f, void *userdata);

/* Ends a pending call: replies the error if r < 0 (what the done function replied stands else). */
void call_end(Call *call, int r, const Fault *f);

/* True if nobody is there any more to reply to; the done function then only ends the call. */
bool call_is_orphan(const Call *call);

/* Nobody waits any more for the calls of that connection, or NULL: of any. Their operations go on;
 * those that polkit was still asked about never begin. */
void calls_orphan(Api *api, const char *sender);

/* Fills in an error of the bus, and returns its negative errno: for the getter of a property. */
int call_set_error(sd_bus_error *error, const Fault *f);

/* Replies, from a handler or a done function; a failure of sd-bus is a Fault. */
int call_reply(Call *call, Fault *f, const char *types, ...);

/* Replies an open file, read-only and from its start whatever mode `fd` has. */
int call_reply_file(Call *call, int fd, Fault *f);

/* The end of a handler that opened a file, with that result: replies it, and closes it. */
int call_reply_opened(Call *call, int r, int fd, Fault *f);

/* The object of a call that was under way meanwhile, and its id; NULL where it is gone by now, or
 * not for the caller's eyes. */
void *call_object(Call *call, const char **ret_id);

/* Sends a reply that the handler made itself; `r` is the result of the appends to it. */
int call_send(Call *call, sd_bus_message *reply, int r, Fault *f);

/* What sd_bus_message_read() returned, as a Fault. */
int call_read_fault(int r, Fault *f);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_message, sd_bus_message_unref)
