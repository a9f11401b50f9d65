/* SPDX-License-Identifier: MIT */

/* What the store says against what there is, whenever libvirtd is there (again).
 *
 * Every change writes its intent first, so only these can differ: a creation or destruction that
 * was under way, a snapshot that was or was not cut, a restore that has not got to its end, and the
 * hidden layer of a diff. Each is told from which layer the domain writes to. */

#include "core/internal.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <stdio.h>

typedef struct Comparison {
        Sandbox *sandbox; /* kept alive by its operation; not looked at by the worker */
        Hypervisor *hypervisor;
        Id id;
        DomainState state;
        unsigned layer; /* 0: not one of ours */
} Comparison;

static unsigned layer_number(const char *path)
{
        g_autofree char *file = g_path_get_basename(path);
        unsigned layer;

        return sscanf(file, "%9u-", &layer) == 1 ? layer : 0;
}

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

static Snapshot *find_unsettled(const Sandbox *s)
{
        g_autoptr(GPtrArray) list = snapshot_list(s);

        for (guint i = 0; i < list->len; i++)
                if (g_str_equal(((Snapshot *) list->pdata[i])->row->state, "creating"))
                        return list->pdata[i];
        return NULL;
}

static bool is_on(DomainState state)
{
        return state == DOMAIN_RUNNING || state == DOMAIN_PAUSED;
}

/* Returns true if something goes on that will end the operation. */
static bool put_right(Sandbox *s, const Comparison *q)
{
        Snapshot *unsettled = find_unsettled(s);

        if (unsettled)
                snapshot_settle(unsettled, q->layer);
        if (q->layer && q->layer != s->row->layer) {
                log_info("a restore of sandbox '%s' is finished", s->row->name);
                restore_finish(s, q->layer,
                               is_on(q->state) || g_str_equal(s->row->state, "starting"), ended, s);
                return true;
        }
        restore_drop_unused(s);
        sandbox_follow(s, q->state);
        Snapshot *head = snapshot_head(s);
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
