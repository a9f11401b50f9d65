/* SPDX-License-Identifier: MIT */
#pragma once

/* What can be done with memory, as a table: warm templates, pools, branches, snapshots with memory,
 * pauses, and chains that are made short. */

#include "tests/core/memory.h"
#include "tests/core/operations.h"

/* -- before ----------------------------------------------------------------------------------- */

static inline void prepare_memory_snapshot(void)
{
        prepare_ready();
        need(take_memory_snapshot("web", "s"), "snapshot");
}

static inline void prepare_stopped_memory_snapshot(void)
{
        prepare_memory_snapshot();
        need(stop_sandbox("web", true), "stop");
}

static inline void prepare_two_snapshots(void)
{
        prepare_memory_snapshot();
        need(take_memory_snapshot("web", "r"), "snapshot");
        need(restore_snapshot("web", "template"), "restore");
        write_data();
        fake_host_set_memory(id_of("web"), SESSION);
}

static inline void prepare_paused(void)
{
        prepare_ready();
        need(pause_sandbox("web", false), "pause");
}

static inline void prepare_on_disk(void)
{
        prepare_ready();
        need(pause_sandbox("web", true), "pause");
}

static inline void prepare_snapshot_and_pause(void)
{
        prepare_memory_snapshot();
        need(pause_sandbox("web", false), "pause");
}

static inline void prepare_snapshot_and_disk(void)
{
        prepare_memory_snapshot();
        need(pause_sandbox("web", true), "pause");
}

static inline void prepare_pool(void)
{
        prepare_warm();
        need(set_pool("base", 1), "pool");
        if (!until_pool(1))
                tap_bail_out("the pool is not filled");
}

static inline void prepare_other_pool(void)
{
        need(import_image("other", IMAGE), "import");
        need(warm_template("other", 0, 0), "warm");
        need(set_pool("other", 1), "pool");
        while (warmth_of("other").pool_ready < 1)
                need(sd_event_run(fixture.event, 100 * USEC_PER_MSEC), "sd_event_run");
        settle();
}

/* As deep as can be. */
static inline void prepare_long_chain(void)
{
        prepare_stopped();
        need(take_snapshot("web", "a"), "snapshot");
        need(take_snapshot("web", "b"), "snapshot");
        need(take_snapshot("web", "c"), "snapshot");
}

static inline void prepare_long_chain_running(void)
{
        prepare_long_chain();
        need(start_sandbox("web"), "start");
        fake_host_set_memory(id_of("web"), SESSION);
}

/* One more snapshot makes it deep. */
static inline void prepare_chain(void)
{
        prepare_ready();
        need(take_snapshot("web", "a"), "snapshot");
}

/* -- what is done ----------------------------------------------------------------------------- */

static inline int attempt_memory_snapshot(void)
{
        return take_memory_snapshot("web", "t");
}

static inline int attempt_cascade(void)
{
        return delete_snapshots("web", "s", true);
}

static inline int attempt_pause(void)
{
        return pause_sandbox("web", false);
}

static inline int attempt_pause_to_disk(void)
{
        return pause_sandbox("web", true);
}

static inline int attempt_resume(void)
{
        int r = resume_sandbox("web");

        return r < 0 ? r : unless(is_ready_now());
}

static inline int attempt_warm(void)
{
        return warm_template("base", 0, 0);
}

static inline int attempt_cool(void)
{
        return cool_template("base");
}

/* It is filled, or that has failed and is tried again later. */
static inline bool is_pool_at_rest(G_GNUC_UNUSED void *userdata)
{
        const Template *t = get_template("base");

        return is_pool_ready(GUINT_TO_POINTER(1)) || t->pool_retry_usec > now_monotonic_usec() ||
               !hypervisor_is_connected(fixture.manager->hypervisor) ||
               (!t->builder_id.text[0] && !warmth_of("base").is_warm);
}

static inline int attempt_pool(void)
{
        int r = set_pool("base", 1);

        if (r < 0)
                return r;
        (void) until(is_pool_at_rest, NULL);
        settle();
        return unless(is_pool_ready(GUINT_TO_POINTER(1)));
}

static inline int attempt_branch_of(const char *point)
{
        int r = branch_sandbox("web", point, "new");

        return r < 0 ? r : unless(g_str_equal(state_of("new"), "ready"));
}

static inline int attempt_branch(void)
{
        return attempt_branch_of("s");
}

static inline int attempt_branch_now(void)
{
        return attempt_branch_of("now");
}

