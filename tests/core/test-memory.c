/* SPDX-License-Identifier: MIT */

/* Snapshots with memory. */

#include "tests/core/memory.h"

#define SESSION "an editor with a file that was not saved"

static const char settings[] = "stop_timeout = 0s\n";

static const Snapshot *point(const char *name)
{
        return snapshot_find(get_sandbox("web"), name);
}

static bool has_image(unsigned layer)
{
        static const char *const suffixes[] = {"ram", "state", "xml"};
        unsigned n = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++) {
                g_autofree char *name = g_strdup_printf("%u.%s", layer, suffixes[i]);

                n += has_file(get_sandbox("web"), name);
        }
        return n == G_N_ELEMENTS(suffixes);
}

/* -- taking one ------------------------------------------------------------------------------- */

static void test_taking(void)
{
        const SnapshotRow *row;

        (void) ready_sandbox("web");
        fake_host_set_memory(id_of("web"), SESSION);
        is_done(take_memory_snapshot("web", "m"), "a snapshot with memory is taken");
        row = point("m")->row;
        tap_is_str(row->memory_abi, fixture.manager->memory_abi, "it says what can load it");
        tap_ok(row->memory_bytes > 0, "and how much it takes");
        tap_is_str(row->consistency, "crash", "nothing was frozen for it");
        tap_ok(has_image(row->layer), "its files are there");
        tap_ok(manager_find_snapshot(fixture.manager, &fixture.caller, row->id.text) != NULL,
               "it is known");
        tap_is_str(state_of("web"), "ready", "the sandbox runs on");
        is_memory("web", SESSION, "with all that it had");
        tap_ok(is_world_consistent(), "nothing else is left");
        is_done(take_snapshot("web", "d"), "one without is taken");
        tap_ok(!point("d")->row->memory_abi && !has_image(point("d")->row->layer),
               "which has none");
        tap_is_int(count_audit("snapshot.create", "done", NULL), 2, "the trail tells of both");
        tap_ok(is_world_consistent(), "all is well");
}

static bool is_job_held(G_GNUC_UNUSED void *userdata)
{
        return fake_host_jobs() == 1;
}

/* The guest stands still for the saving only, not for what is made of it. */
static void test_guest_runs_on(void)
{
        Sandbox *s = get_sandbox("web");
        Outcome o = {0};
        Command *c;

        fake_host_hold_jobs(true);
        need(snapshot_create(s, &fixture.caller, &(SnapshotSpec){.name = "n", .memory = true},
                             on_snapshot, &o, fresh_fault()),
             "snapshot");
        if (!until(is_job_held, NULL))
                tap_bail_out("nothing is baked");
        tap_is_int(fake_host_domain(id_of("web")), DOMAIN_RUNNING,
                   "the guest runs while the image is made");
        tap_ok(!point("n") && !o.has_ended, "there is no snapshot yet");
        is_done(start_command("web", ARGV("echo", "x"), &c), "programs can be run meanwhile");
        tap_is_str(state_of("web"), "ready", "it is ready");
        is_refused(sandbox_stop(s, &fixture.caller, true, fresh_fault()), FAULT_BUSY,
                   "but other changes have to wait");
        fake_host_set_connected(false);
        fake_host_set_connected(true);
        while (fake_host_domains() != 2)
                need(sd_event_run(fixture.event, 100 * USEC_PER_MSEC), "sd_event_run");
        fake_host_hold_jobs(false);
        is_done(finish(0, &o), "the snapshot is taken");
        tap_ok(point("n") != NULL, "and there");
        (void) end_command(c);
        settle();
        tap_ok(is_world_consistent(), "all is well");
}

static void test_refused(void)
{
        g_autofree char *before = describe_world();

        is_refused(take_memory_snapshot("web", "m"), FAULT_EXISTS, "a name is taken");
        fake_host_set_disk_free(0);
        is_refused(take_memory_snapshot("web", "x"), FAULT_NO_SPACE, "the disk may be full");
        fake_host_set_disk_free(UINT64_C(100) << 30);
        (void) is_same_world(before, "nothing has changed");
        need(stop_sandbox("web", true), "stop");
        is_refused(take_memory_snapshot("web", "x"), FAULT_WRONG_STATE,
                   "one that does not run has no memory");
        need(start_sandbox("web"), "start");
}

