/* SPDX-License-Identifier: MIT */
#pragma once

/* What can be done with playbooks, as a table. */

#include "tests/core/imports.h"
#include "tests/core/operations.h"

static inline void prepare_playbook(void)
{
        prepare_snapshot();
        write_good_programs();
        link_verify_unit();
}

static inline void prepare_stopped_playbook(void)
{
        prepare_playbook();
        need(stop_sandbox("web", true), "stop");
}

static inline void prepare_made_from(const char *from)
{
        prepare_playbook();
        need(export_points(from, "now", NULL), "export");
}

static inline void prepare_made(void)
{
        prepare_made_from("template");
}

static inline void prepare_made_from_snapshot(void)
{
        prepare_made_from("s");
}

static inline int attempt_export(void)
{
        return export_points("template", "now", NULL);
}

static inline void prepare_written(void)
{
        prepare_playbook();
        write_archive();
}

static inline int attempt_import_written(void)
{
        return import_written(NULL);
}

static inline bool is_written_imported(void)
{
        const Playbook *p = newest_playbook();

        return p && playbook_is_written(p);
}

static inline bool is_settled_or_lost(void *userdata)
{
        return is_nothing_verified(userdata) ||
               !hypervisor_is_connected(fixture.manager->hypervisor);
}

/* It goes well where it says so. Where libvirtd is away it waits for that; this does not. */
static inline int attempt_verify(void)
{
        Playbook *p = newest_playbook();
        int r = begin_verification(p, NULL);

        if (r < 0)
                return r;
        if (!until(is_settled_or_lost, NULL))
                tap_bail_out("a verification does not end");
        settle();
        if (p->verification)
                return fault_set(&fixture.fault, FAULT_HYPERVISOR_UNAVAILABLE, "libvirtd is away");
        if (!g_str_equal(p->row->verified, "failed"))
                return unless(g_str_equal(p->row->verified, "exact"));
        return fault_set(&fixture.fault, FAULT_IO, "%s", p->row->verified_reason);
}

static inline int attempt_forget(void)
{
        return playbook_remove(newest_playbook(), &fixture.caller, fresh_fault());
}

/* With the point that it leads to. */
static inline bool is_exported(void)
{
        const Playbook *p = newest_playbook();

        return p && snapshot_find(get_sandbox("web"), p->row->to_name);
}

static inline bool is_proven(void)
{
        return newest_playbook() && g_str_equal(newest_playbook()->row->verified, "exact");
}

static inline bool is_forgotten(void)
{
        return !newest_playbook();
}

static const Operation playbook_operations[] = {
        {"making a playbook", "playbook.export", prepare_playbook, attempt_export, is_exported,
         true, true},
        {"making one of a stopped sandbox", "playbook.export", prepare_stopped_playbook,
         attempt_export, is_exported, true, false},
        {"importing one", "playbook.import", prepare_written, attempt_import_written,
         is_written_imported, true, true},
        {"verifying one", "playbook.verify", prepare_made, attempt_verify, is_proven, true, true},
        {"verifying one from a snapshot", "playbook.verify", prepare_made_from_snapshot,
         attempt_verify, is_proven, true, true},
        {"removing one", "playbook.remove", prepare_made, attempt_forget, is_forgotten, true, true},
};
