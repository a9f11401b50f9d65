/* SPDX-License-Identifier: MIT */
#include "host/agent.h"

#include "base/quantity.h"
#include "host/agent-channel.h"

#include <string.h>

/* How long the reply to a cancelled call may hold up those behind it. */
#define CANCELLED_USEC (5 * USEC_PER_SEC)
/* Late timers wake the host less often than exact ones; a delay between polls is exact. */
#define DEADLINE_ACCURACY_USEC (10 * USEC_PER_MSEC)
#define DELAY_ACCURACY_USEC    100

typedef enum CallState {
        CALL_DELAYED,
        CALL_REFUSED,  /* over the limit; only waits to say so */
        CALL_ORPHANED, /* made from the end of another call while the agent was freed */
        CALL_QUEUED,
        CALL_SENT,
} CallState;

struct AgentCall {
        Agent *agent;
        CallState state;
        GList link; /* in `queue` when queued, else in `waiting`; sent: in none */
        char *request;
        size_t request_size;
        uint64_t timeout_usec;
        sd_event_source *timer;
        AgentSink sink;
        AgentDone done; /* NULL: cancelled, or nobody cares */
        void *userdata;
};

struct Agent {
        unsigned refs; /* the owner's, and one for each handler that is on the stack */
        bool is_freed;
        sd_event *event;
        AgentChannel *channel;
        AgentObserver observer;
        void *userdata;
        GQueue queue, waiting;
        size_t queued_bytes;
        AgentCall *sent;
};

static void agent_unref(Agent *a)
{
        if (--a->refs > 0)
                return;
        sd_event_unref(a->event);
        g_free(a);
}

static void cleanup_agent_unref(Agent **a)
{
        agent_unref(*a);
}

/* Keeps the agent's memory while handlers run that may free it. */
#define HOLD_AGENT(a) \
        __attribute__((cleanup(cleanup_agent_unref), unused)) Agent *_held = (a); \
        _held->refs++

