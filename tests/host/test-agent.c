/* SPDX-License-Identifier: MIT */
#include "host/agent.h"

#include "base/quantity.h"
#include "tests/fake/guest-agent.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#define SHORT_USEC (200 * USEC_PER_MSEC)
#define LONG_USEC  (20 * USEC_PER_SEC)

/* What one call came to. */
typedef struct Outcome {
        char *reply;
        GString *diverted;
        Agent **agent_to_free;
        Agent *agent_to_ask; /* when this call ends */
        struct Outcome *next;
        int r;
        unsigned order;
        Fault fault;
        bool is_done;
} Outcome;

typedef struct Channel {
        FakeAgent *fake;
        Agent *agent;
        unsigned n_reachable, n_lost;
        Fault why;
} Channel;

static sd_event *event;
static char *socket_path;
static unsigned n_done;

static void reachable(Agent *a, bool is_reachable, const Fault *why, void *userdata)
{
        Channel *c = userdata;

        (void) a;
        c->n_reachable += is_reachable;
        c->n_lost += !is_reachable;
        c->why = *why;
}

static void open_channel(Channel *c)
{
        static const AgentObserver observer = {reachable};
        int err = agent_new(event, socket_path, &observer, c, &c->agent, NULL);

        g_assert(err == 0);
}

static void begin(Channel *c, FakeAnswer answer)
{
        *c = (Channel){.fake = fake_agent_new(socket_path, answer, c)};
        open_channel(c);
}

static void end(Channel *c)
{
        c->agent = agent_free(c->agent);
        c->fake = fake_agent_free(c->fake);
}

/* One round of the loop; the tests' own deadline is that of the test program. */
static void turn(void)
{
        g_assert(sd_event_run(event, UINT64_MAX) >= 0);
}

static int sink(const char *key, const void *bytes, size_t size, void *userdata)
{
        Outcome *o = userdata;

        if (!o->diverted)
                o->diverted = g_string_new(NULL);
        if (o->diverted->len == 0)
                g_string_append_printf(o->diverted, "%s:", key);
        g_string_append_len(o->diverted, bytes, (gssize) size);
        return 0;
}

static void done(Json *reply, int r, const Fault *f, void *userdata)
{
        Outcome *o = userdata;

        g_assert(!o->is_done);
        o->is_done = true;
        o->r = r;
        o->fault = *f;
        o->reply = reply ? g_strdup(json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN))
                         : NULL;
        o->order = n_done++;
        if (o->agent_to_free)
                *o->agent_to_free = agent_free(*o->agent_to_free);
        if (o->agent_to_ask)
                (void) agent_call(o->agent_to_ask, "guest-ping", NULL, LONG_USEC, NULL, done,
                                  o->next);
}

static AgentCall *ask(Channel *c, const char *command, uint64_t timeout_usec, Outcome *o)
{
        *o = (Outcome){0};
        return agent_call(c->agent, command, NULL, timeout_usec, sink, done, o);
}

static void wait_for(Outcome *o)
{
        while (!o->is_done)
                turn();
}

static void forget(Outcome *o)
{
        g_clear_pointer(&o->reply, g_free);
        if (o->diverted)
                (void) g_string_free(g_steal_pointer(&o->diverted), TRUE);
}

static void ask_and_wait(Channel *c, const char *command, uint64_t timeout_usec, Outcome *o)
{
        (void) ask(c, command, timeout_usec, o);
        wait_for(o);
}

/* -- good agents ---------------------------------------------------------------------------- */

static bool answer_output(FakeAgent *fake, const char *command, Json *arguments, void *userdata)
{
        (void) arguments;
        (void) userdata;
        if (!g_str_equal(command, "output"))
                return false;
        fake_agent_return(fake, "{\"exited\": true, \"out-data\": \"aGVsbG8=\"}");
        return true;
}