/* -- going back ------------------------------------------------------------------------------- */

static void test_restoring(void)
{
        unsigned renewals = identity_of("web")->renewals, clocks = identity_of("web")->clocks;
        Command *c;

        fake_host_set_memory(id_of("web"), "what came later");
        need(start_command("web", ARGV("sleep"), &c), "start");
        settle();
        is_done(restore_snapshot("web", "m"), "a snapshot with memory is restored");
        tap_is_str(state_of("web"), "ready", "the sandbox is ready");
        is_memory("web", SESSION, "with what it had then");
        tap_is_str(row_of("web")->started_from, "memory", "it did not boot");
        tap_is_str(sandbox_head_name(get_sandbox("web")), "m", "it stands on the snapshot");
        tap_is_int(identity_of("web")->renewals, renewals, "it is the same guest");
        tap_is_int(identity_of("web")->clocks, clocks + 1, "at another time");
        tap_is_str(command_row(c)->state, "failed", "programs of the time between are gone");
        tap_ok(is_world_consistent(), "all is well");
        fake_host_set_memory(id_of("web"), "another way");
        is_done(restore_snapshot("web", "m"), "it can be restored again");
        is_memory("web", SESSION, "and is as it was the first time");
        is_done(restore_snapshot("web", "d"), "one without memory is restored");
        is_memory("web", "", "by booting");
        tap_is_str(row_of("web")->started_from, "boot", "as it says");
        tap_ok(is_world_consistent(), "all is well");
}

static void test_restoring_stopped(void)
{
        need(stop_sandbox("web", true), "stop");
        is_done(restore_snapshot("web", "d"), "a stopped one is restored to a snapshot of disks");
        tap_is_str(state_of("web"), "stopped", "and stays stopped");
        is_done(restore_snapshot("web", "m"), "and to one with memory");
        settle();
        tap_is_str(state_of("web"), "ready", "and runs on from there");
        is_memory("web", SESSION, "with what it had");
        restart_manager();
        tap_ok(g_str_equal(state_of("web"), "ready") && is_world_consistent(),
               "all is well after a restart");
}

static void test_restoring_unready(void)
{
        is_done(restore_snapshot("web", "m"), "a sandbox is restored");
        fake_host_set_domain(id_of("web"), DOMAIN_CRASHED);
        settle();
        tap_is_str(state_of("web"), "stopped", "it crashes");
        is_done(restore_snapshot("web", "m"), "it is restored from there");
        settle();
        tap_is_str(state_of("web"), "ready", "and is as it was");
        is_memory("web", SESSION, "once more");
}

static void test_damaged(void)
{
        need(take_memory_snapshot("web", "bad"), "snapshot");
        damage_file(get_sandbox("web"), "1.state");
        tap_ok(restore_snapshot("web", "m") < 0, "a memory that is damaged is not restored");
        settle();
        tap_is_str(state_of("web"), "stopped", "the sandbox is stopped");
        tap_ok(strstr(row_of("web")->reason, "could not be started") != NULL, "and says why");
        tap_ok(is_trail_paired(), "so does the trail");
        is_done(start_sandbox("web"), "it can be booted");
        tap_is_str(state_of("web"), "ready", "from the disk of then");
        tap_ok(is_world_consistent(), "all is well");
        is_done(restore_snapshot("web", "bad"), "another one can still be restored");
        tap_ok(is_world_consistent(), "all is well");
        need(destroy_sandbox("web"), "destroy");
}

/* -- deleting --------------------------------------------------------------------------------- */

