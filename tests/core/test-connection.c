/* SPDX-License-Identifier: MIT */

/* libvirtd comes and goes, domains change behind fluid's back, guest agents do what they like. */

#include "tests/core/world.h"

static const char *id_of(const char *sandbox)
{
        return get_sandbox(sandbox)->row->id.text;
}

static void set_connected(bool is_connected)
{
        fake_host_set_connected(is_connected);
        settle();
}

static void set_domain(const char *sandbox, DomainState state)
{
        fake_host_set_domain(id_of(sandbox), state);
        settle();
}

/* -- libvirtd --------------------------------------------------------------------------------- */

static void test_away(void)
{
        Sandbox *s;
        Command *c;

        (void) ready_sandbox("web");
        (void) ready_sandbox("off");
        need(stop_sandbox("off", true), "stop");
        set_connected(false);
        tap_is_str(manager_state(fixture.manager), "degraded",
                   "without libvirtd the manager is degraded");
        tap_is_str(state_of("web"), "unknown", "the state of a running sandbox is unknown");
        tap_is_str(state_of("off"), "unknown", "so is that of a stopped one");
        is_refused(sandbox_create(fixture.manager, &fixture.caller,
                                  &(SandboxSpec){.name = "x", .template = "base"}, &s,
                                  fresh_fault()),
                   FAULT_HYPERVISOR_UNAVAILABLE, "no sandbox can be made");
        is_refused(start_command("web", ARGV("true"), &c), FAULT_HYPERVISOR_UNAVAILABLE,
                   "nothing can be run");
        is_refused(start_sandbox("off"), FAULT_WRONG_STATE, "nothing can be started");
        is_refused(take_snapshot("web", "s"), FAULT_WRONG_STATE, "no snapshot be taken");
        set_connected(true);
        tap_is_str(manager_state(fixture.manager), "running", "when it is back the manager runs");
        tap_is_str(state_of("web"), "ready", "the running sandbox is ready");
        tap_is_str(state_of("off"), "stopped", "the stopped one is stopped");
        is_done(start_command("web", ARGV("true"), &c), "programs can be run");
        is_done(end_command(c), "and end");
        tap_ok(is_world_consistent(), "all is well");
}

static void test_changed_while_away(void)
{
        Command *c;

        need(start_command("web", ARGV("sleep"), &c), "start");
        set_connected(false);
        set_domain("web", DOMAIN_SHUT_OFF);
        set_domain("off", DOMAIN_RUNNING);
        tap_is_str(state_of("web"), "unknown", "what happens while libvirtd is away is not known");
        set_connected(true);
        tap_is_str(state_of("web"), "stopped",
                   "a sandbox that was switched off meanwhile is stopped");
        tap_is_str(command_row(c)->state, "failed", "its commands have failed");
        tap_is_str(state_of("off"), "ready", "one that was switched on is ready");
        need(start_sandbox("web"), "start");
        need(stop_sandbox("off", true), "stop");
}

static void test_restart_while_away(void)
{
        stop_manager();
        fake_host_set_connected(false);
        start_manager();
        tap_is_str(state_of("web"), "unknown", "at a start without libvirtd states are unknown");
        set_connected(true);
        tap_is_str(state_of("web"), "ready", "until it is there");
        tap_ok(is_world_consistent(), "all is well");
}

static void test_flapping(void)
{
        for (unsigned i = 0; i < 20; i++) {
                fake_host_set_connected(i % 2);
                if (i % 3 == 0)
                        (void) sd_event_run(fixture.event, 0);
        }
        settle();
        tap_is_str(state_of("web"), "ready", "however often it goes and comes");
        tap_ok(is_world_consistent() && is_trail_paired(), "all is well in the end");
}

static void test_destroy_while_away(void)
{
        set_connected(false);
        is_refused(destroy_sandbox("off"), FAULT_HYPERVISOR_UNAVAILABLE,
                   "without libvirtd nothing can be destroyed");
        tap_is_str(state_of("off"), "destroying", "but it is not forgotten");
        set_connected(true);
        tap_is_str(state_of("off"), "gone", "and happens when libvirtd is back");
        tap_ok(is_world_consistent(), "all is well");
        (void) ready_sandbox("off");
        set_connected(false);
        (void) destroy_sandbox("off");
        stop_manager();
        fake_host_set_connected(true);
        start_manager();
        tap_is_str(state_of("off"), "gone", "or at the next start");
}

/* The connection is lost while a call waits. */
static void test_lost_during(const char *what, int begun, Outcome *o)
{
        need(begun, what);
        until_held(1);
        fake_host_set_connected(false);
        fake_host_hold(false);
        settle();
        tap_ok(!o || (o->has_ended && o->fault.code == FAULT_HYPERVISOR_UNAVAILABLE),
               "libvirtd goes away while a sandbox is %s", what);
        set_connected(true);
        tap_ok(is_world_consistent() && is_trail_paired(), "when it is back all is well");
}

