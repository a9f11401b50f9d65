/* SPDX-License-Identifier: MIT */

/* Chains that have grown long are made short again. */

#include "tests/core/memory.h"

static const char settings[] = "stop_timeout = 0s\nsnapshots_max = 100\nchain_depth_max = 6\n";

static void snapshot(const char *name)
{
        g_autofree char *text = g_strdup_printf("<%s>", name);

        write_text("web", text);
        need(take_snapshot("web", name), "snapshot");
}

static bool has_short_chain(G_GNUC_UNUSED void *userdata)
{
        const Sandbox *s = get_sandbox("web");

        return s->row->is_flat && !s->is_flattening;
}

/* "web" on "a", "b" and "c": one more than half of what is allowed. */
static void prepare_deep(void)
{
        (void) ready_sandbox("web");
        snapshot("a");
        snapshot("b");
        snapshot("c");
}

static bool is_flattening(G_GNUC_UNUSED void *userdata)
{
        return fake_host_jobs() == 1;
}

/* The same with the flattening under way. */
static void prepare_flattening(void)
{
        fake_host_hold_jobs(true);
        prepare_deep();
        if (!until(is_flattening, NULL))
                tap_bail_out("nothing is flattened");
}

static void destroy(void)
{
        fake_host_hold_jobs(false);
        need(destroy_sandbox("web"), "destroy");
}

/* All that was written before each of the snapshots, and nothing of later, is in it. */
static bool are_contents_right(const char *const *names)
{
        bool are_right = true;

        for (size_t i = 0; names[i]; i++) {
                need(restore_snapshot("web", names[i]), "restore");
                for (size_t j = 0; names[j]; j++) {
                        g_autofree char *text = g_strdup_printf("<%s>", names[j]);

                        if (can_read("web", text) == (j <= i))
                                continue;
                        tap_note("'%s' is%s in '%s'", text, j <= i ? " not" : "", names[i]);
                        are_right = false;
                }
        }
        return are_right;
}

/* -- in the background ------------------------------------------------------------------------ */

static void test_background(void)
{
        (void) ready_sandbox("web");
        snapshot("a");
        snapshot("b");
        tap_ok(!row_of("web")->is_flat && !get_sandbox("web")->is_flattening,
               "a short chain stays as it is");
        snapshot("c");
        tap_ok(until(has_short_chain, NULL),
               "one of more than half of what is allowed is flattened");
        tap_is_int(sandbox_depth(get_sandbox("web")), 1, "it is as short as can be");
        tap_is_str(sandbox_head_name(get_sandbox("web")), "c", "and stands on the same snapshot");
        tap_ok(can_read("web", "<a>") && can_read("web", "<b>") && can_read("web", "<c>"),
               "with the same content");
        tap_is_int(snapshot_depth(snapshot_find(get_sandbox("web"), "c")), 3,
                   "the snapshots below are as they were");
        tap_ok(is_world_consistent(), "all is well");
        restart_manager();
        tap_ok(row_of("web")->is_flat && is_world_consistent(), "a restart knows of it");
        snapshot("d");
        tap_ok(!row_of("web")->is_flat && sandbox_depth(get_sandbox("web")) == 2 &&
                       snapshot_find(get_sandbox("web"), "d")->row->is_flat,
               "a snapshot of it is flat, and what is above is not");
        restart_manager();
        tap_ok(sandbox_depth(get_sandbox("web")) == 2 && is_world_consistent(),
               "after a restart, too");
        is_done(restore_snapshot("web", "b"), "a point below is restored");
        tap_ok(!row_of("web")->is_flat && sandbox_depth(get_sandbox("web")) == 3,
               "with the chain that it has");
        is_done(restore_snapshot("web", "d"), "and the one above");
        tap_is_int(sandbox_depth(get_sandbox("web")), 2, "with a short one");
        tap_ok(can_read("web", "<a>") && can_read("web", "<d>"), "and all that was written");
        tap_ok(is_world_consistent(), "all is well");
        destroy();
}

static void test_not_in_the_way(void)
{
        Command *c;

        prepare_flattening();
        tap_ok(!get_sandbox("web")->operation, "flattening is no operation");
        tap_is_str(state_of("web"), "ready", "the sandbox is ready meanwhile");
        is_done(start_command("web", ARGV("true"), &c), "and runs programs");
        is_done(end_command(c), "to their end");
        write_text("web", "meanwhile");
        fake_host_hold_jobs(false);
        tap_ok(until(has_short_chain, NULL), "then it is flat");
        tap_ok(can_read("web", "meanwhile"), "with what was written meanwhile");
        settle();
        tap_ok(is_world_consistent(), "all is well");
        destroy();
}