static void test_good(void)
{
        Channel c;
        Outcome o, second, third;

        begin(&c, answer_output);
        ask_and_wait(&c, "guest-ping", LONG_USEC, &o);
        tap_ok(o.r == 0 && g_str_equal(o.reply, "{}"),
               "a call made before the channel is up is answered");
        tap_ok(c.n_reachable == 1 && agent_is_reachable(c.agent),
               "the observer hears of the agent");
        forget(&o);

        ask_and_wait(&c, "output", LONG_USEC, &o);
        tap_is_str(o.reply, "{\"exited\":true,\"out-data\":\"\"}",
                   "output is left out of the reply");
        tap_is_str(o.diverted->str, "out-data:hello", "output goes to the sink");
        forget(&o);

        ask_and_wait(&c, "guest-nothing", LONG_USEC, &o);
        tap_is_int(o.fault.code, FAULT_AGENT_REFUSED, "an error of the guest's is a refusal");
        tap_ok(strstr(o.fault.message, "CommandNotFound") && strstr(o.reply, "\"desc\""),
               "a refusal tells the guest's reason");
        forget(&o);

        (void) ask(&c, "guest-ping", LONG_USEC, &o);
        (void) ask(&c, "output", LONG_USEC, &second);
        third = (Outcome){0};
        uint64_t begun = now_monotonic_usec();
        (void) agent_call_later(c.agent, SHORT_USEC, "guest-ping", NULL, LONG_USEC, NULL, done,
                                &third);
        tap_ok(!o.is_done && !second.is_done, "no call ends before it has returned");
        wait_for(&third);
        tap_ok(o.order < second.order && second.order < third.order, "calls are answered in order");
        tap_ok(now_monotonic_usec() - begun >= SHORT_USEC,
               "a delayed call is sent after its delay");
        forget(&o);
        forget(&second);
        forget(&third);
        end(&c);
}

static bool answer_hostile_text(FakeAgent *fake, const char *command, Json *arguments,
                                void *userdata)
{
        (void) arguments;
        (void) userdata;
        if (!g_str_equal(command, "guest-ping"))
                return false;
        fake_agent_error(fake, "Generic\nError", "\x1b[2J%s%n\u202e");
        return true;
}

static void test_hostile_text(void)
{
        Channel c;
        Outcome o;

        begin(&c, answer_hostile_text);
        ask_and_wait(&c, "guest-ping", LONG_USEC, &o);
        tap_ok(strstr(o.fault.message, "\\x0a") && strstr(o.fault.message, "\\x1b[2J%s%n\\xe2"),
               "what a guest writes into an error is escaped");
        forget(&o);
        end(&c);
}

/* -- synchronisation ------------------------------------------------------------------------- */

static bool answer_with_stale_bytes(FakeAgent *fake, const char *command, Json *arguments,
                                    void *userdata)
{
        static const char stale[] =
                "\"}}\n{\"return\": {\"old\": 1}}\n\xff{\"return\": 3}\n\0\xff\xff{[\n";

        (void) arguments;
        (void) userdata;
        if (g_str_equal(command, "guest-sync-delimited"))
                fake_agent_send(fake, stale, sizeof stale - 1);
        return false;
}

static bool answer_wrong_id(FakeAgent *fake, const char *command, Json *arguments, void *userdata)
{
        (void) arguments;
        (void) userdata;
        if (!g_str_equal(command, "guest-sync-delimited"))
                return false;
        fake_agent_send(fake, "\xff{\"return\": 1}\n", 15);
        return true;
}

static bool answer_third_sync(FakeAgent *fake, const char *command, Json *arguments, void *userdata)
{
        (void) arguments;
        (void) userdata;
        return g_str_equal(command, "guest-sync-delimited") && fake_agent_count(fake, command) < 3;
}

