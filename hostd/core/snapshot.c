/* SPDX-License-Identifier: MIT */
#include "core/internal.h"

#include "base/log.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const SnapshotRow *snapshot_row(const Snapshot *snapshot)
{
        return snapshot->row;
}

Sandbox *snapshot_sandbox(const Snapshot *snapshot)
{
        return snapshot->sandbox;
}

Snapshot *snapshot_by_id(const Manager *m, const char *id)
{
        return *id ? g_hash_table_lookup(m->objects[OBJECT_SNAPSHOT], id) : NULL;
}

Snapshot *snapshot_head(const Sandbox *s)
{
        return snapshot_by_id(s->manager, s->row->head_snapshot_id.text);
}

Snapshot *snapshot_named_below(const Manager *m, Snapshot *snapshot)
{
        while (snapshot && !snapshot->row->name)
                snapshot = snapshot_by_id(m, snapshot->row->parent_id.text);
        return snapshot;
}

const char *snapshot_parent_name(const Snapshot *snapshot)
{
        const Manager *m = snapshot->manager;
        const Snapshot *parent =
                snapshot_named_below(m, snapshot_by_id(m, snapshot->row->parent_id.text));

        return parent ? parent->row->name : POINT_TEMPLATE;
}

GPtrArray *snapshot_list(const Sandbox *s)
{
        GPtrArray *list = manager_list(s->manager, OBJECT_SNAPSHOT);

        for (guint i = list->len; i-- > 0;)
                if (((Snapshot *) list->pdata[i])->sandbox != s)
                        (void) g_ptr_array_remove_index(list, i);
        return list;
}

Snapshot *snapshot_find(const Sandbox *s, const char *name)
{
        g_autoptr(GPtrArray) list = snapshot_list(s);

        for (guint i = 0; i < list->len; i++) {
                Snapshot *snapshot = list->pdata[i];
                if (snapshot->row->name && g_str_equal(snapshot->row->name, name) &&
                    g_str_equal(snapshot->row->state, "ready"))
                        return snapshot;
        }
        return NULL;
}

unsigned snapshot_depth(const Snapshot *snapshot)
{
        unsigned depth = 0;

        while (snapshot) {
                depth++;
                snapshot = snapshot->row->is_flat ? NULL
                                                  : snapshot_by_id(snapshot->manager,
                                                                   snapshot->row->parent_id.text);
        }
        return depth;
}

unsigned sandbox_depth(const Sandbox *s)
{
        return s->row->is_flat ? 1 : 1 + snapshot_depth(snapshot_head(s));
}

SnapshotRow *snapshot_copy_row(const Snapshot *snapshot)
{
        SnapshotRow *copy = g_memdup2(snapshot->row, sizeof *copy);

        copy->id = id_new();
        copy->parent_id = (Id){""};
        copy->name = g_strdup(copy->name);
        copy->state = g_strdup(copy->state);
        copy->consistency = g_strdup(copy->consistency);
        copy->reason = g_strdup(copy->reason);
        copy->memory_abi = g_strdup(copy->memory_abi);
        return copy;
}

Snapshot *snapshot_free(Snapshot *snapshot)
{
        if (!snapshot)
                return NULL;
        (void) snapshot_row_free(snapshot->row);
        g_free(snapshot);
        return NULL;
}

void snapshot_forget(Snapshot *snapshot)
{
        Manager *m = snapshot->manager;

        if (snapshot->is_visible)
                manager_remove(m, OBJECT_SNAPSHOT, snapshot->row->id.text, snapshot);
        else
                (void) g_hash_table_remove(m->objects[OBJECT_SNAPSHOT], snapshot->row->id.text);
        (void) snapshot_free(snapshot);
}

/* Hidden and half-made ones are known to core only. */
void snapshot_become_known(Snapshot *snapshot)
{
        snapshot->is_visible = snapshot->sandbox->is_announced && snapshot->row->name &&
                               g_str_equal(snapshot->row->state, "ready");
        if (snapshot->is_visible)
                manager_add(snapshot->manager, OBJECT_SNAPSHOT, snapshot->row->id.text, snapshot);
        else
                (void) g_hash_table_insert(snapshot->manager->objects[OBJECT_SNAPSHOT],
                                           snapshot->row->id.text, snapshot);
}

Json *snapshot_detail(const char *name)
{
        Json *detail = json_object_new_object();

        (void) json_object_object_add(detail, "snapshot", json_object_new_string(name));
        return detail;
}

/* -- deleting ------------------------------------------------------------------------------- */

static Snapshot *parent_of(const Snapshot *snapshot)
{
        return snapshot_by_id(snapshot->manager, snapshot->row->parent_id.text);
}

static bool stands_on(Snapshot *above, const Snapshot *below)
{
        while (above && above != below)
                above = parent_of(above);
        return above;
}

/* The snapshot and all that stand on it, the newest first: each stands on an older one. */
static GPtrArray *list_above(const Snapshot *snapshot)
{
        g_autoptr(GPtrArray) list = snapshot_list(snapshot->sandbox);
        GPtrArray *above = g_ptr_array_new();

        for (guint i = list->len; i-- > 0;)
                if (stands_on(list->pdata[i], snapshot))
                        g_ptr_array_add(above, list->pdata[i]);
        return above;
}

static const char *shown_name(const Snapshot *snapshot)
{
        return snapshot->row->name ? snapshot->row->name : "(of a diff)";
}

