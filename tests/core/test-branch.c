/* SPDX-License-Identifier: MIT */

/* Branches: sandboxes made of a point of another one. */

#include "tests/core/memory.h"

#define SESSION "a server with state in its memory"

static const char settings[] = "stop_timeout = 0s\n";

/* "web", on snapshots "one" and "two" (with memory). */
static void prepare_source(void)
{
        (void) ready_sandbox("web");
        write_text("web", "first");
        need(take_snapshot("web", "one"), "snapshot");
        write_text("web", "second");
        fake_host_set_memory(id_of("web"), SESSION);
        need(take_memory_snapshot("web", "two"), "snapshot");
        write_text("web", "third");
        fake_host_set_memory(id_of("web"), "what came later");
}

static void destroy(const char *sandbox)
{
        need(destroy_sandbox(sandbox), "destroy");
}

/* -- of a snapshot ---------------------------------------------------------------------------- */

static void test_disks(void)
{
        const SnapshotRow *row;

        is_done(branch_sandbox("web", "one", "b"), "a branch is made of a snapshot");
        tap_is_str(state_of("b"), "ready", "it is ready");
        tap_is_str(row_of("b")->started_from, "boot", "it has booted, as there was no memory");
        tap_ok(can_read("b", "first") && !can_read("b", "second"),
               "it has the disk as it was at that point");
        tap_is_str(sandbox_head_name(get_sandbox("b")), "one", "it stands on that point");
        row = snapshot_find(get_sandbox("b"), "one")->row;
        tap_ok(g_str_equal(row->sandbox_id.text, id_of("b")) &&
                       !g_str_equal(row->id.text,
                                    snapshot_find(get_sandbox("web"), "one")->row->id.text),
               "which is its own");
        tap_ok(is_same_file(get_sandbox("b"), get_sandbox("web"), "1-vda.qcow2"),
               "in the same file");
        tap_ok(manager_find_snapshot(fixture.manager, &fixture.caller, row->id.text) != NULL,
               "and is known");
        tap_is_int(identity_of("b")->renewals, 1, "it was made another guest");
        tap_is_str(identity_of("b")->hostname, "b", "of its own name");
        tap_ok(row_of("b")->vcpus == row_of("web")->vcpus &&
                       row_of("b")->memory_bytes == row_of("web")->memory_bytes,
               "of the same size");
        tap_is_int(count_audit("sandbox.create", "done", NULL), 2, "the trail tells of it");
        write_text("b", "its own");
        tap_ok(can_read("b", "its own") && !can_read("web", "its own"),
               "what it writes is its own");
        tap_ok(is_world_consistent(), "all is well");
        destroy("b");
        tap_ok(can_read("web", "first") && is_world_consistent(),
               "its end takes nothing from the one that it is of");
}

static void test_memory(void)
{
        is_done(branch_sandbox("web", "two", "b"), "a branch is made of a snapshot with memory");
        tap_is_str(row_of("b")->started_from, "memory", "it goes on from there");
        is_memory("b", SESSION, "with what was in it");
        tap_ok(can_read("b", "second") && !can_read("b", "third"), "and the disk of then");
        tap_is_int(identity_of("b")->renewals, 1, "it was made another guest");
        tap_ok(identity_of("b")->clocks >= 1, "with the right time");
        tap_ok(snapshot_find(get_sandbox("b"), "one") && snapshot_find(get_sandbox("b"), "two"),
               "it has the points below, too");
        tap_is_str(snapshot_parent_name(snapshot_find(get_sandbox("b"), "two")), "one",
                   "in the same order");
        tap_ok(is_same_file(get_sandbox("b"), get_sandbox("web"), "2.ram"), "in the same files");
        is_memory("web", "what came later", "the other one goes on as it was");
        tap_ok(is_world_consistent(), "all is well");
        destroy("b");
        is_done(branch_as("web", "two", &(SandboxSpec){.name = "b", .boots = true}),
                "whoever asks for a boot");
        tap_is_str(row_of("b")->started_from, "boot", "gets one");
        is_memory("b", "", "without the memory");
        tap_ok(can_read("b", "second") && identity_of("b")->renewals == 1, "of the same disk");
        destroy("b");
}

static void test_late_clock(void)
{
        fake_host_delay_clocks(1);
        is_done(branch_sandbox("web", "two", "b"), "one takes long to set its clock");
        tap_ok(identity_of("b")->clocks >= 2, "it is set again");
        tap_is_int(identity_of("b")->renewals, 1, "and who it is stays as it is");
        destroy("b");
        fake_host_delay_clocks(100);
        is_done(branch_sandbox("web", "two", "b"), "one that always does so is ready, too");
        tap_is_int(identity_of("b")->clocks, 3, "after some tries");
        fake_host_delay_clocks(0);
        tap_ok(is_world_consistent(), "all is well");
        destroy("b");
}

static bool is_renewing(G_GNUC_UNUSED void *userdata)
{
        const Sandbox *b = get_sandbox("b");

        return b && b->renewal_task;
}

