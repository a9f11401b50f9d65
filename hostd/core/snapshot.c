/* SPDX-License-Identifier: MIT */
#include "core/internal.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/quantity.h"

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

        for (; snapshot; depth++)
                snapshot = snapshot_by_id(snapshot->manager, snapshot->row->parent_id.text);
        return depth;
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
static void become_known(Snapshot *snapshot)
{
        snapshot->is_visible = snapshot->row->name && g_str_equal(snapshot->row->state, "ready");
        if (snapshot->is_visible)
                manager_add(snapshot->manager, OBJECT_SNAPSHOT, snapshot->row->id.text, snapshot);
        else
                (void) g_hash_table_insert(snapshot->manager->objects[OBJECT_SNAPSHOT],
                                           snapshot->row->id.text, snapshot);
}

static uint64_t layer_size_bytes(const Snapshot *snapshot)
{
        const GPtrArray *disks = snapshot->sandbox->template->row->disks;
        uint64_t size = 0;

        for (guint i = 0; i < disks->len; i++) {
                const TemplateDiskRow *disk = disks->pdata[i];
                g_autofree char *path =
                        sandbox_layer_path(snapshot->manager, snapshot->sandbox->row->id.text,
                                           snapshot->row->layer, disk->target);
                struct stat st;
                if (stat(path, &st) == 0)
                        size += (uint64_t) st.st_blocks * 512;
        }
        return size;
}

/* -- making one: freeze, cut, thaw ------------------------------------------------------------ */

typedef struct Cut {
        Snapshot *snapshot; /* its sandbox is kept alive by the operation */
        bool holds_operation, is_on, is_frozen, was_cut;
        AuditEntry *entry;
        GPtrArray *disks; /* the layer that the sandbox writes to from now on */
        GuestTask *task;
        SnapshotDone done;
        void *userdata;
        int result;
        Fault fault;
} Cut;

typedef struct CutRequest {
        Hypervisor *hypervisor;
        Id id;
        GPtrArray *disks;
        uid_t uid;
        gid_t gid;
        bool is_on;
} CutRequest;

static void cut_request_free(gpointer data)
{
        CutRequest *q = data;

        g_ptr_array_unref(q->disks);
        g_free(q);
}

static int cut_run(void *request, Fault *f)
{
        CutRequest *q = request;
        g_autofree DomainDisk *disks = layer_domain_disks(q->disks);
        Fault why = {0};
        int r;

        if (q->is_on)
                return hypervisor_cut_disks(q->hypervisor, q->id.text, disks, q->disks->len, f);
        r = layer_create(q->disks, q->uid, q->gid, f);
        if (r < 0)
                return r;
        r = hypervisor_set_domain_disks(q->hypervisor, q->id.text, disks, q->disks->len, &why);
        if (r < 0 && why.code != FAULT_HYPERVISOR_UNAVAILABLE)
                layer_remove(q->disks);
        return r < 0 ? fault_set(f, why.code, "%s", why.message) : 0;
}

/* The sandbox goes on above the snapshot, in `layer`: both rows change together. */
static int commit_cut(Snapshot *snapshot, unsigned layer, AuditEntry **entry, Fault *f)
{
        Sandbox *s = snapshot->sandbox;
        Store *store = s->manager->store;
        SandboxRow before = *s->row;
        int r;

        g_free(snapshot->row->state);
        snapshot->row->state = g_strdup("ready");
        snapshot->row->size_bytes = layer_size_bytes(snapshot);
        s->row->head_snapshot_id = snapshot->row->id;
        s->row->layer = layer;
        r = store_begin(store, f);
        if (r == 0)
                r = store_put_snapshot(store, snapshot->row, f);
        if (r == 0)
                r = sandbox_save(s, f);
        if (r == 0)
                r = audit_write_end(*entry, 0, NULL, f);
        if (r == 0)
                r = store_commit(store, f);
        if (r < 0) {
                store_rollback(store);
                s->row->head_snapshot_id = before.head_snapshot_id;
                s->row->layer = before.layer;
                g_free(snapshot->row->state);
                snapshot->row->state = g_strdup("creating");
                return r;
        }
        *entry = audit_discard(*entry);
        return 0;
}

static void publish(Snapshot *snapshot)
{
        (void) g_hash_table_remove(snapshot->manager->objects[OBJECT_SNAPSHOT],
                                   snapshot->row->id.text);
        become_known(snapshot);
        manager_changed(snapshot->manager, OBJECT_SANDBOX, snapshot->sandbox);
}

