/* SPDX-License-Identifier: MIT */
#include "host/guest-task.h"

#include "base/cleanup.h"
#include "base/name.h"
#include "base/quantity.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/* A poll takes CPU of the guest that the program then lacks: on a fast guest hardly any, on an
 * emulated one about a millisecond. How fast it is shows in how long it took to start the program,
 * and the first pauses are a part of that. Later an exit is seen at most 2 % late. */
#define POLL_START_FRACTION 3
#define POLL_LEAST_USEC     (1 * USEC_PER_MSEC)
#define POLL_FIRST_MAX_USEC (5 * USEC_PER_MSEC)
#define POLL_MAX_USEC       (250 * USEC_PER_MSEC)
#define POLL_FRACTION       50

/* From SIGTERM to SIGKILL, and from that to giving up on the exit. */
#define GRACE_USEC (2 * USEC_PER_SEC)
/* What a poll may take beyond the command's own time: the reply may carry 16 MiB of output. */
#define REPLY_USEC (10 * USEC_PER_SEC)

/* More than a marker and what the wrapper says after it. */
#define HELD_MAX 64

typedef enum ExecPhase {
        EXEC_STARTING,
        EXEC_RUNNING,
        EXEC_TERMINATING, /* time is up: SIGTERM was sent */
        EXEC_KILLING,     /* SIGKILL was sent */
} ExecPhase;

typedef struct ExecTask {
        GuestTask task;
        sd_event *event;
        Agent *agent;
        GuestExecHandlers handlers;
        void *userdata;

        AgentCall *call; /* one of these two is under way */
        GuestTask *killer;
        ExecPhase phase;
        bool is_abandoned;
        char *id;
        int64_t pid;
        uint64_t timeout_usec;
        uint64_t asked_usec; /* when it was to be started; 0: by an earlier process */
        uint64_t started_usec, answered_usec;
        uint64_t pause_usec;    /* before a poll, at first */
        uint64_t deadline_usec; /* of the phase */

        uint64_t output_max, kept[_GUEST_STREAM_MAX];
        bool has_ended;
        GuestExit exit;

        GuestExecSpec names; /* directory, user, argv[0] for a message of the wrapper */
        char *argv[2], *directory, *user;
        char *marker;  /* NULL: no wrapper */
        GString *held; /* the beginning of standard error while it may be the wrapper's */
} ExecTask;

static void poll_later(ExecTask *t);
static void begin_kill(ExecTask *t, ExecPhase phase);

static void exec_free(ExecTask *t)
{
        sd_event_unref(t->event);
        g_free(t->id);
        g_free(t->argv[0]);
        g_free(t->directory);
        g_free(t->user);
        g_free(t->marker);
        if (t->held)
                g_string_free(t->held, TRUE);
        g_free(t);
}

static void exec_fail(ExecTask *t, int r, const Fault *f)
{
        GuestExecHandlers handlers = t->handlers;
        void *userdata = t->userdata;
        GuestExit none = {.exit_status = -1};

        exec_free(t);
        if (handlers.done)
                handlers.done(&none, r, f, userdata);
}

static uint64_t now_usec(const ExecTask *t)
{
        uint64_t now = 0;

        (void) sd_event_now(t->event, CLOCK_MONOTONIC, &now);
        return now;
}

static uint64_t after(uint64_t usec, uint64_t delay_usec)
{
        return delay_usec > USEC_INFINITY - usec ? USEC_INFINITY : usec + delay_usec;
}

/* -- output --------------------------------------------------------------------------------- */

static void emit(ExecTask *t, GuestStream stream, const char *bytes, size_t size)
{
        size_t n = MIN(size, t->output_max - t->kept[stream]);

        t->exit.truncated[stream] |= n < size;
        t->kept[stream] += n;
        if (n > 0 && t->handlers.output)
                t->handlers.output(stream, bytes, n, t->userdata);
}

static bool may_be_marker(const ExecTask *t)
{
        return strncmp(t->held->str, t->marker, MIN(t->held->len, strlen(t->marker))) == 0 &&
               t->held->len <= HELD_MAX;
}

static void release_held(ExecTask *t)
{
        GString *held = TAKE_PTR(t->held);

        emit(t, GUEST_STDERR, held->str, held->len);
        g_string_free(held, TRUE);
}