static void test_sync(void)
{
        Channel c;
        Outcome o;

        begin(&c, answer_with_stale_bytes);
        ask_and_wait(&c, "guest-ping", LONG_USEC, &o);
        tap_ok(o.r == 0 && g_str_equal(o.reply, "{}"),
               "what an agent sent before the sync is ignored");
        forget(&o);
        end(&c);

        begin(&c, answer_wrong_id);
        ask_and_wait(&c, "guest-ping", SHORT_USEC, &o);
        tap_is_int(o.fault.code, FAULT_AGENT_UNAVAILABLE,
                   "an answer to another sync counts for nothing");
        tap_is_int(c.n_reachable, 0, "an agent that never answered the sync is not reachable");
        forget(&o);
        end(&c);

        begin(&c, answer_third_sync);
        ask_and_wait(&c, "guest-ping", LONG_USEC, &o);
        tap_is_int(o.r, 0, "the sync is sent again to an agent that missed it");
        tap_is_int(fake_agent_count(c.fake, "guest-ping"), 1, "a call is not sent again with it");
        forget(&o);
        end(&c);

        c = (Channel){0};
        (void) unlink(socket_path);
        open_channel(&c);
        ask_and_wait(&c, "guest-ping", SHORT_USEC, &o);
        tap_is_int(o.fault.code, FAULT_AGENT_UNAVAILABLE, "without a socket a call ends in time");
        c.fake = fake_agent_new(socket_path, NULL, NULL);
        ask_and_wait(&c, "guest-ping", LONG_USEC, &o);
        tap_is_int(o.r, 0, "a socket that appears later is found");
        forget(&o);
        end(&c);
}

/* -- bad agents ------------------------------------------------------------------------------ */

/* Answers "slow" only when the next sync is asked for, before that. */
static bool answer_late(FakeAgent *fake, const char *command, Json *arguments, void *userdata)
{
        (void) arguments;
        (void) userdata;
        if (g_str_equal(command, "slow"))
                return true;
        if (g_str_equal(command, "guest-sync-delimited") && fake_agent_count(fake, "slow") > 0)
                fake_agent_return(fake, "\"late\"");
        return false;
}

static void test_late(void)
{
        Channel c;
        Outcome o, queued;

        begin(&c, answer_late);
        (void) ask(&c, "slow", SHORT_USEC, &o);
        (void) ask(&c, "guest-ping", LONG_USEC, &queued);
        wait_for(&o);
        tap_is_int(o.fault.code, FAULT_TIMED_OUT, "a silent agent ends a call at its deadline");
        tap_ok(c.n_lost == 1 && c.why.code == FAULT_TIMED_OUT, "the observer hears of the silence");
        wait_for(&queued);
        tap_ok(queued.r == 0 && g_str_equal(queued.reply, "{}"),
               "a late reply is not taken for the next call's");
        tap_is_int(c.n_reachable, 2, "the observer hears that the agent is back");
        forget(&o);
        forget(&queued);

        AgentCall *call = ask(&c, "guest-ping", LONG_USEC, &o);
        tap_ok(agent_call_cancel(call), "cancelling tells that the call had been sent");
        call = ask(&c, "guest-ping", LONG_USEC, &queued);
        tap_ok(!agent_call_cancel(call), "cancelling tells that the call had not been sent");
        (void) ask(&c, "unknown", LONG_USEC, &queued);
        wait_for(&queued);
        tap_ok(!o.is_done, "a cancelled call does not end");
        tap_is_int(queued.fault.code, FAULT_AGENT_REFUSED,
                   "a cancelled call's reply is not taken for the next call's");
        forget(&queued);
        end(&c);
}

static bool answer_and_hang_up(FakeAgent *fake, const char *command, Json *arguments,
                               void *userdata)
{
        (void) arguments;
        (void) userdata;
        if (!g_str_equal(command, "bye"))
                return false;
        fake_agent_hang_up(fake);
        return true;
}