static void discard_cut(Snapshot *snapshot)
{
        Fault f = {0};

        if (store_delete_snapshot(snapshot->manager->store, snapshot->row->id.text, &f) < 0)
                log_error("cannot forget a snapshot that failed: %s", f.message);
        snapshot_forget(snapshot);
}

static void end_cut(Cut *q)
{
        Snapshot *snapshot = q->snapshot;
        Sandbox *s = snapshot->sandbox;

        (void) audit_end(q->entry, q->result, &q->fault);
        if (q->result < 0) {
                /* Whether it was cut is found out from the domain, now or when libvirtd is back. */
                if (q->was_cut || q->fault.code == FAULT_HYPERVISOR_UNAVAILABLE)
                        s->needs_reconcile = true;
                else
                        discard_cut(snapshot);
                snapshot = NULL;
        } else {
                publish(snapshot);
        }
        q->done(snapshot, q->result, &q->fault, q->userdata);
        if (q->holds_operation)
                sandbox_end_operation(s);
        g_ptr_array_unref(q->disks);
        g_free(q);
}

static void thawed(int r, const Fault *f, void *userdata)
{
        Cut *q = userdata;

        if (r < 0)
                log_warning("sandbox '%s' could not be thawed: %s", q->snapshot->sandbox->row->name,
                            f->message);
        q->snapshot->sandbox->needs_thaw = r < 0;
        end_cut(q);
}

static void cut_done(void *request, int r, const Fault *f, void *userdata)
{
        Cut *q = userdata;
        Sandbox *s = q->snapshot->sandbox;

        (void) request;
        q->result = r;
        q->fault = *f;
        q->was_cut = r >= 0;
        if (q->was_cut)
                q->result = commit_cut(q->snapshot, s->row->next_layer - 1, &q->entry, &q->fault);
        if (q->is_frozen && s->agent &&
            guest_thaw(s->manager->event, s->agent, s->manager->config->freeze_timeout_usec, thawed,
                       q, &q->task, NULL) == 0)
                return;
        s->needs_thaw |= q->is_frozen;
        end_cut(q);
}

static void submit_cut(Cut *q)
{
        const Sandbox *s = q->snapshot->sandbox;
        CutRequest *request = g_new0(CutRequest, 1);

        *request = (CutRequest){.hypervisor = s->manager->hypervisor,
                                .id = s->row->id,
                                .disks = g_ptr_array_ref(q->disks),
                                .uid = s->manager->qemu_uid,
                                .gid = s->manager->qemu_gid,
                                .is_on = q->is_on};
        (void) workers_submit(s->manager->workers, cut_run, cut_done, request, cut_request_free, q);
}

static void set_consistency(SnapshotRow *row, const char *consistency, const char *reason)
{
        g_free(row->consistency);
        g_free(row->reason);
        row->consistency = g_strdup(consistency);
        row->reason = g_strdup(reason);
}

static void frozen(int r, const Fault *f, void *userdata)
{
        Cut *q = userdata;

        q->task = NULL;
        q->is_frozen = r >= 0;
        if (r < 0)
                set_consistency(q->snapshot->row, "crash", f->message);
        else
                set_consistency(q->snapshot->row, "frozen", "");
        submit_cut(q);
}

static Json *name_detail(const char *name)
{
        Json *detail = json_object_new_object();

        (void) json_object_object_add(detail, "snapshot", json_object_new_string(name));
        return detail;
}

/* The intent: the call, the point, and the number of the layer above it, which is never used again.
 */
static int begin_cut(Snapshot *snapshot, Caller *caller, AuditEntry **ret_entry, Fault *f)
{
        Sandbox *s = snapshot->sandbox;
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        Store *store = s->manager->store;
        int r = store_begin(store, f);

        s->row->next_layer++;
        if (r == 0 && caller)
                r = audit_begin(s->manager, caller, "snapshot.create", path,
                                name_detail(snapshot->row->name), ret_entry, f);
        if (r == 0)
                r = store_put_snapshot(store, snapshot->row, f);
        if (r == 0)
                r = sandbox_save(s, f);
        if (r == 0)
                r = store_commit(store, f);
        if (r < 0) {
                store_rollback(store);
                s->row->next_layer--;
                *ret_entry = audit_discard(*ret_entry);
                if (caller)
                        caller->is_audited = false;
        }
        return r;
}