static void set_timer(sd_event_source *timer, uint64_t delay_usec, uint64_t accuracy_usec)
{
        uint64_t now = now_monotonic_usec();

        if (delay_usec >= USEC_INFINITY - now) {
                (void) sd_event_source_set_enabled(timer, SD_EVENT_OFF);
                return;
        }
        (void) sd_event_source_set_time_accuracy(timer, accuracy_usec);
        (void) sd_event_source_set_time(timer, now + delay_usec);
        (void) sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

/* -- the end of calls ----------------------------------------------------------------------- */

static void call_unlink(Agent *a, AgentCall *call)
{
        if (call == a->sent)
                a->sent = NULL;
        switch (call->state) {
        case CALL_ORPHANED:
        case CALL_SENT:
                return;
        case CALL_QUEUED:
                g_queue_unlink(&a->queue, &call->link);
                break;
        case CALL_DELAYED:
        case CALL_REFUSED:
                g_queue_unlink(&a->waiting, &call->link);
                break;
        }
        a->queued_bytes -= call->request_size;
}

static void call_free(AgentCall *call)
{
        (void) sd_event_source_disable_unref(call->timer);
        if (call->state == CALL_ORPHANED)
                agent_unref(call->agent);
        g_free(call->request);
        g_free(call);
}

/* The caller holds the agent. */
static void call_end(Agent *a, AgentCall *call, Json *reply, int r, const Fault *f)
{
        call_unlink(a, call);
        if (call->done)
                call->done(reply, r, f, call->userdata);
        call_free(call);
}

static void notify(Agent *a, bool is_reachable, const Fault *why)
{
        if (a->observer.reachable && !a->is_freed)
                a->observer.reachable(a, is_reachable, why, a->userdata);
}

static void send_next(Agent *a)
{
        if (a->is_freed || a->sent || g_queue_is_empty(&a->queue) ||
            !agent_channel_is_synced(a->channel))
                return;
        AgentCall *call = g_queue_peek_head(&a->queue);
        call_unlink(a, call);
        call->state = CALL_SENT;
        a->sent = call;
        agent_channel_send(a->channel, call->request, call->request_size);
        g_clear_pointer(&call->request, g_free);
}

/* -- news of the channel -------------------------------------------------------------------- */

static void on_synced(void *userdata)
{
        Agent *a = userdata;
        HOLD_AGENT(a);

        notify(a, true, &(Fault){0});
        send_next(a);
}

static void on_lost(const Fault *why, void *userdata)
{
        Agent *a = userdata;
        HOLD_AGENT(a);

        if (a->sent)
                call_end(a, a->sent, NULL, fault_to_errno(why->code), why);
        notify(a, false, why);
}

static int refuse(Json *error, Fault *f)
{
        const char *class = "error", *description = "no description";

        (void) json_find_string(error, "class", &class);
        (void) json_find_string(error, "desc", &description);
        return fault_set(f, FAULT_AGENT_REFUSED, "the guest agent refused: %s: %s", class,
                         description);
}

static int on_reply(Json *reply, void *userdata, Fault *f)
{
        Agent *a = userdata;
        HOLD_AGENT(a);
        Fault reason = {0};
        Json *value;
        int r = 0;

        if (!a->sent)
                return fault_set(f, FAULT_AGENT_MISBEHAVED,
                                 "the guest agent answered what nobody had asked");
        if (json_find_object(reply, "error", &value))
                r = refuse(value, &reason);
        else if (!json_object_object_get_ex(reply, "return", &value))
                return fault_set(f, FAULT_AGENT_MISBEHAVED,
                                 "the guest agent sent a reply that is neither result nor error");
        call_end(a, a->sent, value, r, &reason);
        send_next(a);
        return 0;
}

static void on_diverted(const char *key, const void *bytes, size_t size, void *userdata)
{
        Agent *a = userdata;
        AgentCall *call = a->sent;

        if (call && call->sink && call->sink(key, bytes, size, call->userdata) < 0)
                call->sink = NULL;
}

/* -- calls ---------------------------------------------------------------------------------- */

static void enqueue(AgentCall *call)
{
        Agent *a = call->agent;

        call->state = CALL_QUEUED;
        g_queue_push_tail_link(&a->queue, &call->link);
        set_timer(call->timer, call->timeout_usec, DEADLINE_ACCURACY_USEC);
        send_next(a);
}

static int give_up(Fault *f)
{
        return fault_set(f, FAULT_CANCELLED, "the channel to the guest agent is given up");
}

static void on_deadline(AgentCall *call)
{
        Agent *a = call->agent;
        bool was_sent = call->state == CALL_SENT;
        Fault why = {0};
        int r;

        if (agent_channel_is_synced(a->channel))
                r = fault_set(&why, FAULT_TIMED_OUT, "the guest agent did not answer in time");
        else
                r = fault_set(&why, FAULT_AGENT_UNAVAILABLE,
                              "the guest agent does not answer; is qemu-guest-agent running in the "
                              "sandbox?");
        /* Its late reply must never be taken for the next call's. */
        if (was_sent)
                agent_channel_resync(a->channel);
        call_end(a, call, NULL, r, &why);
        if (was_sent)
                notify(a, false, &why);
}

static int on_call_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        AgentCall *call = userdata;
        Agent *a = call->agent;
        HOLD_AGENT(a);
        Fault why = {0};
        int r;

        (void) source;
        (void) usec;
        switch (call->state) {
        case CALL_DELAYED:
                g_queue_unlink(&a->waiting, &call->link);
                enqueue(call);
                break;
        case CALL_REFUSED:
                r = fault_set(&why, FAULT_LIMITS_EXCEEDED,
                              "too many calls wait for the guest agent; try again later");
                call_end(a, call, NULL, r, &why);
                break;
        case CALL_ORPHANED:
                r = give_up(&why);
                call_end(a, call, NULL, r, &why);
                break;
        case CALL_QUEUED:
        case CALL_SENT:
                on_deadline(call);
                break;
        }
        return 0;
}