/* -- whatever happens meanwhile --------------------------------------------------------------- */

static void end_flattening(const char *what)
{
        fake_host_hold_jobs(false);
        settle();
        tap_ok(is_world_consistent(), "%s ends it without harm", what);
        tap_ok(can_read("web", "<a>") && can_read("web", "<c>"), "nothing is lost");
}

static void test_cut_meanwhile(void)
{
        prepare_flattening();
        snapshot("d");
        tap_ok(snapshot_find(get_sandbox("web"), "d") && !row_of("web")->is_flat,
               "a snapshot does not wait for it");
        end_flattening("a snapshot");
        tap_ok(until(has_short_chain, NULL), "and it is begun again");
        settle();
        tap_ok(is_world_consistent(), "all is well");
        destroy();
}

static void test_diff_meanwhile(void)
{
        prepare_flattening();
        is_done(compare_points("web", "a", "now", NULL), "a diff does not wait for it");
        end_flattening("a diff");
        tap_ok(until(has_short_chain, NULL), "and it is begun again");
        settle();
        is_done(compare_points("web", "a", "now", NULL), "a flat one can be compared");
        tap_ok(row_of("web")->is_flat && is_world_consistent(), "and is flat afterwards");
        destroy();
}

static void test_others_meanwhile(void)
{
        prepare_flattening();
        is_done(restore_snapshot("web", "c"), "a restore does not wait for it");
        end_flattening("a restore");
        destroy();

        prepare_flattening();
        is_done(stop_sandbox("web", true), "nor does a stop");
        end_flattening("a stop");
        is_done(start_sandbox("web"), "it can be started again");
        destroy();

        prepare_flattening();
        is_done(pause_sandbox("web", true), "nor does a pause to disk");
        end_flattening("a pause");
        is_done(resume_sandbox("web"), "it can be resumed");
        tap_ok(is_world_consistent(), "all is well");
        destroy();

        prepare_flattening();
        fake_host_hold_jobs(true);
        need(take_snapshot("web", "e"), "snapshot");
        is_done(destroy_sandbox("web"), "nor does the end of the sandbox");
        fake_host_hold_jobs(false);
        settle();
        tap_ok(is_world_consistent(), "of which nothing is left");
}

static void test_memory_meanwhile(void)
{
        Outcome o = {0};

        prepare_flattening();
        fake_host_set_memory(id_of("web"), "x");
        need(snapshot_create(get_sandbox("web"), &fixture.caller,
                             &(SnapshotSpec){.name = "m", .memory = true}, on_snapshot, &o,
                             fresh_fault()),
             "snapshot");
        fake_host_hold_jobs(false);
        is_done(finish(0, &o), "a snapshot with memory is taken");
        end_flattening("it");
        is_done(restore_snapshot("web", "m"), "it can be restored");
        is_memory("web", "x", "with its memory");
        tap_ok(is_world_consistent(), "all is well");
        destroy();
}

static void test_fails(void)
{
        for (unsigned n = 1; n <= 2; n++) {
                prepare_flattening();
                fake_host_set_connected(false);
                settle();
                fake_host_hold_jobs(false);
                settle();
                fake_host_set_connected(true);
                settle();
                tap_ok(is_world_consistent(), "libvirtd goes away meanwhile: nothing is lost");
                tap_ok(can_read("web", "<a>") && can_read("web", "<c>"), "at all");
                destroy();
        }
}

/* -- at the limit ----------------------------------------------------------------------------- */

/* "web", stopped, as deep as can be: nobody has made it shorter. */
static void prepare_full(void)
{
        (void) ready_sandbox("web");
        need(stop_sandbox("web", true), "stop");
        snapshot("a");
        snapshot("b");
        snapshot("c");
        snapshot("d");
        snapshot("e");
        if (sandbox_depth(get_sandbox("web")) != 6)
                tap_bail_out("the chain is not long");
}