static int on_output(const char *key, const void *bytes, size_t size, void *userdata)
{
        ExecTask *t = userdata;

        if (g_str_equal(key, "out-data")) {
                emit(t, GUEST_STDOUT, bytes, size);
        } else if (g_str_equal(key, "err-data") && !t->held) {
                emit(t, GUEST_STDERR, bytes, size);
        } else if (g_str_equal(key, "err-data")) {
                size_t n = MIN(size, HELD_MAX + 1 - t->held->len);

                g_string_append_len(t->held, bytes, (gssize) n);
                if (!may_be_marker(t)) {
                        release_held(t);
                        emit(t, GUEST_STDERR, (const char *) bytes + n, size - n);
                }
        }
        return 0;
}

/* -- the end -------------------------------------------------------------------------------- */

static bool wrapper_failed(const ExecTask *t)
{
        return t->held && t->exit.exit_status == GUEST_WRAPPER_EXIT &&
               g_str_has_prefix(t->held->str, t->marker);
}

static void exec_end(ExecTask *t)
{
        Fault why = {0};

        if (wrapper_failed(t)) {
                int r = guest_request_explain(&t->names, t->held->str + strlen(t->marker), &why);
                exec_fail(t, r, &why);
                return;
        }
        if (t->held)
                release_held(t);
        GuestExecHandlers handlers = t->handlers;
        void *userdata = t->userdata;
        GuestExit end = t->exit;
        exec_free(t);
        if (handlers.done)
                handlers.done(&end, 0, &why, userdata);
}

static int parse_exit(Json *reply, GuestExit *ret, Fault *f)
{
        GuestExit end = *ret;
        uint64_t value;
        bool cut;
        Json *unused;
        int err;

        end.exit_status = -1;
        end.signal = 0;
        if (json_object_object_get_ex(reply, "signal", &unused)) {
                err = guest_find_number(reply, "signal", 127, &value, f);
                end.signal = err < 0 ? 0 : (int) value;
        } else {
                err = guest_find_number(reply, "exitcode", INT32_MAX, &value, f);
                end.exit_status = err < 0 ? -1 : (int) value;
        }
        if (err < 0)
                return err;
        end.truncated[GUEST_STDOUT] |= json_find_bool(reply, "out-truncated", &cut) && cut;
        end.truncated[GUEST_STDERR] |= json_find_bool(reply, "err-truncated", &cut) && cut;
        *ret = end;
        return 0;
}

static void on_killed(int r, const Fault *f, void *userdata)
{
        ExecTask *t = userdata;

        t->killer = NULL;
        /* Nothing left to kill is what a kill is for. */
        if (r < 0 && f->code != FAULT_NOT_FOUND) {
                exec_fail(t, r, f);
        } else if (t->has_ended && t->phase == EXEC_KILLING) {
                exec_end(t);
        } else {
                t->deadline_usec = after(now_usec(t), GRACE_USEC);
                t->answered_usec = now_usec(t);
                poll_later(t);
        }
}

static void begin_kill(ExecTask *t, ExecPhase phase)
{
        int signal = phase == EXEC_TERMINATING ? SIGTERM : SIGKILL;
        Fault why = {0};
        int r;

        t->phase = phase;
        t->exit.timed_out = true;
        if (!t->id)
                r = fault_set(&why, FAULT_TIMED_OUT, "a step in the sandbox took too long");
        else
                r = guest_kill_process(t->event, t->agent, t->id, t->has_ended ? 0 : t->pid, signal,
                                       on_killed, t, &t->killer, &why);
        if (r < 0)
                exec_fail(t, r, &why);
}

/* The phase's time is up. */
static void next_phase(ExecTask *t)
{
        switch (t->phase) {
        case EXEC_STARTING:
        case EXEC_RUNNING:
                begin_kill(t, t->is_abandoned ? EXEC_KILLING : EXEC_TERMINATING);
                break;
        case EXEC_TERMINATING:
                begin_kill(t, EXEC_KILLING);
                break;
        case EXEC_KILLING:
                t->exit.exit_status = -1;
                t->exit.signal = SIGKILL;
                exec_end(t);
                break;
        }
}

