/* SPDX-License-Identifier: MIT */

/* A chain that has grown long is made short again: what lies between the layer that the sandbox
 * writes to and the template is copied into that layer, which then stands on the template alone.
 *
 * No point changes, and a guest runs on meanwhile: a point above is a short way from the template
 * again, and those below stay as they were. Only the top layer is written to, so that the copying
 * may end at any moment without harm; whatever was not recorded is done again. */

#include "core/internal.h"

#include "base/log.h"

typedef struct Merge {
        Manager *manager;
        Hypervisor *hypervisor;
        Id id;
        unsigned layer;
        GPtrArray *top;   /* the layer that is written to */
        GPtrArray *bases; /* of DomainDisk: the template's images */
        GArray *formats;  /* theirs */
        bool is_on;
        OperationDone done; /* of merge_now() */
        void *userdata;
} Merge;

static void free_disk(gpointer data)
{
        DomainDisk *disk = data;

        g_free(disk->target);
        g_free(disk->path);
        g_free(disk);
}

static void merge_free(gpointer data)
{
        Merge *q = data;

        g_ptr_array_unref(q->top);
        g_ptr_array_unref(q->bases);
        g_array_unref(q->formats);
        g_free(q);
}

static int merge_run(void *request, Fault *f)
{
        Merge *q = request;
        int r = 0;

        for (guint i = 0; r >= 0 && i < q->bases->len; i++) {
                const DomainDisk *base = q->bases->pdata[i];
                const LayerDisk *top = q->top->pdata[i];
                if (q->is_on)
                        r = hypervisor_flatten_disks(q->hypervisor, q->id.text, base, 1, f);
                else
                        r = image_flatten(top->path, base->path,
                                          g_array_index(q->formats, ImageFormat, i), f);
        }
        return r;
}

static Merge *merge_new(const Sandbox *s)
{
        const GPtrArray *disks = s->template->row->disks;
        Merge *q = g_new0(Merge, 1);

        *q = (Merge){.manager = s->manager,
                     .hypervisor = s->manager->hypervisor,
                     .id = s->row->id,
                     .layer = s->row->layer,
                     .top = layer_plan(s, s->row->layer, NULL),
                     .bases = g_ptr_array_new_with_free_func(free_disk),
                     .formats = g_array_new(FALSE, FALSE, sizeof(ImageFormat)),
                     .is_on = s->agent};
        for (guint i = 0; i < q->top->len; i++) {
                const LayerDisk *top = q->top->pdata[i];
                const TemplateDiskRow *row = disks->pdata[i];
                DomainDisk *base = g_new0(DomainDisk, 1);
                *base = (DomainDisk){g_strdup(row->target), g_strdup(row->path)};
                g_ptr_array_add(q->bases, base);
                (void) g_array_append_val(q->formats, top->backing_format);
        }
        return q;
}

/* In the row only when it is so on disk: until then the chain counts as long as it was. */
static int become_flat(Sandbox *s, unsigned layer, Fault *f)
{
        if (s->row->layer != layer || s->row->is_flat)
                return 0;
        s->row->is_flat = true;
        int r = sandbox_save(s, f);
        if (r < 0)
                s->row->is_flat = false;
        else
                log_info("the disk of sandbox '%s' stands on its template alone", s->row->name);
        return r;
}

static void merge_done(void *request, int r, const Fault *f, void *userdata)
{
        Merge *q = request;
        Sandbox *s = g_hash_table_lookup(q->manager->objects[OBJECT_SANDBOX], q->id.text);
        Fault why = *f;

        (void) userdata;
        if (s && r >= 0)
                r = become_flat(s, q->layer, &why);
        if (s)
                s->is_flattening = false;
        if (s && r < 0 && why.code != FAULT_CANCELLED)
                log_warning("the chain of sandbox '%s' was not made shorter: %s", s->row->name,
                            why.message);
        else if (s && !s->operation)
                merge_if_deep(s); /* what had ended it may itself have ended before */
        if (q->done)
                q->done(r, &why, q->userdata);
}

static bool is_hidden_head(const Sandbox *s)
{
        const Snapshot *head = snapshot_head(s);

        return head && !head->row->name;
}

bool merge_is_due(const Sandbox *s)
{
        return sandbox_depth(s) + 1 > s->manager->config->chain_depth_max && !is_hidden_head(s);
}

void merge_if_deep(Sandbox *s)
{
        /* Half of what is allowed: nobody should ever have to wait for it. */
        if (s->state != SANDBOX_READY || s->is_flattening || is_hidden_head(s) ||
            sandbox_depth(s) <= s->manager->config->chain_depth_max / 2)
                return;
        s->is_flattening = true;
        (void) workers_submit(s->manager->workers, merge_run, merge_done, merge_new(s), merge_free,
                              NULL);
}

void merge_now(Sandbox *s, OperationDone done, void *userdata)
{
        Merge *q = merge_new(s);

        q->done = done;
        q->userdata = userdata;
        (void) workers_submit(s->manager->workers, merge_run, merge_done, q, merge_free, NULL);
}
