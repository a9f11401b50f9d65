/* SPDX-License-Identifier: MIT */

/* Callers that wait, and time that is up. */

#include "tests/core/world.h"

#define HOUR (3600 * USEC_PER_SEC)

/* -- the list itself -------------------------------------------------------------------------- */

static bool is_at(const char *wanted, void *object)
{
        return g_str_equal(wanted, object);
}

static int add_wait(WaitList *list, const char *wanted, uint64_t timeout_usec, char *place,
                    Outcome *o)
{
        return wait_add(list, fixture.event, wanted, timeout_usec, is_at, place, on_outcome, o,
                        fresh_fault());
}

typedef struct Chain {
        WaitList *list;
        Outcome first, second;
} Chain;

static void wait_again(int r, const Fault *f, void *userdata)
{
        Chain *c = userdata;

        on_outcome(r, f, &c->first);
        need(add_wait(c->list, "there", USEC_INFINITY, (char *) "there", &c->second), "wait");
}

static void test_list(void)
{
        WaitList list = {0};
        Outcome here = {0}, there = {0}, other = {0}, late = {0};

        is_done(add_wait(&list, "here", 0, (char *) "here", &here),
                "what is reached already can be waited for");
        tap_ok(!here.has_ended, "which does not end before the call has returned");
        settle();
        tap_ok(here.has_ended && here.r == 0, "but as soon as the loop goes on");

        is_done(add_wait(&list, "there", 0, (char *) "here", &late),
                "what is not can be asked for without waiting");
        (void) until(has_ended, &late);
        tap_ok(late.r == -ETIMEDOUT && late.fault.code == FAULT_TIMED_OUT, "it is not there");

        is_done(add_wait(&list, "there", USEC_INFINITY, (char *) "here", &there),
                "it can be waited for for ever");
        is_done(add_wait(&list, "elsewhere", USEC_INFINITY, (char *) "here", &other),
                "so can something else");
        settle();
        tap_ok(!there.has_ended, "nothing ends by itself");
        wait_notify(&list, is_at, (char *) "there");
        tap_ok(there.has_ended && there.r == 0, "a wait ends when its place is reached");
        tap_ok(!other.has_ended, "another does not");
        (void) fault_set(fresh_fault(), FAULT_NOT_FOUND, "it is gone");
        wait_fail(&list, &fixture.fault);
        tap_ok(other.r == -ENOENT && g_str_equal(other.fault.message, "it is gone"),
               "all end with the reason when there is one");
        wait_notify(&list, is_at, (char *) "there");
        tap_ok(!list.waiters, "nobody waits any more");
}

static void test_list_limits(void)
{
        WaitList list = {0};
        Chain chain = {.list = &list};
        Outcome many[1025] = {0};
        int r = 0;
        size_t n = 0;

        need(wait_add(&list, fixture.event, "there", USEC_INFINITY, is_at, (char *) "here",
                      wait_again, &chain, NULL),
             "wait");
        wait_notify(&list, is_at, (char *) "there");
        settle();
        tap_ok(chain.first.has_ended && chain.second.has_ended,
               "whoever has waited may wait again at once");
        while (r == 0 && n < G_N_ELEMENTS(many))
                r = add_wait(&list, "there", USEC_INFINITY, (char *) "here", many + n++);
        is_refused(r, FAULT_LIMITS_EXCEEDED, "more than 1024 do not wait for one thing");
        tap_is_int((int64_t) n, 1025, "but so many do");
        wait_clear(&list);
        tap_ok(!list.waiters && !many[0].has_ended, "all can be forgotten without a word");
}

/* -- sandboxes -------------------------------------------------------------------------------- */

