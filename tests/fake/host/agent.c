/* SPDX-License-Identifier: MIT */
#include "host/agent.h"

#include "tests/fake/host/state.h"

struct Agent {
        char *socket;
        const AgentObserver *observer;
        void *userdata;
        bool is_reachable;
        sd_event_source *first_look;
};

bool fake_agent_answers(const Agent *a)
{
        const FakeDomain *d;
        bool is_reachable;

        fake_lock();
        d = fake_domain_of(a->socket);
        /* The channel of a guest that stands still for a while is still there. */
        is_reachable =
                d && d->agent_answers && fake.agents_answer &&
                (d->state == DOMAIN_RUNNING || (domain_stands_still(d->state) && a->is_reachable));
        fake_unlock();
        return is_reachable;
}

static void update(Agent *a)
{
        bool is_reachable = fake_agent_answers(a);
        Fault why = {0};

        if (a->is_reachable == is_reachable)
                return;
        a->is_reachable = is_reachable;
        if (!is_reachable)
                (void) fault_set(&why, FAULT_AGENT_UNAVAILABLE, "the channel was closed");
        a->observer->reachable(a, is_reachable, &why, a->userdata);
}

static int on_first_look(G_GNUC_UNUSED sd_event_source *source, void *userdata)
{
        update(userdata);
        return 0;
}

int agent_new(sd_event *event, const char *socket_path, const AgentObserver *observer,
              void *userdata, Agent **ret, Fault *f)
{
        Agent *a;
        int r = fake_call("agent_new", f);

        if (r < 0)
                return r;
        a = g_new0(Agent, 1);
        a->socket = g_strdup(socket_path);
        a->observer = observer;
        a->userdata = userdata;
        g_assert(sd_event_add_defer(event, &a->first_look, on_first_look, a) >= 0);
        if (!fake.agents)
                fake.agents = g_ptr_array_new();
        g_ptr_array_add(fake.agents, a);
        *ret = a;
        return 0;
}

Agent *agent_free(Agent *a)
{
        if (!a)
                return NULL;
        a->is_reachable = false;
        fake_tasks_end(a);
        (void) g_ptr_array_remove(fake.agents, a);
        (void) sd_event_source_disable_unref(a->first_look);
        g_free(a->socket);
        g_free(a);
        return NULL;
}

bool agent_is_reachable(const Agent *a)
{
        return a->is_reachable;
}

/* Core speaks to guests through host/guest.h only. */
AgentCall *agent_call(Agent *a, const char *command, Json *arguments, uint64_t timeout_usec,
                      AgentSink sink, AgentDone done, void *userdata)
{
        return agent_call_later(a, 0, command, arguments, timeout_usec, sink, done, userdata);
}

AgentCall *agent_call_later(G_GNUC_UNUSED Agent *a, G_GNUC_UNUSED uint64_t delay_usec,
                            G_GNUC_UNUSED const char *command, G_GNUC_UNUSED Json *arguments,
                            G_GNUC_UNUSED uint64_t timeout_usec, G_GNUC_UNUSED AgentSink sink,
                            G_GNUC_UNUSED AgentDone done, G_GNUC_UNUSED void *userdata)
{
        g_assert_not_reached();
}

bool agent_call_cancel(AgentCall *call)
{
        return call != NULL;
}

/* What an observer does may end other agents. */
void fake_agents_update(void)
{
        g_autoptr(GPtrArray) agents =
                fake.agents ? g_ptr_array_copy(fake.agents, NULL, NULL) : g_ptr_array_new();

        for (guint i = 0; i < agents->len; i++)
                if (g_ptr_array_find(fake.agents, agents->pdata[i], NULL))
                        update(agents->pdata[i]);
        fake_tasks_wake();
}

FakeDomain *fake_domain_of_agent(const Agent *a)
{
        FakeDomain *d;

        fake_lock();
        d = fake_domain_of(a->socket);
        fake_unlock();
        return d;
}

void fake_host_set_agents(bool answer)
{
        fake.agents_answer = answer;
        fake_wake();
}

void fake_host_set_agent(const char *id, bool answering)
{
        FakeDomain *d;

        fake_lock();
        d = fake_domain_find(id);
        g_assert(d);
        d->agent_answers = answering;
        fake_unlock();
        fake_wake();
}
