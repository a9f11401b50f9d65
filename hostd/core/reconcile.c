/* SPDX-License-Identifier: MIT */

/* What the store says against what there is, whenever libvirtd is there (again).
 *
 * Every change writes its intent first, so only these can differ: a creation or destruction that
 * was under way, a snapshot that was or was not cut, a restore that has not got to its end, and the
 * hidden layer of a diff. Each is told from which layer the domain writes to. */

#include "core/internal.h"

#include "base/log.h"

typedef struct Comparison {
        Sandbox *sandbox; /* kept alive by its operation; not looked at by the worker */
        Hypervisor *hypervisor;
        Id id;
        DomainState state;
        unsigned layer; /* 0: not one of ours */
} Comparison;

static int comparison_run(void *request, Fault *f)
{
        Comparison *q = request;
        DomainDisk *disks = NULL;
        size_t n = 0;
        int r = hypervisor_domain_state(q->hypervisor, q->id.text, &q->state, f);

        if (r < 0 || q->state == DOMAIN_ABSENT)
                return r;
        r = hypervisor_domain_disks(q->hypervisor, q->id.text, &disks, &n, f);
        if (r == 0 && n > 0)
                q->layer = layer_number(disks[0].path);
        (void) domain_disks_free(disks, n);
        return r;
}

static void ended(int r, const Fault *f, void *userdata)
{
        Sandbox *s = userdata;

        if (r < 0)
                log_warning("sandbox '%s' could not be put right yet: %s", s->row->name,
                            f->message);
        s->needs_probe = true;
        sandbox_end_operation(s);
}

static bool is_on(DomainState state)
{
        return state == DOMAIN_RUNNING || state == DOMAIN_PAUSED;
}

/* Which layer the domain writes to tells how far a cut or a merge had got. */
static int settle(Sandbox *s, unsigned layer, Fault *f)
{
        Snapshot *unsettled = snapshot_find_unsettled(s);
        int r = unsettled ? snapshot_settle(unsettled, layer, f) : 0;
        Snapshot *head = snapshot_head(s);

        if (r == 0 && head && !head->row->name && layer == head->row->layer)
                r = snapshot_settle_merge(head, f);
        return r;
}

/* Returns true if something goes on that will end the operation. */
static bool put_right(Sandbox *s, const Comparison *q)
{
        Snapshot *head;
        Fault f = {0};

        if (settle(s, q->layer, &f) < 0) {
                log_error("sandbox '%s' cannot be put right: %s", s->row->name, f.message);
                sandbox_follow(s, q->state);
                return false;
        }
        /* A restore always goes to a layer with a higher number. */
        if (q->layer && q->layer < s->row->layer) {
                log_info("a restore of sandbox '%s' is finished", s->row->name);
                restore_finish(s, q->layer,
                               is_on(q->state) || g_str_equal(s->row->state, "starting"), ended, s);
                return true;
        }
        if (q->layer != s->row->layer) {
                log_error(
                        "sandbox '%s' writes to layer %u where layer %u was expected; it is left as "
                        "it is",
                        s->row->name, q->layer, s->row->layer);
                sandbox_follow(s, q->state);
                return false;
        }
        restore_drop_unused(s);
        layer_remove_unused(s);
        command_remove_unused(s);
        sandbox_follow(s, q->state);
        head = snapshot_head(s);
        if (!head || head->row->name)
                return false;
        snapshot_merge_hidden(head, ended, s);
        return true;
}

static void comparison_done(void *request, int r, const Fault *f, void *userdata)
{
        Comparison *q = request;
        Sandbox *s = q->sandbox;

        (void) userdata;
        if (r < 0)
                log_warning("sandbox '%s' could not be compared with libvirt: %s", s->row->name,
                            f->message);
        else if (s->state == SANDBOX_DESTROYING)
                log_debug("sandbox '%s' was destroyed meanwhile", s->row->name);
        else if (q->state == DOMAIN_ABSENT)
                sandbox_follow(s, q->state);
        else if (put_right(s, q))
                return;
        sandbox_end_operation(s);
}

void reconcile_sandbox(Sandbox *s)
{
        Fault interrupted = {0};

        s->needs_reconcile = s->operation;
        if (s->operation)
                return;
        if (s->state == SANDBOX_CREATING) {
                (void) fault_set(&interrupted, FAULT_CANCELLED,
                                 "fluid-hostd was restarted while the sandbox was made");
                sandbox_abandon_creation(s, &interrupted);
                return;
        }
        if (s->state == SANDBOX_DESTROYING) {
                sandbox_destroy_unfinished(s);
                return;
        }
        if (sandbox_begin_operation(s, "compared with libvirt", NULL) < 0)
                return;
        Comparison *q = g_new0(Comparison, 1);
        *q = (Comparison){.sandbox = s, .hypervisor = s->manager->hypervisor, .id = s->row->id};
        (void) workers_submit(s->manager->workers, comparison_run, comparison_done, q, g_free,
                              NULL);
}
