/* SPDX-License-Identifier: MIT */
#include "core/internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static void layer_disk_free(gpointer data)
{
        LayerDisk *d = data;

        g_free(d->target);
        g_free(d->path);
        g_free(d->backing_path);
        g_free(d);
}

unsigned layer_number(const char *path)
{
        g_autofree char *file = g_path_get_basename(path);
        unsigned layer;

        return g_str_has_suffix(file, ".qcow2") && sscanf(file, "%9u-", &layer) == 1 ? layer : 0;
}

GPtrArray *layer_plan(const Sandbox *s, unsigned layer, const Snapshot *on)
{
        const GPtrArray *bases = s->template->row->disks;
        GPtrArray *plan = g_ptr_array_new_with_free_func(layer_disk_free);

        for (guint i = 0; i < bases->len; i++) {
                const TemplateDiskRow *base = bases->pdata[i];
                const char *id = s->row->id.text;
                LayerDisk *d = g_new0(LayerDisk, 1);
                d->target = g_strdup(base->target);
                d->path = sandbox_layer_path(s->manager, id, layer, base->target);
                if (on) {
                        d->backing_path =
                                sandbox_layer_path(s->manager, id, on->row->layer, base->target);
                        d->backing_format = IMAGE_QCOW2;
                } else {
                        d->backing_path = g_strdup(base->path);
                        d->backing_format =
                                g_str_equal(base->format, "raw") ? IMAGE_RAW : IMAGE_QCOW2;
                }
                g_ptr_array_add(plan, d);
        }
        return plan;
}

int layer_create(const GPtrArray *disks, uid_t uid, gid_t gid, Fault *f)
{
        for (guint i = 0; i < disks->len; i++) {
                const LayerDisk *d = disks->pdata[i];
                int r = image_create_overlay(d->path, d->backing_path, d->backing_format, 0, uid,
                                             gid, f);
                if (r < 0) {
                        while (i-- > 0)
                                (void) unlink(((LayerDisk *) disks->pdata[i])->path);
                        return r;
                }
        }
        return 0;
}

void layer_remove(const GPtrArray *disks)
{
        for (guint i = 0; i < disks->len; i++)
                (void) unlink(((LayerDisk *) disks->pdata[i])->path);
}

static bool is_used(const Sandbox *s, const GPtrArray *snapshots, unsigned layer)
{
        if (layer == s->row->layer)
                return true;
        for (guint i = 0; i < snapshots->len; i++)
                if (((Snapshot *) snapshots->pdata[i])->row->layer == layer)
                        return true;
        return false;
}

static bool is_image_used(const GPtrArray *snapshots, unsigned layer)
{
        for (guint i = 0; i < snapshots->len; i++) {
                const SnapshotRow *row = ((Snapshot *) snapshots->pdata[i])->row;
                if (row->layer == layer && row->memory_abi)
                        return true;
        }
        return false;
}

/* A file that no row speaks of; console, variables and what else is no layer's stays. */
static bool is_left_over(const Sandbox *s, const GPtrArray *snapshots, const char *name)
{
        static const char *const suffixes[] = {".ram", ".state", ".xml"};
        unsigned layer = layer_number(name);

        if (layer)
                return !is_used(s, snapshots, layer);
        if (g_str_has_prefix(name, "bake") || g_str_has_prefix(name, MEMORY_CUT "."))
                return true;
        if (g_str_has_prefix(name, MEMORY_PAUSED "."))
                return !s->row->paused_usec;
        for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++)
                if (g_str_has_suffix(name, suffixes[i]) && sscanf(name, "%9u.", &layer) == 1)
                        return !is_image_used(snapshots, layer);
        return false;
}

void layer_remove_unused(const Sandbox *s)
{
        g_autofree char *directory = sandbox_directory(s->manager, s->row->id.text);
        g_autoptr(GPtrArray) snapshots = snapshot_list(s);
        g_autoptr(GDir) files = g_dir_open(directory, 0, NULL);

        for (const char *name; files && (name = g_dir_read_name(files));) {
                g_autofree char *path = g_build_filename(directory, name, NULL);
                if (is_left_over(s, snapshots, name))
                        (void) unlink(path);
        }
}

DomainDisk *layer_domain_disks(const GPtrArray *disks)
{
        DomainDisk *list = g_new0(DomainDisk, disks->len + 1);

        for (guint i = 0; i < disks->len; i++) {
                const LayerDisk *d = disks->pdata[i];
                list[i] = (DomainDisk){d->target, d->path};
        }
        return list;
}