static void test_lost(void)
{
        Outcome o = {0};

        need(take_snapshot("web", "s"), "snapshot");
        fake_host_hold(true);
        test_lost_during("stopped",
                         sandbox_stop(get_sandbox("web"), &fixture.caller, true, fresh_fault()),
                         NULL);
        tap_is_str(state_of("web"), "ready", "it was not stopped");
        fake_host_hold(true);
        test_lost_during("snapshotted",
                         snapshot_create(get_sandbox("web"), &fixture.caller,
                                         &(SnapshotSpec){.name = "t", .freeze = true}, on_snapshot,
                                         &o, fresh_fault()),
                         &o);
        tap_ok(!snapshot_find(get_sandbox("web"), "t"), "there is no snapshot");
        o = (Outcome){0};
        fake_host_hold(true);
        test_lost_during("restored",
                         snapshot_restore(get_sandbox("web"), &fixture.caller, "s", on_outcome, &o,
                                          fresh_fault()),
                         &o);
        tap_is_str(state_of("web"), "ready", "it runs");
        tap_is_str(sandbox_head_name(get_sandbox("web")), "s", "and stands on the snapshot");
}

/* -- domains ---------------------------------------------------------------------------------- */

static void test_behind_our_back(void)
{
        Command *c;

        set_domain("web", DOMAIN_SHUT_OFF);
        tap_is_str(state_of("web"), "stopped", "a guest that powers off is stopped");
        set_domain("web", DOMAIN_RUNNING);
        tap_is_str(state_of("web"), "ready", "one that somebody else starts is ready");
        set_domain("web", DOMAIN_PAUSED);
        tap_is_str(state_of("web"), "ready", "so is one whose CPUs somebody stops for a while");
        set_domain("web", DOMAIN_RUNNING);
        need(start_command("web", ARGV("sleep"), &c), "start");
        set_domain("web", DOMAIN_CRASHED);
        tap_is_str(state_of("web"), "stopped", "one that crashes is stopped");
        tap_is_str(get_sandbox("web")->row->reason, "the guest crashed", "with the reason");
        tap_is_str(command_row(c)->state, "failed", "its commands have failed");
        tap_is_int(command_fault(c)->code, FAULT_AGENT_UNAVAILABLE, "with a reason, too");
        is_done(start_sandbox("web"), "it can be started again");
        set_domain("web", DOMAIN_ABSENT);
        tap_is_str(state_of("web"), "failed", "one whose domain somebody removes has failed");
        is_done(destroy_sandbox("web"), "and can be destroyed");
        tap_ok(is_world_consistent(), "nothing is left");
}

static void test_failed_stays(void)
{
        g_autofree char *reason = NULL;

        (void) ready_sandbox("web");
        set_domain("web", DOMAIN_ABSENT);
        reason = g_strdup(get_sandbox("web")->row->reason);
        set_connected(false);
        set_connected(true);
        tap_is_str(state_of("web"), "failed", "what has failed has failed, whatever libvirtd does");
        tap_is_str(get_sandbox("web")->row->reason, reason, "for the same reason");
        restart_manager();
        tap_is_str(state_of("web"), "failed", "after a restart, too");
        need(destroy_sandbox("web"), "destroy");
}

/* The daemon is restarted while a guest boots. */
static void test_restart_while_booting(void)
{
        Sandbox *s;

        fake_host_set_agents(false);
        need(sandbox_create(fixture.manager, &fixture.caller,
                            &(SandboxSpec){.name = "web", .template = "base"}, &s, fresh_fault()),
             "create");
        settle();
        restart_manager();
        tap_is_str(state_of("web"), "starting", "a guest boots on while the daemon is restarted");
        fake_host_set_agents(true);
        settle();
        tap_is_str(state_of("web"), "ready", "and is ready when its agent answers");
        tap_is_int(count_audit("sandbox.create", "begin", NULL),
                   count_audit("sandbox.create", "done", NULL) +
                           count_audit("sandbox.create", "failed", NULL),
                   "the trail tells of its end");
        need(destroy_sandbox("web"), "destroy");
}

static void test_foreign(void)
{
        fake_host_set_domain("0123456789ab", DOMAIN_RUNNING);
        settle();
        restart_manager();
        tap_is_int(fake_host_domain("0123456789ab"), DOMAIN_RUNNING,
                   "a domain that is nobody's is left alone");
        fake_host_set_domain("0123456789ab", DOMAIN_ABSENT);
        settle();
}

/* -- guest agents ----------------------------------------------------------------------------- */