static void test_states(void)
{
        Outcome stopped = {0}, none = {0};
        Sandbox *s = ready_sandbox("web");

        is_done(wait_sandbox(s, "ready"), "waiting for what is ends well");
        is_done(wait_sandbox(s, ""), "so does waiting for any settled state");
        is_refused(sandbox_wait(s, "creating", 1, on_outcome, &none, fresh_fault()),
                   FAULT_INVALID_ARGUMENT, "other states cannot be waited for");
        need(sandbox_wait(s, "stopped", USEC_INFINITY, on_outcome, &stopped, fresh_fault()),
             "wait");
        settle();
        tap_ok(!stopped.has_ended, "a ready sandbox does not stop by itself");
        need(stop_sandbox("web", false), "stop");
        tap_ok(stopped.has_ended && stopped.r == 0, "the wait ends when it is stopped");
        is_done(wait_sandbox(s, "ready"),
                "a stopped one does not become ready by itself, which ends a wait");
        tap_is_str(state_of("web"), "stopped", "the state tells");
        need(start_sandbox("web"), "start");
        need(sandbox_wait(s, "stopped", 1000, on_outcome, &none, fresh_fault()), "wait");
        is_refused(finish(0, &none), FAULT_TIMED_OUT, "a wait ends at its deadline");
}

static void test_destroyed_meanwhile(void)
{
        Outcome waits[3] = {{0}}, destroyed = {0}, again = {0};
        Sandbox *s = get_sandbox("web");
        bool are_told = true;

        for (size_t i = 0; i < G_N_ELEMENTS(waits); i++)
                need(sandbox_wait(s, "stopped", USEC_INFINITY, on_outcome, waits + i,
                                  fresh_fault()),
                     "wait");
        fake_host_hold(true);
        need(sandbox_destroy(s, &fixture.caller, on_outcome, &destroyed, fresh_fault()), "destroy");
        until_held(1);
        tap_is_str(state_of("web"), "destroying", "a sandbox is destroyed while callers wait");
        need(sandbox_destroy(s, &fixture.caller, on_outcome, &again, fresh_fault()), "destroy");
        is_refused(sandbox_start(s, &fixture.caller, fresh_fault()), FAULT_WRONG_STATE,
                   "nothing else can be done to it");
        fake_host_hold(false);
        is_done(finish(0, &destroyed), "it is destroyed");
        is_done(finish(0, &again), "whoever asked for that, too, is told with the first");
        for (size_t i = 0; i < G_N_ELEMENTS(waits); i++)
                are_told &= waits[i].r == -ENOENT && waits[i].fault.code == FAULT_NOT_FOUND;
        tap_ok(are_told, "every wait ends with that");
        tap_is_str(state_of("web"), "gone", "and it is gone");
}

/* Destroying waits for what is under way, and then happens. */
static void expect_destroyed(int begun, Outcome *outcome, const char *what)
{
        Outcome destroyed = {0};

        need(begun, what);
        until_held(1);
        need(sandbox_destroy(get_sandbox("web"), &fixture.caller, on_outcome, &destroyed,
                             fresh_fault()),
             what);
        fake_host_hold(false);
        is_done(finish(0, &destroyed), "a sandbox that is being %s is destroyed", what);
        tap_ok(!get_sandbox("web") && fake_host_domains() == 0, "and is gone");
        tap_ok(!outcome || outcome->has_ended, "whoever began that is told");
        tap_ok(is_trail_paired() && is_world_consistent(), "nothing is left behind");
}

static Sandbox *held_sandbox(void)
{
        Sandbox *s = ready_sandbox("web");

        need(take_snapshot("web", "s"), "snapshot");
        fake_host_hold(true);
        return s;
}

static Sandbox *held_stopped_sandbox(void)
{
        (void) ready_sandbox("web");
        need(stop_sandbox("web", true), "stop");
        fake_host_hold(true);
        return get_sandbox("web");
}

