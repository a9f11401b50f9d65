/* SPDX-License-Identifier: MIT */
#include "host/guest.h"

#include "base/quantity.h"
#include "host/guest-task.h"

#include <errno.h>
#include <string.h>

/* A freeze that ended badly may still come true in the guest; the thaw that undoes it waits this
 * long for the agent. */
#define LATE_THAW_USEC (600 * USEC_PER_SEC)
#define THAW_USEC      (10 * USEC_PER_SEC)

typedef struct FreezeTask {
        GuestTask task;
        Agent *agent;
        AgentCall *call;
        GuestDone done;
        void *userdata;
        Fault why; /* the freeze failed so; now thawing */
} FreezeTask;

void guest_task_cancel(GuestTask *task)
{
        if (task)
                task->cancel(task);
}

int guest_check_text(const char *what, const char *text, Fault *f)
{
        if (!*text)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "the %s is empty", what);
        if (!g_utf8_validate(text, -1, NULL))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "the %s '%s' is not UTF-8, which the guest agent requires", what,
                                 text);
        return 0;
}

int guest_check_path(const char *path, Fault *f)
{
        int err = guest_check_text("path", path, f);

        if (err < 0)
                return err;
        if (*path != '/')
                return fault_set(f, FAULT_INVALID_ARGUMENT, "the path '%s' does not begin with /",
                                 path);
        return 0;
}

int guest_find_number(Json *reply, const char *key, uint64_t max, uint64_t *ret, Fault *f)
{
        uint64_t value;

        if (!json_find_uint(reply, key, &value) || value > max)
                return fault_set(f, FAULT_AGENT_MISBEHAVED, "the guest agent sent no valid '%s'",
                                 key);
        *ret = value;
        return 0;
}

void guest_call_detached(Agent *agent, const char *command, Json *arguments)
{
        (void) agent_call(agent, command, arguments, GUEST_CALL_USEC, NULL, NULL, NULL);
}

/* -- freezing ------------------------------------------------------------------------------- */

static void thaw_late(Agent *agent)
{
        (void) agent_call(agent, "guest-fsfreeze-thaw", NULL, LATE_THAW_USEC, NULL, NULL, NULL);
}

static void freeze_end(FreezeTask *t, int r, const Fault *f)
{
        g_autofree FreezeTask *owned = t;

        owned->done(r, f, owned->userdata);
}

static void on_thawed_again(Json *reply, int r, const Fault *f, void *userdata)
{
        FreezeTask *t = userdata;

        (void) reply;
        if (r < 0 && f->code != FAULT_CANCELLED)
                thaw_late(t->agent);
        freeze_end(t, fault_to_errno(t->why.code), &t->why);
}

static void on_frozen(Json *reply, int r, const Fault *f, void *userdata)
{
        FreezeTask *t = userdata;

        if (r >= 0 && json_object_is_type(reply, json_type_int) &&
            json_object_get_int64(reply) > 0) {
                freeze_end(t, 0, f);
                return;
        }
        if (r < 0)
                t->why = *f;
        else if (!json_object_is_type(reply, json_type_int))
                fault_set(&t->why, FAULT_AGENT_MISBEHAVED,
                          "the guest agent did not say how many file systems it froze");
        else
                fault_set(&t->why, FAULT_AGENT_REFUSED,
                          "the guest has no file system that can be frozen");
        if (t->why.code == FAULT_CANCELLED)
                freeze_end(t, r, f);
        else
                t->call = agent_call(t->agent, "guest-fsfreeze-thaw", NULL, THAW_USEC, NULL,
                                     on_thawed_again, t);
}

static void cancel_freeze(GuestTask *task)
{
        FreezeTask *t = (FreezeTask *) task;

        if (agent_call_cancel(t->call) || fault_is_set(&t->why))
                thaw_late(t->agent);
        g_free(t);
}

static void on_thawed(Json *reply, int r, const Fault *f, void *userdata)
{
        (void) reply;
        freeze_end(userdata, r, f);
}

/* Nobody waits any more, but a guest must not stay frozen. */
static void cancel_thaw(GuestTask *task)
{
        FreezeTask *t = (FreezeTask *) task;

        (void) agent_call_cancel(t->call);
        thaw_late(t->agent);
        g_free(t);
}

static FreezeTask *new_freeze_task(Agent *agent, GuestDone done, void *userdata)
{
        FreezeTask *t = g_new0(FreezeTask, 1);

        t->agent = agent;
        t->done = done;
        t->userdata = userdata;
        return t;
}

int guest_freeze(sd_event *event, Agent *agent, uint64_t timeout_usec, GuestDone done,
                 void *userdata, GuestTask **ret, Fault *f)
{
        FreezeTask *t = new_freeze_task(agent, done, userdata);

        (void) event;
        (void) f;
        t->task.cancel = cancel_freeze;
        t->call =
                agent_call(agent, "guest-fsfreeze-freeze", NULL, timeout_usec, NULL, on_frozen, t);
        *ret = &t->task;
        return 0;
}

int guest_thaw(sd_event *event, Agent *agent, uint64_t timeout_usec, GuestDone done, void *userdata,
               GuestTask **ret, Fault *f)
{
        FreezeTask *t = new_freeze_task(agent, done, userdata);

        (void) event;
        (void) f;
        t->task.cancel = cancel_thaw;
        t->call = agent_call(agent, "guest-fsfreeze-thaw", NULL, timeout_usec, NULL, on_thawed, t);
        *ret = &t->task;
        return 0;
}