static int start_cut(Sandbox *s, Caller *caller, const char *name, bool freeze, SnapshotDone done,
                     void *userdata, Fault *f)
{
        Manager *m = s->manager;
        Snapshot *snapshot = g_new0(Snapshot, 1);
        SnapshotRow *row = g_new0(SnapshotRow, 1);
        AuditEntry *entry = NULL;
        int r;

        *row = (SnapshotRow){.id = id_new(),
                             .sandbox_id = s->row->id,
                             .name = g_strdup(name),
                             .parent_id = s->row->head_snapshot_id,
                             .layer = s->row->layer,
                             .state = g_strdup("creating"),
                             .created_usec = now_realtime_usec()};
        *snapshot = (Snapshot){.manager = m, .row = row, .sandbox = s};
        set_consistency(row, s->agent ? "crash" : "off", "");
        r = begin_cut(snapshot, caller, &entry, f);
        if (r < 0) {
                (void) snapshot_free(snapshot);
                return r;
        }
        become_known(snapshot);
        Cut *q = g_new0(Cut, 1);
        *q = (Cut){.snapshot = snapshot,
                   .holds_operation = caller != NULL,
                   .is_on = s->agent,
                   .entry = entry,
                   .done = done,
                   .userdata = userdata};
        q->disks = layer_plan(s, s->row->next_layer - 1, snapshot);
        if (freeze && s->agent) {
                Fault why = {0};
                if (s->state == SANDBOX_READY &&
                    guest_freeze(m->event, s->agent, m->config->freeze_timeout_usec, frozen, q,
                                 &q->task, &why) == 0)
                        return 0;
                set_consistency(row, "crash",
                                fault_is_set(&why) ? why.message
                                                   : "the guest agent does not answer");
        }
        submit_cut(q);
        return 0;
}

static unsigned count_named(const Sandbox *s)
{
        g_autoptr(GPtrArray) list = snapshot_list(s);
        unsigned n = 0;

        for (guint i = 0; i < list->len; i++)
                n += ((Snapshot *) list->pdata[i])->row->name != NULL;
        return n;
}

static int check_can_cut(Sandbox *s, Fault *f)
{
        int r = manager_admits_work(s->manager, f);

        if (r < 0)
                return r;
        if (s->state != SANDBOX_READY && s->state != SANDBOX_STOPPED &&
            !(s->state == SANDBOX_STARTING && s->agent))
                return fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' is %s: no snapshot now",
                                 s->row->name, sandbox_state_to_string(s->state));
        return manager_has_room(s->manager, f);
}

static int check_settled(Sandbox *s, Fault *f)
{
        if (!snapshot_find_unsettled(s))
                return 0;
        reconcile_sandbox(s);
        return fault_set(f, FAULT_BUSY,
                         "an earlier snapshot of sandbox '%s' is not settled yet; try again",
                         s->row->name);
}

static int check_quota(const Sandbox *s, Fault *f)
{
        const Config *c = s->manager->config;
        unsigned n = count_named(s);

        if (n >= c->snapshots_max)
                return fault_set(
                        f, FAULT_LIMITS_EXCEEDED,
                        "sandbox '%s' has %u snapshots already (snapshots_max); delete some",
                        s->row->name, n);
        if (snapshot_depth(snapshot_head(s)) + 2 > c->chain_depth_max)
                return fault_set(
                        f, FAULT_LIMITS_EXCEEDED,
                        "the disk of sandbox '%s' would be a chain of more than %u layers "
                        "(chain_depth_max); restore an older snapshot or make a new sandbox",
                        s->row->name, (unsigned) c->chain_depth_max);
        return 0;
}

int snapshot_create(Sandbox *s, Caller *caller, const char *name, bool freeze, SnapshotDone done,
                    void *userdata, Fault *f)
{
        int r = name_check("snapshot", name, f);

        if (r < 0)
                return r;
        if (g_str_equal(name, POINT_TEMPLATE) || g_str_equal(name, POINT_NOW))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%s' has a meaning of its own; choose another name", name);
        if (snapshot_find(s, name))
                return fault_set(f, FAULT_EXISTS, "sandbox '%s' has a snapshot '%s' already",
                                 s->row->name, name);
        r = check_can_cut(s, f);
        if (r == 0)
                r = check_quota(s, f);
        if (r == 0 && !s->operation)
                r = check_settled(s, f);
        if (r == 0)
                r = sandbox_begin_operation(s, "snapshotted", f);
        if (r < 0)
                return r;
        r = start_cut(s, caller, name, freeze, done, userdata, f);
        if (r < 0)
                sandbox_end_operation(s);
        return r;
}

