/* SPDX-License-Identifier: MIT */
#pragma once

/* What can be done with the network of a sandbox, and with one that has a network, as a table. */

#include "tests/core/memory.h"
#include "tests/core/operations.h"

/* -- before ----------------------------------------------------------------------------------- */

static const SandboxSpec networked_spec = {
        .name = "web",
        .template = "base",
        .network = "isolated",
        .ports = (const char *const[]){"127.0.0.1:8080:80", NULL},
};

static inline void prepare_networked(void)
{
        prepare_template();
        need(create_from(&networked_spec), "create");
        write_data();
        fake_host_set_memory(id_of("web"), SESSION);
}

static inline void prepare_networked_stopped(void)
{
        prepare_networked();
        need(stop_sandbox("web", true), "stop");
}

static inline void prepare_networked_snapshot(void)
{
        prepare_networked();
        need(take_snapshot("web", "s"), "snapshot");
}

static inline void prepare_networked_memory(void)
{
        prepare_networked();
        need(take_memory_snapshot("web", "s"), "snapshot");
}

static inline void prepare_networked_pause(void)
{
        prepare_networked();
        need(pause_sandbox("web", false), "pause");
}

static inline void prepare_networked_on_disk(void)
{
        prepare_networked();
        need(pause_sandbox("web", true), "pause");
}

static inline void prepare_pool_of_one(void)
{
        prepare_warm();
        need(set_pool("base", 1), "pool");
        if (!until_pool(1))
                tap_bail_out("the pool is not filled");
}

/* -- what is done ----------------------------------------------------------------------------- */

/* While libvirtd is away it is neither ready nor failed. */
static inline bool is_made_or_lost(G_GNUC_UNUSED void *userdata)
{
        return !hypervisor_is_connected(fixture.manager->hypervisor) ||
               (!g_str_equal(state_of("new"), "creating") &&
                !g_str_equal(state_of("new"), "starting"));
}

static inline int attempt_create_networked(void)
{
        SandboxSpec spec = networked_spec;
        Sandbox *s;
        int r;

        spec.name = "new";
        r = sandbox_create(fixture.manager, &fixture.caller, &spec, &s, fresh_fault());
        if (r == 0 && !until(is_made_or_lost, NULL))
                tap_bail_out("a sandbox is never made");
        settle();
        return r < 0 ? r : unless(g_str_equal(state_of("new"), "ready"));
}

static inline int attempt_give(void)
{
        return set_network("web", "names", ARGV("8080:80"));
}

static inline int attempt_change(void)
{
        return set_network("web", "names", NULL);
}

static inline int attempt_take(void)
{
        return set_network("web", "none", NULL);
}

static inline int attempt_networked_snapshot(void)
{
        return take_memory_snapshot("web", "t");
}

static inline int attempt_networked_pause(void)
{
        return pause_sandbox("web", true);
}

static inline int attempt_networked_resume(void)
{
        int r = resume_sandbox("web");

        return r < 0 ? r : unless(is_ready_now());
}

/* -- that it was done ------------------------------------------------------------------------- */

static inline bool has_profile(const char *sandbox, const char *profile)
{
        return get_sandbox(sandbox) && g_str_equal(row_of(sandbox)->network, profile) &&
               (row_of(sandbox)->address_number > 0) == !g_str_equal(profile, "none");
}

static inline bool is_created_networked(void)
{
        return has_profile("new", "isolated");
}

static inline bool is_given(void)
{
        return has_profile("web", "names");
}

static inline bool is_taken_away(void)
{
        return has_profile("web", "none");
}

static inline bool is_networked_ready(void)
{
        return is_ready_now() && has_profile("web", "isolated");
}

static inline bool is_networked_snapshot(void)
{
        return is_taken() && snapshot_find(get_sandbox("web"), "t")->row->memory_abi;
}

static inline bool is_networked_on_disk(void)
{
        return g_str_equal(state_of("web"), "paused") &&
               fake_host_domain(id_of("web")) == DOMAIN_SHUT_OFF;
}

static const Operation network_operations[] = {
        {"creating one with a network", "sandbox.create", prepare_template,
         attempt_create_networked, is_created_networked, false, false},
        {"a copy with a network", "sandbox.create", prepare_warm, attempt_create_networked,
         is_created_networked, false, false},
        {"one of a pool with a network", "sandbox.create", prepare_pool_of_one,
         attempt_create_networked, is_created_networked, false, false},
        {"starting one with a network", "sandbox.start", prepare_networked_stopped, attempt_start,
         is_networked_ready, true, false},
        {"giving one a network", "sandbox.network", prepare_ready, attempt_give, is_given, true,
         true},
        {"giving it another profile", "sandbox.network", prepare_networked, attempt_change,
         is_given, true, true},
        {"giving a paused one another profile", "sandbox.network", prepare_networked_pause,
         attempt_change, is_given, true, true},
        {"taking its network", "sandbox.network", prepare_networked, attempt_take, is_taken_away,
         true, true},
        {"taking that of a stopped one", "sandbox.network", prepare_networked_stopped, attempt_take,
         is_taken_away, true, false},
        {"a memory of one with a network", "snapshot.create", prepare_networked,
         attempt_networked_snapshot, is_networked_snapshot, true, true},
        {"a pause to disk of it", "sandbox.pause", prepare_networked, attempt_networked_pause,
         is_networked_on_disk, true, true},
        {"resuming it", "sandbox.resume", prepare_networked_pause, attempt_networked_resume,
         is_networked_ready, true, true},
        {"resuming it from disk", "sandbox.resume", prepare_networked_on_disk,
         attempt_networked_resume, is_networked_ready, true, true},
        {"restoring it", "snapshot.restore", prepare_networked_snapshot, attempt_restore,
         is_restored, true, false},
        {"restoring its memory", "snapshot.restore", prepare_networked_memory, attempt_restore,
         is_restored, true, false},
        {"destroying it", "sandbox.destroy", prepare_networked, attempt_destroy, is_destroyed,
         false, false},
};
