/* SPDX-License-Identifier: MIT */

/* The hidden point of a diff of a sandbox that runs: its layer is merged away again. */

#include "core/internal.h"

typedef struct Merge {
        Snapshot *hidden;
        Hypervisor *hypervisor;
        Id id;
        GPtrArray *top, *base;
        bool is_on;
        OperationDone done;
        void *userdata;
} Merge;

static void merge_free(gpointer data)
{
        Merge *q = data;

        g_ptr_array_unref(q->top);
        g_ptr_array_unref(q->base);
        g_free(q);
}

static int merge_run(void *request, Fault *f)
{
        Merge *q = request;
        g_autofree DomainDisk *base = layer_domain_disks(q->base);
        int r = 0;

        if (q->is_on) {
                r = hypervisor_merge_disks(q->hypervisor, q->id.text, base, q->base->len, f);
        } else {
                for (guint i = 0; r == 0 && i < q->top->len; i++) {
                        const LayerDisk *top = q->top->pdata[i], *below = q->base->pdata[i];
                        r = image_commit(top->path, below->path, f);
                }
                if (r == 0)
                        r = hypervisor_set_domain_disks(q->hypervisor, q->id.text, base,
                                                        q->base->len, f);
        }
        if (r == 0)
                layer_remove(q->top);
        return r;
}

/* The sandbox writes to the hidden point's own layer again. */
static int commit_merge(Snapshot *hidden, Fault *f)
{
        Sandbox *s = hidden->sandbox;
        Store *store = s->manager->store;
        SandboxRow before = *s->row;
        int r = store_begin(store, f);

        s->row->head_snapshot_id = hidden->row->parent_id;
        s->row->layer = hidden->row->layer;
        s->row->is_flat = hidden->row->is_flat;
        if (r == 0)
                r = sandbox_save(s, f);
        if (r == 0)
                r = store_delete_snapshot(store, hidden->row->id.text, f);
        if (r == 0)
                r = store_commit(store, f);
        if (r < 0) {
                store_rollback(store);
                s->row->head_snapshot_id = before.head_snapshot_id;
                s->row->layer = before.layer;
                s->row->is_flat = before.is_flat;
                return r;
        }
        snapshot_forget(hidden);
        return 0;
}

static void merge_done(void *request, int r, const Fault *f, void *userdata)
{
        Merge *q = request;
        Fault why = *f;

        (void) userdata;
        if (r >= 0)
                r = commit_merge(q->hidden, &why);
        q->done(r, &why, q->userdata);
}

int snapshot_name_hidden(Snapshot *hidden, const char *name, Fault *f)
{
        g_free(hidden->row->name);
        hidden->row->name = g_strdup(name);
        return name ? store_put_snapshot(hidden->manager->store, hidden->row, f) : 0;
}

int snapshot_settle_merge(Snapshot *hidden, Fault *f)
{
        Sandbox *s = hidden->sandbox;
        g_autoptr(GPtrArray) top = layer_plan(s, s->row->layer, NULL);
        int r = commit_merge(hidden, f);

        if (r == 0)
                layer_remove(top);
        return r;
}

void snapshot_merge_hidden(Snapshot *hidden, OperationDone done, void *userdata)
{
        Sandbox *s = hidden->sandbox;
        Merge *q = g_new0(Merge, 1);

        *q = (Merge){.hidden = hidden,
                     .hypervisor = s->manager->hypervisor,
                     .id = s->row->id,
                     .top = layer_plan(s, s->row->layer, hidden),
                     .base = layer_plan(s, hidden->row->layer, NULL),
                     .is_on = s->agent,
                     .done = done,
                     .userdata = userdata};
        (void) workers_submit(s->manager->workers, merge_run, merge_done, q, merge_free, NULL);
}