/* -- polling -------------------------------------------------------------------------------- */

/* While the guest is frozen, or its channel is being repaired, the program goes on. */
static bool is_worth_retrying(const ExecTask *t, Json *error, const Fault *f)
{
        const char *class = "";

        if (now_usec(t) >= MIN(t->deadline_usec, after(t->answered_usec, GUEST_SILENCE_USEC)))
                return false;
        (void) json_find_string(error, "class", &class);
        return f->code == FAULT_TIMED_OUT || f->code == FAULT_AGENT_UNAVAILABLE ||
               f->code == FAULT_LIMITS_EXCEEDED || g_str_equal(class, "CommandNotFound");
}

static void poll_failed(ExecTask *t, Json *error, int r, const Fault *f)
{
        const char *class = "";
        Fault lost = {0};

        (void) json_find_string(error, "class", &class);
        if (is_worth_retrying(t, error, f)) {
                poll_later(t);
        } else if (g_str_equal(class, "GenericError")) {
                r = fault_set(&lost, FAULT_AGENT_REFUSED,
                              "the guest agent does not know process %" G_GINT64_FORMAT
                              " (any more); was the sandbox or its agent restarted?",
                              t->pid);
                exec_fail(t, r, &lost);
        } else {
                exec_fail(t, r, f);
        }
}

static void on_status(Json *reply, int r, const Fault *f, void *userdata)
{
        ExecTask *t = userdata;
        Fault why = {0};

        t->call = NULL;
        if (r < 0) {
                poll_failed(t, reply, r, f);
                return;
        }
        t->answered_usec = now_usec(t);
        if (!json_find_bool(reply, "exited", &t->has_ended)) {
                r = fault_set(&why, FAULT_AGENT_MISBEHAVED,
                              "the guest agent sent no valid 'exited'");
                exec_fail(t, r, &why);
        } else if (t->has_ended && (r = parse_exit(reply, &t->exit, &why)) < 0) {
                exec_fail(t, r, &why);
        } else if (t->has_ended && t->phase == EXEC_TERMINATING) {
                /* The program is gone; what it started may not be. */
                begin_kill(t, EXEC_KILLING);
        } else if (t->has_ended) {
                exec_end(t);
        } else if (now_usec(t) >= t->deadline_usec) {
                next_phase(t);
        } else {
                poll_later(t);
        }
}

static void poll_later(ExecTask *t)
{
        uint64_t now = now_usec(t);
        uint64_t left = t->deadline_usec > now ? t->deadline_usec - now : 0;
        uint64_t elapsed = now > t->started_usec ? now - t->started_usec : 0;
        uint64_t delay = CLAMP(elapsed / POLL_FRACTION, t->pause_usec, POLL_MAX_USEC);
        Json *arguments = json_object_new_object();

        json_object_object_add(arguments, "pid", json_object_new_int64(t->pid));
        t->call = agent_call_later(t->agent, MIN(delay, left), "guest-exec-status", arguments,
                                   MIN(after(left, REPLY_USEC), GUEST_CALL_USEC), on_output,
                                   on_status, t);
}

static void begin_polling(ExecTask *t)
{
        t->phase = EXEC_RUNNING;
        t->started_usec = t->answered_usec = now_usec(t);
        t->pause_usec = CLAMP((t->started_usec - t->asked_usec) / POLL_START_FRACTION,
                              POLL_LEAST_USEC, POLL_FIRST_MAX_USEC);
        t->deadline_usec = after(t->started_usec, t->timeout_usec);
        poll_later(t);
}

/* -- starting ------------------------------------------------------------------------------- */

static int explain_refusal(ExecTask *t, Json *error, const Fault *f, Fault *ret)
{
        const char *class = "", *description = "";

        (void) json_find_string(error, "class", &class);
        (void) json_find_string(error, "desc", &description);
        if (!g_str_equal(class, "CommandNotFound"))
                return fault_set(ret, FAULT_COMMAND_NOT_RUN, "the sandbox cannot run '%s': %s",
                                 t->argv[0], description);
        if (strstr(description, "frozen"))
                return fault_set(ret, FAULT_AGENT_REFUSED,
                                 "the sandbox's file systems are frozen; try again after the thaw");
        if (strstr(description, "disabled"))
                return fault_set(
                        ret, FAULT_AGENT_REFUSED,
                        "the guest agent is not allowed to run commands; take guest-exec and "
                        "guest-exec-status out of the block list (or put them on the allow "
                        "list) in the template's /etc/sysconfig/qemu-ga");
        return fault_set(ret, f->code, "%s", f->message);
}