static inline int attempt_promote(void)
{
        Template *t;
        Outcome o = {0};
        Fault *f = fresh_fault();
        int r = snapshot_promote(snapshot_find(get_sandbox("web"), "s"), &fixture.caller, "other",
                                 &t, f);

        if (r == 0)
                r = template_wait(t, USEC_INFINITY, on_outcome, &o, f);
        return finish(r, &o);
}

/* -- that it was done ------------------------------------------------------------------------- */

static inline bool is_taken_with_memory(void)
{
        return is_taken() && snapshot_find(get_sandbox("web"), "t")->row->memory_abi;
}

static inline bool is_restored_with_memory(void)
{
        return is_restored() && has_memory("web");
}

static inline bool is_paused_now(void)
{
        return g_str_equal(state_of("web"), "paused");
}

static inline bool is_paused_on_disk(void)
{
        return is_paused_now() && fake_host_domain(id_of("web")) == DOMAIN_SHUT_OFF;
}

static inline bool is_resumed(void)
{
        return is_ready_now() && has_memory("web");
}

static inline bool is_warm_now(void)
{
        return get_template("base")->row->is_warm && warmth_of("base").is_warm;
}

static inline bool is_cold_now(void)
{
        return !get_template("base")->row->is_warm && count_hidden(PURPOSE_WARM) == 0 &&
               count_hidden(PURPOSE_POOL) == 0;
}

static inline bool is_pool_filled(void)
{
        return get_template("base")->row->pool == 1 && is_pool_ready(GUINT_TO_POINTER(1));
}

static const Operation memory_operations[] = {
        {"a snapshot with memory", "snapshot.create", prepare_ready, attempt_memory_snapshot,
         is_taken_with_memory, true, true},
        {"restoring a memory", "snapshot.restore", prepare_memory_snapshot, attempt_restore,
         is_restored_with_memory, true, false},
        {"restoring the memory of a stopped one", "snapshot.restore",
         prepare_stopped_memory_snapshot, attempt_restore, is_restored_with_memory, true, false},
        {"restoring a paused one", "snapshot.restore", prepare_snapshot_and_pause, attempt_restore,
         is_restored_with_memory, true, false},
        {"restoring one that is on disk", "snapshot.restore", prepare_snapshot_and_disk,
         attempt_restore, is_restored_with_memory, true, false},
        {"deleting several snapshots", "snapshot.delete", prepare_two_snapshots, attempt_cascade,
         is_deleted, true, true},
        {"a pause", "sandbox.pause", prepare_ready, attempt_pause, is_paused_now, true, true},
        {"a pause to disk", "sandbox.pause", prepare_ready, attempt_pause_to_disk,
         is_paused_on_disk, true, true},
        {"resuming", "sandbox.resume", prepare_paused, attempt_resume, is_resumed, true, true},
        {"resuming from disk", "sandbox.resume", prepare_on_disk, attempt_resume, is_resumed, true,
         true},
        {"stopping a paused one", "sandbox.stop", prepare_paused, attempt_stop, is_stopped_now,
         true, false},
        {"stopping one that is on disk", "sandbox.stop", prepare_on_disk, attempt_stop,
         is_stopped_now, true, false},
        {"destroying one that is on disk", "sandbox.destroy", prepare_on_disk, attempt_destroy,
         is_destroyed, false, false},
        {"making a template warm", "template.warm", prepare_template, attempt_warm, is_warm_now,
         false, false},
        {"making a template cold", "template.cool", prepare_pool, attempt_cool, is_cold_now, false,
         false},
        {"filling a pool", "template.pool", prepare_warm, attempt_pool, is_pool_filled, false,
         false},
        {"removing a template with a pool", "template.remove", prepare_other_pool, attempt_remove,
         is_removed, false, false},
        {"a copy of a warm template", "sandbox.create", prepare_warm, attempt_create, is_created,
         false, false},
        {"one of a pool", "sandbox.create", prepare_pool, attempt_create, is_created, false, false},
        {"a branch of disks", "sandbox.create", prepare_snapshot, attempt_branch, is_created, true,
         true},
        {"a branch of a memory", "sandbox.create", prepare_memory_snapshot, attempt_branch,
         is_created, true, true},
        {"a branch of what is now", "sandbox.create", prepare_ready, attempt_branch_now, is_created,
         true, true},
        {"a template of a snapshot", "template.import", prepare_snapshot, attempt_promote,
         is_imported, true, true},
        {"a snapshot that makes a chain long", "snapshot.create", prepare_chain, attempt_snapshot,
         is_taken, true, true},
        {"a snapshot of a long chain", "snapshot.create", prepare_long_chain_running,
         attempt_snapshot, is_taken, true, true},
        {"a snapshot of a long chain that is stopped", "snapshot.create", prepare_long_chain,
         attempt_snapshot, is_taken, true, false},
};