static void test_limit(bool is_on)
{
        const Sandbox *s;

        prepare_full();
        if (is_on)
                need(start_sandbox("web"), "start");
        write_text("web", "before");
        is_done(take_snapshot("web", "f"), "a snapshot at the limit is taken");
        s = get_sandbox("web");
        tap_ok(snapshot_find(s, "f")->row->is_flat && sandbox_depth(s) <= 6,
               "of a chain that was made short for it");
        tap_ok(can_read("web", "<a>") && can_read("web", "before"), "with the same content");
        tap_ok(is_world_consistent() && is_trail_paired(), "all is well");
        restart_manager();
        tap_ok(is_world_consistent(), "also after a restart");
        is_done(restore_snapshot("web", "e"), "what is below is as it was");
        tap_ok(can_read("web", "<a>") && !can_read("web", "before"), "with its content");
        tap_ok(is_world_consistent(), "all is well");
        destroy();
}

static void test_limit_fails(bool is_on)
{
        g_autofree char *before = NULL;
        unsigned n;

        prepare_full();
        if (is_on)
                need(start_sandbox("web"), "start");
        settle();
        before = describe_world();
        for (n = 1; n < 20; n++) {
                unsigned calls;
                int r;

                fake_host_fail_nth(n, FAULT_HYPERVISOR_FAILED);
                r = take_snapshot("web", "f");
                calls = fake_host_calls();
                fake_host_fail_nth(0, FAULT_NONE);
                settle();
                if (r >= 0 || calls < n)
                        break;
                if (!row_of("web")->is_flat)
                        (void) is_same_world(before, "it fails: it is as if it had never begun");
                else
                        tap_ok(is_world_consistent(), "it fails: only the chain is shorter");
                tap_ok(!snapshot_find(get_sandbox("web"), "f") && is_trail_paired(),
                       "call %u of a snapshot at the limit fails", n);
        }
        tap_ok(snapshot_find(get_sandbox("web"), "f") && is_world_consistent(),
               "in the end it is taken");
        destroy();
}

static void test_diff_at_limit(void)
{
        prepare_full();
        is_done(compare_points("web", "a", "now", NULL), "a diff at the limit is made");
        tap_ok(is_world_consistent(), "and leaves nothing");
        need(start_sandbox("web"), "start");
        is_done(compare_points("web", "a", "now", NULL), "of a running one, too");
        settle();
        tap_ok(is_world_consistent(), "all is well");
        destroy();
}

static void test_branch(void)
{
        prepare_full();
        is_done(branch_sandbox("web", "e", "b"), "a branch is made of a long chain");
        settle();
        tap_ok(is_world_consistent(), "which is no longer than allowed");
        is_done(branch_sandbox("web", "now", "c"), "and one of what is now");
        settle();
        tap_ok(can_read("b", "<e>") && can_read("c", "<e>") && is_world_consistent(),
               "all is well");
        need(destroy_sandbox("b"), "destroy");
        need(destroy_sandbox("c"), "destroy");
        destroy();
}

/* -- many ------------------------------------------------------------------------------------- */

static void test_many(void)
{
        enum { N = 40 };
        g_auto(GStrv) names = g_new0(char *, N + 1);
        bool are_short = true;

        (void) ready_sandbox("web");
        for (unsigned i = 0; i < N; i++) {
                g_autofree char *text = NULL;

                names[i] = g_strdup_printf("s%u", i);
                text = g_strdup_printf("<%s>", names[i]);
                write_text("web", text);
                need(i % 8 == 5 ? take_memory_snapshot("web", names[i])
                                : take_snapshot("web", names[i]),
                     "snapshot");
                if (i % 5 == 3)
                        need(compare_points("web", names[i], "now", NULL), "diff");
        }
        settle();
        for (unsigned i = 0; i < N; i++)
                are_short &= snapshot_depth(snapshot_find(get_sandbox("web"), names[i])) <= 6;
        tap_ok(are_short && sandbox_depth(get_sandbox("web")) <= 6,
               "of %d snapshots none has a longer chain than allowed", N);
        tap_ok(is_world_consistent(), "all is well");
        tap_ok(are_contents_right((const char *const *) names), "each has its own content");
        tap_ok(is_world_consistent(), "all is well");
        need(restore_snapshot("web", "template"), "restore");
        is_done(delete_snapshots("web", "s0", true), "all go at once");
        tap_ok(is_world_consistent(), "all is well");
        destroy();
}

int main(void)
{
        start_fixture(settings);
        test_background();
        test_not_in_the_way();
        test_cut_meanwhile();
        test_diff_meanwhile();
        test_others_meanwhile();
        test_memory_meanwhile();
        test_fails();
        test_limit(false);
        test_limit(true);
        test_limit_fails(false);
        test_limit_fails(true);
        test_diff_at_limit();
        test_branch();
        test_many();
        stop_fixture();
        return tap_done();
}