Snapshot *snapshot_find_unsettled(const Sandbox *s)
{
        g_autoptr(GPtrArray) list = snapshot_list(s);

        for (guint i = 0; i < list->len; i++)
                if (g_str_equal(((Snapshot *) list->pdata[i])->row->state, "creating"))
                        return list->pdata[i];
        return NULL;
}

int snapshot_settle(Snapshot *snapshot, unsigned layer, Fault *f)
{
        Sandbox *s = snapshot->sandbox;
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        AuditEntry *entry = NULL;
        Fault gone = {0};
        int r;

        if (snapshot->row->name)
                entry = audit_resume(s->manager, "snapshot.create", path);
        s->needs_thaw = true;
        if (layer == snapshot->row->layer) {
                log_info("a snapshot of sandbox '%s' had not been made and is forgotten",
                         s->row->name);
                discard_cut(snapshot);
                (void) audit_end(entry, fault_set(&gone, FAULT_CANCELLED, "it was interrupted"),
                                 &gone);
                return 0;
        }
        r = commit_cut(snapshot, layer, &entry, f);
        if (r == 0) {
                log_info("a snapshot of sandbox '%s' had been made and is kept", s->row->name);
                publish(snapshot);
        }
        (void) audit_discard(entry);
        return r;
}

/* -- the hidden point of a diff --------------------------------------------------------------- */

int snapshot_cut_hidden(Sandbox *s, SnapshotDone done, void *userdata, Fault *f)
{
        int r = check_can_cut(s, f);

        if (r == 0)
                r = check_settled(s, f);
        return r < 0 ? r : start_cut(s, NULL, NULL, true, done, userdata, f);
}

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

/* -- deleting ------------------------------------------------------------------------------- */

static int check_nothing_stands_on(const Snapshot *snapshot, Fault *f)
{
        const Sandbox *s = snapshot->sandbox;
        g_autoptr(GPtrArray) list = snapshot_list(s);

        if (snapshot->readers > 0)
                return fault_set(f, FAULT_IN_USE, "a diff reads snapshot '%s'; try again later",
                                 snapshot->row->name);
        if (snapshot_head(s) == snapshot)
                return fault_set(
                        f, FAULT_IN_USE,
                        "sandbox '%s' stands on snapshot '%s'; restore another point first",
                        s->row->name, snapshot->row->name);
        for (guint i = 0; i < list->len; i++) {
                const Snapshot *other = list->pdata[i];
                if (g_str_equal(other->row->parent_id.text, snapshot->row->id.text))
                        return fault_set(f, FAULT_IN_USE,
                                         "snapshot '%s' stands on snapshot '%s'; delete that first",
                                         other->row->name ? other->row->name : "(of a diff)",
                                         snapshot->row->name);
        }
        return 0;
}

typedef struct Deletion {
        Sandbox *sandbox;
        GPtrArray *disks;
        AuditEntry *entry;
        OperationDone done;
        void *userdata;
} Deletion;

static void deletion_free(gpointer data)
{
        Deletion *q = data;

        g_ptr_array_unref(q->disks);
        g_free(q);
}

static int deletion_run(void *request, Fault *f)
{
        (void) f;
        layer_remove(((Deletion *) request)->disks);
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

int snapshot_delete(Snapshot *snapshot, Caller *caller, OperationDone done, void *userdata,
                    Fault *f)
{
        Sandbox *s = snapshot->sandbox;
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        AuditEntry *entry = NULL;
        int r = check_nothing_stands_on(snapshot, f);

        if (r == 0)
                r = sandbox_begin_operation(s, "relieved of a snapshot", f);
        if (r < 0)
                return r;
        r = audit_begin(s->manager, caller, "snapshot.delete", path,
                        name_detail(snapshot->row->name), &entry, f);
        if (r == 0)
                r = store_delete_snapshot(s->manager->store, snapshot->row->id.text, f);
        if (r < 0) {
                (void) audit_end(entry, r, f);
                sandbox_end_operation(s);
                return r;
        }
        Deletion *q = g_new0(Deletion, 1);
        *q = (Deletion){.sandbox = s,
                        .disks = layer_plan(s, snapshot->row->layer, NULL),
                        .entry = entry,
                        .done = done,
                        .userdata = userdata};
        snapshot_forget(snapshot);
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
                become_known(snapshot);
        }
        return 0;
}