/* The agent does not need libvirtd, and goes on without. */
static void test_libvirtd_away(void)
{
        Outcome o = {0};

        fake_host_delay_clocks(1); /* so that it is given the time twice, the second time without */
        need(sandbox_branch(get_sandbox("web"), &fixture.caller, "two", &(SandboxSpec){.name = "b"},
                            on_branch, &o, fresh_fault()),
             "branch");
        if (!until(is_renewing, NULL))
                tap_bail_out("no identity is given");
        fake_host_set_connected(false);
        settle();
        tap_is_int(identity_of("b")->renewals, 1, "one gets its identity while libvirtd goes away");
        tap_is_str(state_of("b"), "unknown", "how it is nobody knows then");
        fake_host_set_connected(true);
        (void) finish(0, &o);
        is_done(wait_sandbox(get_sandbox("b"), "ready"), "with libvirtd back it is ready");
        tap_is_int(identity_of("b")->renewals, 1, "and who it was");
        tap_ok(is_world_consistent(), "all is well");
        destroy("b");
}

static void test_many(void)
{
        enum { N = 5 };
        Outcome outcomes[N] = {0};
        bool are_done = true;

        for (unsigned i = 0; i < N; i++) {
                g_autofree char *name = g_strdup_printf("b%u", i);

                need(sandbox_branch(get_sandbox("web"), &fixture.caller, "two",
                                    &(SandboxSpec){.name = name}, on_branch, outcomes + i,
                                    fresh_fault()),
                     "branch");
        }
        for (unsigned i = 0; i < N; i++) {
                g_autofree char *name = g_strdup_printf("b%u", i), *text = NULL;

                are_done &= finish(0, outcomes + i) >= 0 &&
                            wait_sandbox(get_sandbox(name), "ready") >= 0 &&
                            g_str_equal(state_of(name), "ready");
                text = fake_host_memory(id_of(name));
                are_done &= g_str_equal(text, SESSION);
        }
        tap_ok(are_done, "many branches are made at once, each with the memory");
        tap_ok(is_world_consistent(), "each is another guest");
        for (unsigned i = 0; i < N; i++) {
                g_autofree char *name = g_strdup_printf("b%u", i);

                fake_host_set_memory(id_of(name), name);
        }
        is_memory("b0", "b0", "and goes its own way");
        is_memory("b4", "b4", "each");
        for (unsigned i = 0; i < N; i++) {
                g_autofree char *name = g_strdup_printf("b%u", i);

                destroy(name);
        }
}

/* -- of now ----------------------------------------------------------------------------------- */

static void test_now(void)
{
        g_autofree char *name = NULL;
        const Snapshot *point;

        is_done(branch_sandbox("web", "now", "b"), "a branch is made of what is now");
        tap_is_str(row_of("b")->started_from, "memory", "it goes on from there");
        is_memory("b", "what came later", "with the memory");
        tap_ok(can_read("b", "third"), "and the disk");
        tap_is_str(state_of("web"), "ready", "the other one runs on");
        is_memory("web", "what came later", "as it was");
        name = g_strdup_printf("branch-%s", id_of("b"));
        point = snapshot_find(get_sandbox("web"), name);
        tap_ok(point && point->row->memory_abi, "the point that was taken for it is a snapshot");
        tap_ok(is_world_consistent(), "all is well");
        is_done(restore_snapshot("b", name), "it can be restored to that");
        tap_is_int(identity_of("b")->renewals, 1, "and is made another guest again");
        tap_ok(is_world_consistent(), "of its own");
        need(stop_sandbox("web", true), "stop");
        is_done(branch_sandbox("web", "now", "c"), "one is made of a stopped one");
        tap_is_str(row_of("c")->started_from, "boot", "it boots");
        tap_ok(can_read("c", "third"), "from its disk");
        tap_is_str(state_of("web"), "stopped", "the other one stays stopped");
        tap_ok(is_world_consistent(), "all is well");
        need(start_sandbox("web"), "start");
        is_done(branch_as("web", "now", &(SandboxSpec){.name = "d", .boots = true}),
                "one is made of a running one without its memory");
        tap_is_str(row_of("d")->started_from, "boot", "it boots");
        tap_ok(is_world_consistent() && is_trail_paired(), "all is well");
        destroy("b");
        destroy("c");
        destroy("d");
}

static void test_branch_of_a_branch(void)
{
        is_done(branch_sandbox("web", "two", "b"), "a branch is made");
        fake_host_set_memory(id_of("b"), "the branch's");
        is_done(branch_sandbox("b", "now", "c"), "and one of it");
        is_memory("c", "the branch's", "which has its memory");
        is_done(branch_sandbox("c", "two", "d"), "and one of a point that it inherited");
        is_memory("d", SESSION, "which has that one's");
        tap_ok(is_world_consistent(), "each is another guest");
        destroy("b");
        tap_ok(is_world_consistent(), "the one in the middle may go");
        restart_manager();
        tap_ok(is_world_consistent(), "all is well after a restart");
        destroy("c");
        destroy("d");
}

/* -- without the one that it is of ------------------------------------------------------------ */