static void test_destroy_during(void)
{
        Outcome o;
        Comparison c = {0};
        Sandbox *s;

        expect_destroyed(sandbox_stop(held_sandbox(), &fixture.caller, true, fresh_fault()), NULL,
                         "stopped");
        expect_destroyed(sandbox_stop(held_sandbox(), &fixture.caller, false, fresh_fault()), NULL,
                         "asked to stop");
        expect_destroyed(sandbox_start(held_stopped_sandbox(), &fixture.caller, fresh_fault()),
                         NULL, "started");
        expect_destroyed(snapshot_create(held_sandbox(), &fixture.caller,
                                         &(SnapshotSpec){.name = "t", .freeze = true}, on_snapshot,
                                         (o = (Outcome){0}, &o), fresh_fault()),
                         &o, "snapshotted");
        expect_destroyed(snapshot_restore(held_sandbox(), &fixture.caller, "s", on_outcome,
                                          (o = (Outcome){0}, &o), fresh_fault()),
                         &o, "restored");
        expect_destroyed(diff_start(held_sandbox(), &fixture.caller,
                                    &(DiffSpec){.from = "s", .to = "now"}, on_diff, &c,
                                    fresh_fault()),
                         &c.outcome, "compared");
        g_free(c.text);
        fake_host_hold(true);
        expect_destroyed(sandbox_create(fixture.manager, &fixture.caller,
                                        &(SandboxSpec){.name = "web", .template = "base"}, &s,
                                        fresh_fault()),
                         NULL, "created");
}

/* -- creating --------------------------------------------------------------------------------- */

static void test_creation_fails(void)
{
        Outcome first = {0}, second = {0}, destroyed = {0};
        SandboxSpec spec = {.name = "web", .template = "base"};
        Sandbox *s;

        fake_host_hold(true);
        fake_host_fail_nth(3, FAULT_HYPERVISOR_FAILED);
        need(sandbox_create(fixture.manager, &fixture.caller, &spec, &s, fresh_fault()), "create");
        need(sandbox_wait(s, "ready", USEC_INFINITY, on_outcome, &first, fresh_fault()), "wait");
        need(sandbox_wait(s, "", USEC_INFINITY, on_outcome, &second, fresh_fault()), "wait");
        until_held(1);
        tap_is_str(state_of("web"), "creating", "a sandbox is being created");
        tap_ok(!first.has_ended, "for which callers wait");
        fake_host_hold(false);
        settle();
        fake_host_fail_nth(0, FAULT_NONE);
        tap_ok(first.r == -EPROTO && second.r == -EPROTO &&
                       first.fault.code == FAULT_HYPERVISOR_FAILED,
               "when it cannot be made, every wait ends with the reason");
        tap_is_str(state_of("web"), "gone", "and it is gone");

        /* It fails, and while what it left is removed it is to be destroyed. */
        fake_host_fail_nth(3, FAULT_HYPERVISOR_FAILED);
        fake_host_hold_nth(5);
        need(sandbox_create(fixture.manager, &fixture.caller, &spec, &s, fresh_fault()), "create");
        until_held(1);
        tap_ok(!s->create_entry, "another one cannot be made");
        need(sandbox_destroy(s, &fixture.caller, on_outcome, &destroyed, fresh_fault()), "destroy");
        fake_host_hold(false);
        (void) finish(0, &destroyed);
        fake_host_fail_nth(0, FAULT_NONE);
        tap_ok(destroyed.has_ended && !get_sandbox("web"),
               "one that is destroyed while its failure is undone is gone, too");
        tap_ok(is_trail_paired() && is_world_consistent(), "nothing is left behind");
}

static bool is_failed(G_GNUC_UNUSED void *userdata)
{
        return g_str_equal(state_of("slow"), "failed") && !get_sandbox("slow")->operation;
}

static void test_boot_timeout(void)
{
        SandboxSpec spec = {
                .name = "slow", .template = "base", .boot_timeout_usec = 10 * USEC_PER_MSEC};
        g_autofree char *last = NULL;

        fake_host_set_agents(false);
        is_done(create_from(&spec), "a sandbox whose guest agent does not answer is made");
        tap_ok(until(is_failed, NULL), "and has failed when its time is up");
        settle();
        tap_ok(strstr(get_sandbox("slow")->row->reason, "did not answer within 10ms"),
               "its reason says so");
        tap_is_int(fake_host_domain(get_sandbox("slow")->row->id.text), DOMAIN_SHUT_OFF,
                   "its domain is switched off");
        last = last_audit("sandbox.create");
        tap_is_str(last, "failed AgentUnavailable", "the trail says that it failed");
        fake_host_set_agents(true);
        is_done(start_sandbox("slow"), "it can be started again");
        tap_is_str(state_of("slow"), "ready", "and be ready");
        is_done(destroy_sandbox("slow"), "and destroyed");
}