static void test_deleting(void)
{
        unsigned layers[3];

        (void) ready_sandbox("web");
        need(take_memory_snapshot("web", "one"), "snapshot");
        need(take_memory_snapshot("web", "two"), "snapshot");
        need(take_snapshot("web", "three"), "snapshot");
        layers[0] = point("one")->row->layer;
        layers[1] = point("two")->row->layer;
        is_refused(delete_snapshots("web", "one", true), FAULT_IN_USE,
                   "what the sandbox stands on is not deleted, with all that stands on it neither");
        need(restore_snapshot("web", "one"), "restore");
        is_refused(delete_snapshot("web", "two"), FAULT_IN_USE,
                   "what another stands on is not deleted by itself");
        tap_ok(strstr(fixture.fault.message, "'three' stands on snapshot 'two'") != NULL,
               "it is said which one");
        is_done(delete_snapshots("web", "two", true), "but with that one");
        tap_ok(!point("two") && !point("three") && point("one"), "both are gone, and no other");
        tap_ok(!has_image(layers[1]) && has_image(layers[0]), "their files are, too");
        tap_ok(is_world_consistent() && is_trail_paired(), "all is well");
        need(restore_snapshot("web", "template"), "restore");
        is_done(delete_snapshot("web", "one"), "one with memory is deleted");
        tap_ok(!has_image(layers[0]), "with its files");
        tap_ok(is_world_consistent(), "all is well");
}

/* A tree: two that stand on one. */
static void test_cascade(void)
{
        need(take_snapshot("web", "root"), "snapshot");
        need(take_snapshot("web", "left"), "snapshot");
        need(take_memory_snapshot("web", "leaf"), "snapshot");
        need(restore_snapshot("web", "root"), "restore");
        need(take_snapshot("web", "right"), "snapshot");
        is_refused(delete_snapshots("web", "root", true), FAULT_IN_USE,
                   "a branch of the tree that the sandbox stands on stays");
        is_done(delete_snapshots("web", "left", true), "another one goes");
        tap_ok(point("root") && point("right") && !point("left") && !point("leaf"),
               "with its leaves");
        tap_ok(is_world_consistent(), "all is well");
        need(restore_snapshot("web", "template"), "restore");
        is_done(delete_snapshots("web", "root", true), "in the end all of it goes");
        tap_ok(!point("root") && !point("right"), "all of it");
        tap_ok(is_world_consistent(), "all is well");
}

static void test_diff(void)
{
        need(take_memory_snapshot("web", "one"), "snapshot");
        need(take_memory_snapshot("web", "two"), "snapshot");
        is_done(compare_points("web", "one", "two", NULL), "points with memory can be compared");
        is_done(compare_points("web", "two", "now", NULL), "and with what is now");
        tap_ok(is_world_consistent(), "all is well");
}

/* -- copies of it ----------------------------------------------------------------------------- */

static void test_promotion(void)
{
        Template *t = NULL;
        Outcome o = {0};

        is_done(snapshot_promote(snapshot_find(get_sandbox("web"), "two"), &fixture.caller, "gold",
                                 &t, fresh_fault()),
                "a template is made of a snapshot");
        if (!t)
                return;
        need(template_wait(t, PATIENCE_USEC, on_outcome, &o, &fixture.fault), "wait");
        is_done(finish(0, &o), "and gets ready");
        tap_ok(strstr(template_row(get_template("gold"))->source, "web/two") != NULL,
               "it says what it is of");
        is_done(destroy_sandbox("web"), "it needs nothing of the sandbox");
        is_done(create_from(&(SandboxSpec){.name = "new", .template = "gold"}),
                "a sandbox is made of it");
        tap_ok(is_world_consistent() && is_trail_paired(), "all is well");
        need(destroy_sandbox("new"), "destroy");
}

int main(void)
{
        start_fixture(settings);
        test_taking();
        test_guest_runs_on();
        test_refused();
        test_restoring();
        test_restoring_stopped();
        test_restoring_unready();
        test_damaged();
        test_deleting();
        test_cascade();
        test_diff();
        test_promotion();
        stop_fixture();
        return tap_done();
}