static void test_source_destroyed(void)
{
        is_done(branch_sandbox("web", "two", "b"), "a branch is made");
        is_done(destroy_sandbox("web"), "the one that it is of is destroyed");
        tap_is_str(state_of("b"), "ready", "the branch runs on");
        tap_ok(can_read("b", "first") && can_read("b", "second"), "with all that is on its disk");
        tap_ok(is_world_consistent(), "and its files");
        is_done(restore_snapshot("b", "two"), "it can be restored to the point that it is of");
        is_memory("b", SESSION, "with the memory");
        is_done(restore_snapshot("b", "one"), "and to one below");
        is_done(delete_snapshot("b", "two"), "and forget what nothing stands on");
        restart_manager();
        tap_ok(g_str_equal(state_of("b"), "ready") && is_world_consistent(),
               "all is well after a restart");
        destroy("b");
        prepare_source();
}

static void test_inherited_point(void)
{
        g_autofree char *old = NULL;
        unsigned renewals;

        is_done(branch_sandbox("web", "two", "b"), "a branch is made");
        old = g_strdup(identity_of("b")->machine_id);
        is_done(restore_snapshot("b", "two"), "it is restored to the point that it is of");
        tap_ok(identity_of("b")->renewals == 1 && !g_str_equal(identity_of("b")->machine_id, old),
               "where it was another guest: it is made its own again");
        tap_is_str(identity_of("b")->hostname, "b", "by its name");
        tap_ok(is_world_consistent(), "all is well");
        renewals = identity_of("b")->renewals;
        is_done(restore_snapshot("b", "one"), "it is restored to one below, without memory");
        tap_is_int(identity_of("b")->renewals, renewals + 1, "which is another guest's, too");
        need(take_memory_snapshot("b", "own"), "snapshot");
        renewals = identity_of("b")->renewals;
        is_done(restore_snapshot("b", "own"), "it is restored to a point of its own");
        tap_is_int(identity_of("b")->renewals, renewals, "where it was itself");
        tap_ok(is_world_consistent(), "all is well");
        need(restore_snapshot("b", "template"), "restore");
        tap_is_int(identity_of("b")->renewals, renewals, "and so it is on its template");
        destroy("b");
}

/* -- what is refused -------------------------------------------------------------------------- */

static void test_refused(void)
{
        g_autofree char *before = describe_world();

        is_refused(branch_sandbox("web", "nowhere", "b"), FAULT_NOT_FOUND,
                   "there is no branch of a point that there is not");
        is_refused(branch_sandbox("web", "two", "web"), FAULT_EXISTS, "its name may be taken");
        is_refused(branch_sandbox("web", "two", "-x"), FAULT_INVALID_ARGUMENT, "or be none");
        fake_host_set_disk_free(0);
        is_refused(branch_sandbox("web", "two", "b"), FAULT_NO_SPACE, "the disk may be full");
        fake_host_set_disk_free(UINT64_C(100) << 30);
        fixture.manager->config->sandboxes_per_owner_max = 1;
        is_refused(branch_sandbox("web", "two", "b"), FAULT_LIMITS_EXCEEDED,
                   "and branches count like others");
        fixture.manager->config->sandboxes_per_owner_max = 100;
        fake_host_set_connected(false);
        settle();
        is_refused(branch_sandbox("web", "one", "b"), FAULT_HYPERVISOR_UNAVAILABLE,
                   "libvirtd may be away");
        fake_host_set_connected(true);
        settle();
        (void) is_same_world(before, "nothing has changed");
}

static void test_upgrade(void)
{
        fake_host_set_abi("QEMU 8.0, libvirt 9.0.0, qemu");
        restart_manager();
        is_refused(branch_sandbox("web", "two", "b"), FAULT_WRONG_STATE,
                   "a memory of another QEMU is not gone on from");
        is_refused(restore_snapshot("web", "two"), FAULT_WRONG_STATE, "nor restored");
        tap_is_str(state_of("web"), "ready", "the sandbox runs on");
        is_done(branch_as("web", "two", &(SandboxSpec){.name = "b", .boots = true}),
                "but one can boot from its disk");
        destroy("b");
        fake_host_set_abi(NULL);
        restart_manager();
}

/* Not found to be something else than what was asked for. */
static void test_damaged(void)
{
        Outcome o = {0};

        damage_file(get_sandbox("web"), "2.ram");
        need(sandbox_branch(get_sandbox("web"), &fixture.caller, "two", &(SandboxSpec){.name = "b"},
                            on_branch, &o, fresh_fault()),
             "branch");
        (void) finish(0, &o);
        settle();
        tap_ok(!get_sandbox("b"), "of a memory that cannot be loaded there is no branch");
        tap_ok(is_world_consistent() && is_trail_paired(), "and nothing of it is left");
}

int main(void)
{
        start_fixture(settings);
        prepare_source();
        test_disks();
        test_memory();
        test_late_clock();
        test_libvirtd_away();
        test_many();
        test_now();
        test_branch_of_a_branch();
        destroy("web");
        prepare_source();
        test_source_destroyed();
        test_inherited_point();
        test_refused();
        test_upgrade();
        test_damaged();
        stop_fixture();
        return tap_done();
}