static int check_can_delete(const Snapshot *snapshot, const GPtrArray *doomed, bool cascade,
                            Fault *f)
{
        const Sandbox *s = snapshot->sandbox;

        for (guint i = 0; i < doomed->len; i++) {
                const Snapshot *other = doomed->pdata[i];
                if (other->readers > 0)
                        return fault_set(
                                f, FAULT_IN_USE,
                                "snapshot '%s' is being read, by a diff or for a copy; try "
                                "again later",
                                shown_name(other));
                if (other != snapshot && !cascade)
                        return fault_set(
                                f, FAULT_IN_USE,
                                "snapshot '%s' stands on snapshot '%s'; delete that first, "
                                "or all with --cascade",
                                shown_name(other), snapshot->row->name);
        }
        if (stands_on(snapshot_head(s), snapshot))
                return fault_set(
                        f, FAULT_IN_USE,
                        "sandbox '%s' stands on snapshot '%s'; restore another point first",
                        s->row->name, snapshot->row->name);
        return 0;
}

typedef struct Deletion {
        Sandbox *sandbox;
        GPtrArray *layers; /* of GPtrArray of LayerDisk */
        GPtrArray *images; /* of MemoryFiles */
        AuditEntry *entry;
        OperationDone done;
        void *userdata;
} Deletion;

static void free_plan(gpointer plan)
{
        g_ptr_array_unref(plan);
}

static void free_files(gpointer files)
{
        (void) memory_files_free(files);
}

static void deletion_free(gpointer data)
{
        Deletion *q = data;

        g_ptr_array_unref(q->layers);
        g_ptr_array_unref(q->images);
        g_free(q);
}

static int deletion_run(void *request, Fault *f)
{
        const Deletion *q = request;

        (void) f;
        for (guint i = 0; i < q->layers->len; i++)
                layer_remove(q->layers->pdata[i]);
        for (guint i = 0; i < q->images->len; i++)
                memory_files_remove(q->images->pdata[i]);
        return 0;
}

static void deletion_done(void *request, int r, const Fault *f, void *userdata)
{
        Deletion *q = request;

        (void) userdata;
        (void) audit_end(q->entry, r, f);
        q->done(r, f, q->userdata);
        sandbox_end_operation(q->sandbox);
}

static int delete_rows(Store *store, const GPtrArray *doomed, Fault *f)
{
        int r = store_begin(store, f);

        for (guint i = 0; r == 0 && i < doomed->len; i++)
                r = store_delete_snapshot(store, ((Snapshot *) doomed->pdata[i])->row->id.text, f);
        if (r == 0)
                r = store_commit(store, f);
        if (r < 0)
                store_rollback(store);
        return r;
}

int snapshot_delete(Snapshot *snapshot, Caller *caller, bool cascade, OperationDone done,
                    void *userdata, Fault *f)
{
        Sandbox *s = snapshot->sandbox;
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        g_autoptr(GPtrArray) doomed = list_above(snapshot);
        AuditEntry *entry = NULL;
        int r = check_can_delete(snapshot, doomed, cascade, f);

        if (r == 0)
                r = sandbox_begin_operation(s, "relieved of a snapshot", f);
        if (r < 0)
                return r;
        r = audit_begin(s->manager, caller, "snapshot.delete", path,
                        snapshot_detail(snapshot->row->name), &entry, f);
        if (r == 0)
                r = delete_rows(s->manager->store, doomed, f);
        if (r < 0) {
                (void) audit_end(entry, r, f);
                sandbox_end_operation(s);
                return r;
        }
        Deletion *q = g_new0(Deletion, 1);
        *q = (Deletion){.sandbox = s,
                        .layers = g_ptr_array_new_with_free_func(free_plan),
                        .images = g_ptr_array_new_with_free_func(free_files),
                        .entry = entry,
                        .done = done,
                        .userdata = userdata};
        for (guint i = 0; i < doomed->len; i++) {
                unsigned layer = ((Snapshot *) doomed->pdata[i])->row->layer;
                g_ptr_array_add(q->layers, layer_plan(s, layer, NULL));
                g_ptr_array_add(q->images, memory_files_new(s->manager, s->row->id.text, layer));
                snapshot_forget(doomed->pdata[i]);
        }
        (void) workers_submit(s->manager->workers, deletion_run, deletion_done, q, deletion_free,
                              NULL);
        return 0;
}

/* -- beginning ------------------------------------------------------------------------------ */

int snapshot_load_all(Manager *m, Fault *f)
{
        g_autoptr(GPtrArray) rows = NULL;
        int r = store_load_snapshots(m->store, &rows, f);

        if (r < 0)
                return r;
        g_ptr_array_set_free_func(rows, NULL);
        for (guint i = 0; i < rows->len; i++) {
                Snapshot *snapshot = g_new0(Snapshot, 1);
                snapshot->manager = m;
                snapshot->row = rows->pdata[i];
                snapshot->sandbox = g_hash_table_lookup(m->objects[OBJECT_SANDBOX],
                                                        snapshot->row->sandbox_id.text);
                if (!snapshot->sandbox)
                        return fault_set(
                                f, FAULT_INTERNAL,
                                "a snapshot belongs to a sandbox that the database does not "
                                "have");
                snapshot_become_known(snapshot);
        }
        return 0;
}