static char *format_request(const char *command, Json *arguments, size_t *ret_size)
{
        const char *text;
        char *request;

        if (!arguments) {
                request = g_strdup_printf("{\"execute\": \"%s\"}\n", command);
        } else {
                text = json_object_to_json_string_ext(
                        arguments, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
                request = g_strdup_printf("{\"execute\": \"%s\", \"arguments\": %s}\n", command,
                                          text);
        }
        *ret_size = strlen(request);
        return request;
}

static AgentCall *new_call(Agent *a, const char *command, Json *arguments, uint64_t timeout_usec,
                           AgentSink sink, AgentDone done, void *userdata)
{
        AgentCall *call = g_new0(AgentCall, 1);
        int err = sd_event_add_time(a->event, &call->timer, CLOCK_MONOTONIC, UINT64_MAX, 1,
                                    on_call_timer, call);

        g_assert(err >= 0);
        call->agent = a;
        call->link.data = call;
        call->request = format_request(command, arguments, &call->request_size);
        call->timeout_usec = timeout_usec;
        call->sink = sink;
        call->done = done;
        call->userdata = userdata;
        return call;
}

AgentCall *agent_call_later(Agent *a, uint64_t delay_usec, const char *command, Json *arguments,
                            uint64_t timeout_usec, AgentSink sink, AgentDone done, void *userdata)
{
        g_autoptr(Json) owned = arguments;
        AgentCall *call = new_call(a, command, owned, timeout_usec, sink, done, userdata);

        if (a->is_freed) {
                call->state = CALL_ORPHANED;
                a->refs++;
                set_timer(call->timer, 0, DELAY_ACCURACY_USEC);
                return call;
        }
        a->queued_bytes += call->request_size;
        if (a->queue.length + a->waiting.length >= AGENT_QUEUE_MAX ||
            a->queued_bytes > AGENT_QUEUE_BYTES_MAX) {
                call->state = CALL_REFUSED;
                delay_usec = 0;
        } else if (delay_usec == 0) {
                enqueue(call);
                return call;
        }
        g_queue_push_tail_link(&a->waiting, &call->link);
        set_timer(call->timer, delay_usec, DELAY_ACCURACY_USEC);
        return call;
}

AgentCall *agent_call(Agent *a, const char *command, Json *arguments, uint64_t timeout_usec,
                      AgentSink sink, AgentDone done, void *userdata)
{
        return agent_call_later(a, 0, command, arguments, timeout_usec, sink, done, userdata);
}

bool agent_call_cancel(AgentCall *call)
{
        if (call->state == CALL_SENT) {
                call->sink = NULL;
                call->done = NULL;
                set_timer(call->timer, MIN(call->timeout_usec, CANCELLED_USEC),
                          DEADLINE_ACCURACY_USEC);
                return true;
        }
        call_unlink(call->agent, call);
        call_free(call);
        return false;
}

/* -- the agent ------------------------------------------------------------------------------ */

bool agent_is_reachable(const Agent *a)
{
        return agent_channel_is_synced(a->channel);
}

int agent_new(sd_event *event, const char *socket_path, const AgentObserver *observer,
              void *userdata, Agent **ret, Fault *f)
{
        static const AgentChannelHandlers handlers = {on_synced, on_lost, on_reply, on_diverted};
        Agent *a = g_new0(Agent, 1);
        int err = agent_channel_new(event, socket_path, &handlers, a, &a->channel, f);

        if (err < 0) {
                g_free(a);
                return err;
        }
        a->refs = 1;
        a->event = sd_event_ref(event);
        a->observer = observer ? *observer : (AgentObserver){0};
        a->userdata = userdata;
        *ret = a;
        return 0;
}

static AgentCall *any_call(Agent *a)
{
        if (a->sent)
                return a->sent;
        return g_queue_is_empty(&a->queue) ? g_queue_peek_head(&a->waiting)
                                           : g_queue_peek_head(&a->queue);
}

Agent *agent_free(Agent *a)
{
        Fault why = {0};
        AgentCall *call;
        int r;

        if (!a || a->is_freed)
                return NULL;
        a->is_freed = true;
        r = give_up(&why);
        while ((call = any_call(a)))
                call_end(a, call, NULL, r, &why);
        a->channel = agent_channel_free(a->channel);
        agent_unref(a);
        return NULL;
}