/* The program may be starting although nobody has heard of it. */
static void kill_detached(ExecTask *t)
{
        GuestTask *unused;

        if (t->id)
                (void) guest_kill(t->event, t->agent, t->id, SIGKILL, NULL, NULL, &unused, NULL);
}

static void on_started(Json *reply, int r, const Fault *f, void *userdata)
{
        ExecTask *t = userdata;
        Fault why = {0};
        uint64_t pid = 0;

        t->call = NULL;
        if (r < 0) {
                if (f->code == FAULT_TIMED_OUT)
                        kill_detached(t);
                if (reply)
                        r = explain_refusal(t, reply, f, &why);
                exec_fail(t, r, reply ? &why : f);
                return;
        }
        r = guest_find_number(reply, "pid", INT64_MAX, &pid, &why);
        if (r < 0) {
                exec_fail(t, r, &why);
                return;
        }
        t->pid = (int64_t) pid;
        begin_polling(t);
        if (t->handlers.started)
                t->handlers.started(t->pid, t->userdata);
}

/* What runs is killed first, and its exit collected, so that the agent forgets its output. */
static void cancel_exec(GuestTask *task)
{
        ExecTask *t = (ExecTask *) task;

        t->handlers = (GuestExecHandlers){0};
        t->is_abandoned = true;
        if (t->phase == EXEC_STARTING) {
                if (agent_call_cancel(t->call))
                        kill_detached(t);
                exec_free(t);
        } else if (t->id) {
                t->deadline_usec = 0;
        }
}

static ExecTask *new_exec_task(sd_event *event, Agent *agent, const GuestExecSpec *spec,
                               const GuestExecHandlers *handlers, void *userdata)
{
        ExecTask *t = g_new0(ExecTask, 1);

        t->task.cancel = cancel_exec;
        t->event = sd_event_ref(event);
        t->agent = agent;
        t->handlers = *handlers;
        t->userdata = userdata;
        t->id = g_strdup(spec->id);
        t->timeout_usec = spec->timeout_usec;
        t->output_max = spec->output_max;
        t->exit.exit_status = -1;
        return t;
}

int guest_exec(sd_event *event, Agent *agent, const GuestExecSpec *spec,
               const GuestExecHandlers *handlers, void *userdata, GuestTask **ret, Fault *f)
{
        Json *arguments;
        g_autofree char *marker = NULL;
        int err = guest_request_format(spec, &arguments, &marker, f);

        if (err < 0)
                return err;
        ExecTask *t = new_exec_task(event, agent, spec, handlers, userdata);
        t->argv[0] = g_strdup(spec->argv[0]);
        t->directory = g_strdup(spec->directory ? spec->directory : "/");
        t->user = g_strdup(spec->user);
        t->asked_usec = now_usec(t);
        t->names = (GuestExecSpec){
                .argv = (const char *const *) t->argv, .directory = t->directory, .user = t->user};
        t->held = marker ? g_string_new(NULL) : NULL;
        t->marker = TAKE_PTR(marker);
        t->call = agent_call(agent, "guest-exec", arguments,
                             CLAMP(spec->timeout_usec, USEC_PER_SEC, GUEST_CALL_USEC), NULL,
                             on_started, t);
        *ret = &t->task;
        return 0;
}

int guest_exec_resume(sd_event *event, Agent *agent, int64_t pid, const GuestExecSpec *spec,
                      const GuestExecHandlers *handlers, void *userdata, GuestTask **ret, Fault *f)
{
        if (!spec->id || !id_is_valid(spec->id) || pid <= 0)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "no such command can be resumed");
        ExecTask *t = new_exec_task(event, agent, spec, handlers, userdata);
        t->pid = pid;
        begin_polling(t);
        *ret = &t->task;
        return 0;
}