static bool is_slow_stopped(G_GNUC_UNUSED void *userdata)
{
        return g_str_equal(state_of("web"), "stopped");
}

static void test_stop_timeout(void)
{
        (void) ready_sandbox("web");
        fake_host_set_power_button(false);
        fixture.manager->config->stop_timeout_usec = 20 * USEC_PER_MSEC;
        is_done(stop_sandbox("web", false),
                "the power button of a guest that ignores it is pressed");
        tap_ok(until(is_slow_stopped, NULL), "its plug is pulled when its time is up");
        settle();
        fixture.manager->config->stop_timeout_usec = HOUR;
        need(start_sandbox("web"), "start");
        fake_host_hold(true);
        need(sandbox_stop(get_sandbox("web"), &fixture.caller, false, fresh_fault()), "stop");
        fake_host_hold(false);
        settle();
        is_done(stop_sandbox("web", true), "or at once, if somebody asks for that");
        tap_is_str(state_of("web"), "stopped", "it is stopped");
        fake_host_set_power_button(true);
        tap_ok(is_trail_paired(), "both calls have ended in the trail");
        need(destroy_sandbox("web"), "destroy");
}

static bool is_timer_gone(void *timer)
{
        return *(sd_event_source **) timer == NULL;
}

static bool is_starting(G_GNUC_UNUSED void *userdata)
{
        return g_str_equal(state_of("slow"), "starting") && !get_sandbox("slow")->operation;
}

/* The time of that timer is up. */
static void let_expire(sd_event_source **timer)
{
        need(sd_event_source_set_time_relative(*timer, 0), "timer");
        (void) until(is_timer_gone, timer);
}

/* Time is up while something else is under way: it is acted upon afterwards. */
static void test_timeout_while_busy(void)
{
        SandboxSpec spec = {.name = "slow", .template = "base", .boot_timeout_usec = HOUR};
        Outcome taken = {0}, stopped = {0};
        Sandbox *s = ready_sandbox("web");

        fake_host_set_power_button(false);
        need(stop_sandbox("web", false), "stop");
        fake_host_hold(true);
        need(snapshot_create(s, &fixture.caller, &(SnapshotSpec){.name = "s"}, on_snapshot, &taken,
                             fresh_fault()),
             "snapshot");
        until_held(1);
        let_expire(&s->stop_timer);
        tap_is_str(state_of("web"), "ready", "the time to stop is up while a snapshot is taken");
        fake_host_hold(false);
        is_done(finish(0, &taken), "the snapshot is taken");
        tap_is_str(state_of("web"), "stopped", "then the plug is pulled");
        fake_host_set_power_button(true);
        need(start_sandbox("web"), "start");

        fake_host_set_agents(false);
        need(sandbox_create(fixture.manager, &fixture.caller, &spec, &s, fresh_fault()), "create");
        (void) until(is_starting, NULL);
        fake_host_hold(true);
        taken = (Outcome){0};
        need(snapshot_create(s, &fixture.caller, &(SnapshotSpec){.name = "s"}, on_snapshot, &taken,
                             fresh_fault()),
             "snapshot");
        until_held(1);
        let_expire(&s->boot_timer);
        tap_is_str(state_of("slow"), "failed", "the time to boot is up while a snapshot is taken");
        fake_host_hold(false);
        (void) finish(0, &taken);
        tap_is_int(fake_host_domain(s->row->id.text), DOMAIN_SHUT_OFF,
                   "then the guest is switched off");
        fake_host_set_agents(true);
        settle();

        s = get_sandbox("web");
        fake_host_fail_nth(1, FAULT_HYPERVISOR_FAILED);
        need(sandbox_wait(s, "stopped", USEC_INFINITY, on_outcome, &stopped, fresh_fault()),
             "wait");
        (void) stop_sandbox("web", true);
        fake_host_fail_nth(0, FAULT_NONE);
        tap_ok(stopped.has_ended && stopped.fault.code == FAULT_HYPERVISOR_FAILED,
               "whoever waits for a stop that fails is told why");
        tap_ok(is_world_consistent() && is_trail_paired(), "all is well");
        need(destroy_sandbox("web"), "destroy");
        need(destroy_sandbox("slow"), "destroy");
}