static void test_hang_up(void)
{
        Channel c;
        Outcome o, queued;

        begin(&c, answer_and_hang_up);
        (void) ask(&c, "bye", LONG_USEC, &o);
        (void) ask(&c, "guest-ping", LONG_USEC, &queued);
        wait_for(&o);
        tap_is_int(o.fault.code, FAULT_AGENT_UNAVAILABLE, "a call ends when the channel is closed");
        tap_is_int(c.n_lost, 1, "the observer hears of the closed channel");
        wait_for(&queued);
        tap_is_int(queued.r, 0, "the channel is opened again, and what waited is sent");
        tap_is_int(fake_agent_count(c.fake, "bye"), 1, "what was under way is not sent again");
        forget(&o);
        forget(&queued);
        end(&c);
}

static bool answer_badly(FakeAgent *fake, const char *command, Json *arguments, void *userdata)
{
        (void) arguments;
        (void) userdata;
        if (g_str_equal(command, "flood")) {
                g_autofree char *block = g_strnfill(1024 * 1024, '7');
                fake_agent_send(fake, block, 1024 * 1024);
        } else if (g_str_equal(command, "nest")) {
                fake_agent_send(fake, "{\"return\":[[[[[[[[[[[[[[[[[[[[[[[[", 34);
        } else if (g_str_equal(command, "binary")) {
                fake_agent_send(fake,
                                "\x7f"
                                "ELF\0\1\2\3",
                                8);
        } else if (g_str_equal(command, "neither")) {
                fake_agent_send(fake, "{\"QMP\": {}}\n", 12);
        } else if (g_str_equal(command, "base64")) {
                fake_agent_send(fake, "{\"return\": {\"out-data\": \"!\"}}\n", 31);
        } else if (g_str_equal(command, "reset")) {
                fake_agent_send(fake, "{\"return\": \xff{\"return\": 1}\n", 26);
        } else {
                return false;
        }
        return true;
}

static void test_breaches(void)
{
        static const char *const ways[] = {"flood", "nest", "binary", "neither", "base64", "reset"};
        Channel c;
        Outcome o;

        for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
                begin(&c, answer_badly);
                ask_and_wait(&c, ways[i], LONG_USEC, &o);
                tap_is_int(o.fault.code, FAULT_AGENT_MISBEHAVED, "a breach ends the call: %s",
                           ways[i]);
                tap_is_int(c.why.code, FAULT_AGENT_MISBEHAVED, "the observer hears of it: %s",
                           ways[i]);
                forget(&o);
                ask_and_wait(&c, "guest-ping", LONG_USEC, &o);
                tap_is_int(o.r, 0, "the next call is answered: %s", ways[i]);
                forget(&o);
                end(&c);
        }
}

static bool answer_twice(FakeAgent *fake, const char *command, Json *arguments, void *userdata)
{
        (void) arguments;
        (void) userdata;
        if (g_str_equal(command, "guest-ping"))
                fake_agent_return(fake, "{}");
        return false;
}

static void test_duplicates(void)
{
        Channel c;
        Outcome o;

        begin(&c, answer_twice);
        ask_and_wait(&c, "guest-ping", LONG_USEC, &o);
        while (c.n_lost == 0)
                turn();
        tap_is_int(c.why.code, FAULT_AGENT_MISBEHAVED, "a second reply to one call is a breach");
        forget(&o);
        end(&c);
}

/* -- limits and ends ------------------------------------------------------------------------- */