static void test_agents(void)
{
        Command *c;
        g_autofree char *id = NULL;

        (void) ready_sandbox("web");
        id = g_strdup(id_of("web"));
        need(start_command("web", ARGV("sleep"), &c), "start");
        fake_host_set_agent(id, false);
        settle();
        tap_is_str(state_of("web"), "starting", "a guest whose agent goes away is starting");
        tap_ok(strstr(get_sandbox("web")->row->reason, "the guest agent went away"),
               "and it says why");
        is_refused(start_command("web", ARGV("true"), &c), FAULT_WRONG_STATE,
                   "nothing can be run in it");
        fake_host_set_agent(id, true);
        settle();
        tap_is_str(state_of("web"), "ready", "it is ready when the agent is back");
        tap_is_int(count_audit("sandbox.create", "done", "") -
                           count_audit("sandbox.create", "begin", ""),
                   0, "which is no second creation");

        fake_host_set_freeze(false);
        is_done(take_snapshot("web", "s"),
                "a guest that cannot freeze is snapshotted all the same");
        tap_is_str(snapshot_row(snapshot_find(get_sandbox("web"), "s"))->consistency, "crash",
                   "as after a crash");
        tap_ok(*snapshot_row(snapshot_find(get_sandbox("web"), "s"))->reason,
               "and the snapshot says why");
        fake_host_set_agent(id, false);
        settle();
        is_done(take_snapshot("web", "t"), "so is one whose agent does not answer");
        tap_is_str(snapshot_row(snapshot_find(get_sandbox("web"), "t"))->consistency, "crash",
                   "as after a crash");
        fake_host_set_agent(id, true);
        fake_host_set_freeze(true);
        settle();
        need(stop_sandbox("web", true), "stop");
        is_done(take_snapshot("web", "u"), "a stopped one is snapshotted");
        tap_is_str(snapshot_row(snapshot_find(get_sandbox("web"), "u"))->consistency, "off",
                   "as it is");
        tap_ok(is_world_consistent() && is_trail_paired(), "all is well");
}

/* A daemon was killed while the guest was frozen: its successor thaws it. */
static void test_thaw(void)
{
        need(start_sandbox("web"), "start");
        fake_host_fail_nth(5, FAULT_HYPERVISOR_FAILED);
        (void) take_snapshot("web", "v");
        fake_host_fail_nth(0, FAULT_NONE);
        restart_manager();
        tap_ok(!fake_host_is_frozen(id_of("web")), "no guest stays frozen");
        need(destroy_sandbox("web"), "destroy");
}

/* -- the observer ----------------------------------------------------------------------------- */

typedef struct Seen {
        unsigned added[_OBJECT_KIND_MAX], changed[_OBJECT_KIND_MAX], removed[_OBJECT_KIND_MAX],
                states;
} Seen;

static void on_added(ObjectKind kind, G_GNUC_UNUSED void *object, void *userdata)
{
        ((Seen *) userdata)->added[kind]++;
}

static void on_changed(ObjectKind kind, G_GNUC_UNUSED void *object, void *userdata)
{
        ((Seen *) userdata)->changed[kind]++;
}

static void on_removed(ObjectKind kind, G_GNUC_UNUSED void *object, void *userdata)
{
        ((Seen *) userdata)->removed[kind]++;
}

static void on_state(void *userdata)
{
        ((Seen *) userdata)->states++;
}

static void test_observer(void)
{
        static const ManagerObserver observer = {on_added, on_changed, on_removed, on_state};
        Seen seen = {0};
        Command *c;

        manager_set_observer(fixture.manager, &observer, &seen);
        (void) ready_sandbox("web");
        tap_ok(seen.added[OBJECT_SANDBOX] == 1 && seen.changed[OBJECT_SANDBOX] >= 2,
               "the observer sees a sandbox come and change");
        need(take_snapshot("web", "s"), "snapshot");
        tap_is_int(seen.added[OBJECT_SNAPSHOT], 1, "a snapshot come");
        need(compare_points("web", "s", "now", NULL), "diff");
        tap_ok(seen.added[OBJECT_SNAPSHOT] == 1 && seen.removed[OBJECT_SNAPSHOT] == 0,
               "but not the hidden one of a diff");
        need(start_command("web", ARGV("true"), &c), "start");
        need(end_command(c), "end");
        tap_ok(seen.added[OBJECT_COMMAND] == 1 && seen.changed[OBJECT_COMMAND] >= 1,
               "a command come and end");
        set_connected(false);
        set_connected(true);
        tap_is_int(seen.states, 2, "libvirtd go and come");
        need(destroy_sandbox("web"), "destroy");
        tap_ok(seen.removed[OBJECT_SANDBOX] == 1 && seen.removed[OBJECT_SNAPSHOT] == 1 &&
                       seen.removed[OBJECT_COMMAND] == 1,
               "and all of it go");
        fake_host_fail_nth(3, FAULT_HYPERVISOR_FAILED);
        (void) create_sandbox("web");
        fake_host_fail_nth(0, FAULT_NONE);
        tap_is_int(seen.added[OBJECT_SANDBOX], (int64_t) seen.removed[OBJECT_SANDBOX],
                   "one that could not be made goes, too");
        manager_set_observer(fixture.manager, NULL, NULL);
}

int main(void)
{
        start_fixture("stop_timeout = 20ms\n");
        test_away();
        test_changed_while_away();
        test_restart_while_away();
        test_flapping();
        test_destroy_while_away();
        test_lost();
        test_behind_our_back();
        test_failed_stays();
        test_restart_while_booting();
        test_foreign();
        test_agents();
        test_thaw();
        test_observer();
        stop_fixture();
        return tap_done();
}