/* -- time to live ----------------------------------------------------------------------------- */

static bool is_gone(void *name)
{
        return !get_sandbox(name);
}

static void test_ttl(void)
{
        SandboxSpec spec = {.name = "brief", .template = "base", .ttl_usec = 1};
        Sandbox *s;

        fixture.caller.uid = 1000;
        is_done(sandbox_create(fixture.manager, &fixture.caller, &spec, &s, fresh_fault()),
                "a sandbox with a short life is made");
        tap_ok(until(is_gone, (char *) "brief"), "and destroyed when its time is up");
        settle();
        tap_ok(count_audit("sandbox.destroy", "done", "") > 0, "which is in the trail");
        tap_ok(is_world_consistent() && fake_host_domains() == 0, "nothing is left of it");

        spec = (SandboxSpec){.name = "long", .template = "base", .ttl_usec = USEC_PER_SEC * 3600};
        need(create_from(&spec), "create");
        s = get_sandbox("long");
        is_refused(sandbox_extend_ttl(s, &fixture.caller, 0, fresh_fault()), FAULT_INVALID_ARGUMENT,
                   "its time cannot be extended by nothing");
        is_done(sandbox_extend_ttl(s, &fixture.caller, USEC_INFINITY - 1, fresh_fault()),
                "it can by nearly for ever");
        settle();
        tap_ok(get_sandbox("long") && s->row->expires_usec == 0, "which does not end it at once");
        is_done(sandbox_extend_ttl(s, &fixture.caller, USEC_INFINITY, fresh_fault()),
                "and for ever");
        tap_ok(s->row->expires_usec == 0, "then it never expires");
        is_done(sandbox_extend_ttl(s, &fixture.caller, 1, fresh_fault()),
                "it can be cut short, too");
        tap_ok(until(is_gone, (char *) "long"), "which ends it");
}

static void test_ttl_while_away(void)
{
        SandboxSpec spec = {.name = "brief", .template = "base", .ttl_usec = USEC_PER_SEC * 3600};

        need(create_from(&spec), "create");
        get_sandbox("brief")->row->expires_usec = 1;
        need(sandbox_save(get_sandbox("brief"), &fixture.fault), "save");
        restart_manager();
        tap_ok(until(is_gone, (char *) "brief"),
               "one whose time was up while the daemon was away is destroyed at its start");
        settle();
        tap_ok(is_world_consistent() && fake_host_domains() == 0, "nothing is left of it");
}

static void test_ttl_max(void)
{
        SandboxSpec spec = {.name = "x", .template = "base", .ttl_usec = 3 * 3600 * USEC_PER_SEC};

        stop_fixture();
        start_fixture("ttl_max = 2h\nttl_default = 1h\n");
        need(import_image("base", IMAGE), "import");
        is_refused(create_from(&spec), FAULT_INVALID_ARGUMENT,
                   "a life longer than ttl_max cannot be asked for");
        (void) ready_sandbox("web");
        tap_ok(get_sandbox("web")->row->expires_usec - get_sandbox("web")->row->created_usec ==
                       3600 * USEC_PER_SEC,
               "who asks for none gets ttl_default");
        is_refused(sandbox_extend_ttl(get_sandbox("web"), &fixture.caller, USEC_INFINITY,
                                      fresh_fault()),
                   FAULT_INVALID_ARGUMENT, "nor can it be extended beyond ttl_max");
}

int main(void)
{
        start_fixture("stop_timeout = 1h\n");
        test_list();
        test_list_limits();
        test_states();
        test_destroyed_meanwhile();
        test_destroy_during();
        test_creation_fails();
        test_boot_timeout();
        test_stop_timeout();
        test_timeout_while_busy();
        test_ttl();
        test_ttl_while_away();
        test_ttl_max();
        stop_fixture();
        return tap_done();
}