static void test_limits(void)
{
        static Outcome outcomes[AGENT_QUEUE_MAX + 1];
        g_autofree char *text = g_strnfill(AGENT_QUEUE_BYTES_MAX, 'a');
        Channel c;
        Outcome o = {0};

        begin(&c, NULL);
        for (int i = 0; i <= AGENT_QUEUE_MAX; i++)
                (void) ask(&c, "guest-ping", LONG_USEC, &outcomes[i]);
        tap_ok(!outcomes[AGENT_QUEUE_MAX].is_done, "a refused call does not end at once either");
        wait_for(&outcomes[AGENT_QUEUE_MAX]);
        wait_for(&outcomes[AGENT_QUEUE_MAX - 1]);
        tap_is_int(outcomes[AGENT_QUEUE_MAX].fault.code, FAULT_LIMITS_EXCEEDED,
                   "one call more than may wait is refused");
        tap_is_int(outcomes[AGENT_QUEUE_MAX - 1].r, 0, "as many calls as may wait are answered");
        for (int i = 0; i <= AGENT_QUEUE_MAX; i++)
                forget(&outcomes[i]);

        Json *arguments = json_object_new_object();
        json_object_object_add(arguments, "text", json_object_new_string(text));
        (void) agent_call(c.agent, "guest-ping", arguments, LONG_USEC, NULL, done, &o);
        wait_for(&o);
        tap_is_int(o.fault.code, FAULT_LIMITS_EXCEEDED, "a request that is too large is refused");
        forget(&o);

        o = (Outcome){0};
        text[1024 * 1024] = 0;
        arguments = json_object_new_object();
        json_object_object_add(arguments, "text", json_object_new_string(text));
        (void) agent_call(c.agent, "guest-ping", arguments, LONG_USEC, NULL, done, &o);
        wait_for(&o);
        tap_is_int(o.r, 0, "a request that the socket takes only in parts is answered");
        forget(&o);
        end(&c);
}

static void test_ends(void)
{
        Channel c;
        Outcome sent, waiting, delayed = {0};
        Fault f = {0};
        g_autofree char *long_path = g_strnfill(200, 'x');

        begin(&c, answer_late);
        (void) ask(&c, "slow", LONG_USEC, &sent);
        (void) ask(&c, "guest-ping", LONG_USEC, &waiting);
        (void) agent_call_later(c.agent, LONG_USEC, "guest-ping", NULL, LONG_USEC, NULL, done,
                                &delayed);
        while (fake_agent_count(c.fake, "slow") == 0)
                (void) sd_event_run(event, 1000);
        end(&c);
        tap_ok(sent.fault.code == FAULT_CANCELLED && waiting.fault.code == FAULT_CANCELLED &&
                       delayed.fault.code == FAULT_CANCELLED,
               "freeing the agent ends all its calls");

        begin(&c, answer_late);
        (void) ask(&c, "slow", LONG_USEC, &sent);
        waiting = (Outcome){0};
        sent.agent_to_ask = c.agent;
        sent.next = &waiting;
        end(&c);
        tap_ok(sent.is_done && !waiting.is_done,
               "a call made while the agent is freed does not end at once");
        wait_for(&waiting);
        tap_is_int(waiting.fault.code, FAULT_CANCELLED, "but it ends");

        begin(&c, NULL);
        (void) ask(&c, "guest-ping", LONG_USEC, &sent);
        (void) ask(&c, "guest-ping", LONG_USEC, &waiting);
        sent.agent_to_free = &c.agent;
        wait_for(&waiting);
        tap_ok(sent.r == 0 && waiting.fault.code == FAULT_CANCELLED && !c.agent,
               "the agent may be freed when a call ends");
        forget(&sent);
        end(&c);

        Agent *agent;
        tap_ok(agent_new(event, long_path, NULL, NULL, &agent, &f) < 0 &&
                       f.code == FAULT_INVALID_ARGUMENT,
               "a path that is too long for a socket is refused");
}

static unsigned count_open_files(void)
{
        g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
        unsigned n = 0;

        while (g_dir_read_name(dir))
                n++;
        return n;
}

int main(void)
{
        g_autofree char *folder = g_dir_make_tmp("fluid-agent-XXXXXX", NULL);

        g_assert(folder && sd_event_new(&event) >= 0);
        socket_path = g_build_filename(folder, "socket", NULL);
        unsigned n_files = count_open_files();
        test_good();
        test_hostile_text();
        test_sync();
        test_late();
        test_hang_up();
        test_breaches();
        test_duplicates();
        test_limits();
        test_ends();
        tap_is_int(count_open_files(), n_files + 1, "no file is left open but the loop's timer");
        sd_event_unref(event);
        (void) unlink(socket_path);
        (void) g_rmdir(folder);
        g_free(socket_path);
        return tap_done();
}
