/* SPDX-License-Identifier: MIT */

/* How a point is made: freeze, cut, thaw; or, with its memory, save, cut, run on, and bake what was
 * saved. The intent is written first, and which layer the domain writes to tells afterwards whether
 * it was cut. */

#include "core/internal.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/quantity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

typedef struct Cut {
        Snapshot *snapshot; /* its sandbox is kept alive by the operation */
        bool holds_operation, is_on, is_frozen, was_cut, freezes, has_memory;
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
        /* With memory: */
        MemoryFiles *stream, *image;
        DomainSpec bake;       /* the domain that makes the one of the other */
        GPtrArray *bake_disks; /* its throw-away overlays on the point */
        char *nvram;           /* that it gets a copy of, or NULL */
        DomainNic *nic;        /* that is taken out meanwhile, or NULL */
        /* Set by the worker. */
        bool was_cut, lost_nic;
        char *memory_abi;
        uint64_t memory_bytes;
} CutRequest;

static void cut_request_free(gpointer data)
{
        CutRequest *q = data;

        g_ptr_array_unref(q->disks);
        g_clear_pointer(&q->bake_disks, g_ptr_array_unref);
        domain_spec_clear(&q->bake);
        (void) memory_files_free(q->stream);
        (void) memory_files_free(q->image);
        g_free(q->nvram);
        (void) network_nic_free(q->nic);
        g_free(q->memory_abi);
        g_free(q);
}

/* The guest stands still from somewhere in the saving until it is resumed here. */
static int save_and_cut_bare(CutRequest *q, const DomainDisk *disks, Fault *f)
{
        Fault why = {0};
        int r = hypervisor_save_memory(q->hypervisor, q->id.text, &q->stream->memory, f);

        if (r < 0)
                return r;
        r = hypervisor_cut_disks(q->hypervisor, q->id.text, disks, q->disks->len, f);
        q->was_cut = r >= 0;
        if (hypervisor_resume_domain(q->hypervisor, q->id.text, &why) < 0 && r >= 0)
                r = fault_set(f, why.code, "%s", why.message);
        return r;
}

/* There is no NIC in a memory: whoever has this one would have its address. */
static int save_and_cut(CutRequest *q, const DomainDisk *disks, Fault *f)
{
        int r = q->nic ? network_unplug(q->hypervisor, q->id.text, q->nic, f) : 0;

        if (r < 0)
                return r;
        r = save_and_cut_bare(q, disks, f);
        q->lost_nic = q->nic && network_plug_in(q->hypervisor, q->id.text, q->nic, NULL) < 0;
        return r;
}

static int copy_nvram(const CutRequest *q, Fault *f)
{
        char sha256[SHA256_HEX_SIZE];
        autofd fd = -1;

        if (!q->nvram)
                return 0;
        fd = open(q->nvram, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot open '%s'", q->nvram);
        (void) unlink(q->bake.nvram);
        return file_import(fd, q->bake.nvram, UINT64_C(64) << 20, 0600, q->uid, q->gid, sha256, f);
}

/* What many can start from is made of the stream while the guest runs on. */
static int bake(CutRequest *q, Fault *f)
{
        int r = hypervisor_memory_abi(q->hypervisor, &q->memory_abi, f);

        layer_remove(q->bake_disks);
        if (r >= 0)
                r = layer_create(q->bake_disks, q->uid, q->gid, f);
        if (r >= 0)
                r = copy_nvram(q, f);
        if (r >= 0)
                r = hypervisor_bake_memory(q->hypervisor, &q->bake, &q->image->memory, f);
        layer_remove(q->bake_disks);
        if (q->bake.nvram)
                (void) unlink(q->bake.nvram);
        (void) unlink(q->bake.agent_socket);
        if (r >= 0)
                q->memory_bytes = memory_files_bytes(q->image);
        return r;
}

static int cut_with_memory(CutRequest *q, const DomainDisk *disks, Fault *f)
{
        int r;

        memory_files_remove(q->stream);
        r = save_and_cut(q, disks, f);
        if (r >= 0)
                r = bake(q, f);
        memory_files_remove(q->stream);
        return r;
}

static int cut_run(void *request, Fault *f)
{
        CutRequest *q = request;
        g_autofree DomainDisk *disks = layer_domain_disks(q->disks);
        Fault why = {0};
        int r;

        if (q->stream)
                return cut_with_memory(q, disks, f);
        if (q->is_on) {
                r = hypervisor_cut_disks(q->hypervisor, q->id.text, disks, q->disks->len, f);
                q->was_cut = r >= 0;
                return r;
        }
        r = layer_create(q->disks, q->uid, q->gid, f);
        if (r < 0)
                return r;
        r = hypervisor_set_domain_disks(q->hypervisor, q->id.text, disks, q->disks->len, &why);
        q->was_cut = r >= 0;
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
        snapshot->row->is_flat = s->row->is_flat;
        snapshot->row->size_bytes = layer_size_bytes(snapshot);
        s->row->head_snapshot_id = snapshot->row->id;
        s->row->layer = layer;
        s->row->is_flat = false;
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
                s->row->is_flat = before.is_flat;
                g_free(snapshot->row->state);
                snapshot->row->state = g_strdup("creating");
                return r;
        }
        *entry = audit_discard(*entry);
        return 0;
}

void snapshot_publish(Snapshot *snapshot)
{
        (void) g_hash_table_remove(snapshot->manager->objects[OBJECT_SNAPSHOT],
                                   snapshot->row->id.text);
        snapshot_become_known(snapshot);
        manager_changed(snapshot->manager, OBJECT_SANDBOX, snapshot->sandbox);
}

static void discard_cut(Snapshot *snapshot)
{
        Fault f = {0};

        if (store_delete_snapshot(snapshot->manager->store, snapshot->row->id.text, &f) < 0)
                log_error("cannot forget a snapshot that failed: %s", f.message);
        snapshot_forget(snapshot);
}

/* What was to have a memory and has none is no point that anybody asked for. */
static void hide(Snapshot *snapshot)
{
        g_clear_pointer(&snapshot->row->name, g_free);
        g_clear_pointer(&snapshot->row->memory_abi, g_free);
}

static void end_cut(Cut *q)
{
        Snapshot *snapshot = q->snapshot;
        Sandbox *s = snapshot->sandbox;

        (void) audit_end(q->entry, q->result, &q->fault);
        if (q->result < 0) {
                /* Without its memory it is not what was asked for: it is merged away. */
                if (q->was_cut && q->has_memory)
                        hide(snapshot);
                /* Whether it was cut is found out from the domain, now or when libvirtd is back. */
                if (q->was_cut || q->fault.code == FAULT_HYPERVISOR_UNAVAILABLE)
                        s->needs_reconcile = true;
                else
                        discard_cut(snapshot);
                snapshot = NULL;
        } else {
                snapshot_publish(snapshot);
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
        CutRequest *worker = request;
        Cut *q = userdata;
        Sandbox *s = q->snapshot->sandbox;

        q->result = r;
        q->fault = *f;
        q->was_cut = worker->was_cut;
        if (worker->nic && !worker->lost_nic)
                network_is_started(s);
        if (r >= 0 && q->has_memory) {
                g_free(q->snapshot->row->memory_abi);
                q->snapshot->row->memory_abi = TAKE_PTR(worker->memory_abi);
                q->snapshot->row->memory_bytes = worker->memory_bytes;
        }
        if (r >= 0)
                q->result = commit_cut(q->snapshot, s->row->next_layer - 1, &q->entry, &q->fault);
        if (q->is_frozen && s->agent &&
            guest_thaw(s->manager->event, s->agent, s->manager->config->freeze_timeout_usec, thawed,
                       q, &q->task, NULL) == 0)
                return;
        s->needs_thaw |= q->is_frozen;
        end_cut(q);
}

/* The domain of the point that never runs: the same hardware on files of its own. */
static void fill_bake(const Snapshot *snapshot, CutRequest *request)
{
        const Sandbox *s = snapshot->sandbox;
        const Manager *m = s->manager;
        const char *id = s->row->id.text;
        g_autofree char *runtime_directory = sandbox_runtime_directory(m, id);

        request->stream = memory_stream_new(m, id, MEMORY_CUT);
        request->image = memory_files_new(m, id, snapshot->row->layer);
        request->bake_disks = layer_plan(s, 0, snapshot);
        for (guint i = 0; i < request->bake_disks->len; i++) {
                LayerDisk *disk = request->bake_disks->pdata[i];
                g_autofree char *file = g_strdup_printf("bake-%s.qcow2", disk->target);
                g_free(disk->path);
                disk->path = sandbox_file(m, id, file);
        }
        sandbox_fill_spec(s, request->bake_disks, &request->bake);
        request->nvram = (char *) request->bake.nvram;
        request->bake.nvram = request->nvram ? sandbox_file(m, id, "bake.nvram") : NULL;
        g_free((char *) request->bake.id);
        request->bake.id = g_strdup(snapshot->row->id.text);
        g_free((char *) request->bake.agent_socket);
        request->bake.agent_socket = g_build_filename(runtime_directory, "bake.sock", NULL);
        g_free((char *) request->bake.console_log);
        request->bake.console_log = NULL;
        request->bake.memory = &request->stream->memory;
}

static void submit_cut(Cut *q)
{
        Sandbox *s = q->snapshot->sandbox;
        CutRequest *request = g_new0(CutRequest, 1);

        *request = (CutRequest){.hypervisor = s->manager->hypervisor,
                                .id = s->row->id,
                                .disks = g_ptr_array_ref(q->disks),
                                .uid = s->manager->qemu_uid,
                                .gid = s->manager->qemu_gid,
                                .is_on = q->is_on};
        if (q->has_memory) {
                fill_bake(q->snapshot, request);
                request->nic = network_lend_nic(s);
        }
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
                                snapshot_detail(snapshot->row->name), ret_entry, f);
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

/* With what is below made short before it, where that is due: the freeze does not wait for it. */
static void go_on_with_cut(int r, const Fault *f, void *userdata)
{
        Cut *q = userdata;
        Sandbox *s = q->snapshot->sandbox;
        const Manager *m = s->manager;
        Fault why = {0};

        if (r < 0) {
                q->result = r;
                q->fault = *f;
                end_cut(q);
                return;
        }
        if (q->freezes) {
                if (s->state == SANDBOX_READY && s->agent &&
                    guest_freeze(m->event, s->agent, m->config->freeze_timeout_usec, frozen, q,
                                 &q->task, &why) == 0)
                        return;
                set_consistency(q->snapshot->row, "crash",
                                fault_is_set(&why) ? why.message
                                                   : "the guest agent does not answer");
        }
        submit_cut(q);
}

/* `stays`: it is more than the hidden point of a diff, which may be one too many for a while. */
static int start_cut(Sandbox *s, Caller *caller, const SnapshotSpec *spec, bool stays,
                     SnapshotDone done, void *userdata, Fault *f)
{
        Manager *m = s->manager;
        Snapshot *snapshot = g_new0(Snapshot, 1);
        SnapshotRow *row = g_new0(SnapshotRow, 1);
        AuditEntry *entry = NULL;
        int r;

        *row = (SnapshotRow){.id = id_new(),
                             .sandbox_id = s->row->id,
                             .name = g_strdup(spec->name),
                             .parent_id = s->row->head_snapshot_id,
                             .layer = s->row->layer,
                             .is_flat = s->row->is_flat,
                             .state = g_strdup("creating"),
                             .created_usec = now_realtime_usec()};
        *snapshot = (Snapshot){.manager = m, .row = row, .sandbox = s};
        /* In the intent already: a memory that is not whole then is told by that. */
        if (spec->memory)
                row->memory_abi = g_strdup(m->memory_abi ? m->memory_abi : "unknown");
        set_consistency(row, s->agent ? "crash" : "off", "");
        r = begin_cut(snapshot, caller, &entry, f);
        if (r < 0) {
                (void) snapshot_free(snapshot);
                return r;
        }
        snapshot_become_known(snapshot);
        Cut *q = g_new0(Cut, 1);
        *q = (Cut){.snapshot = snapshot,
                   .holds_operation = spec->name != NULL,
                   .is_on = s->agent,
                   .freezes = spec->freeze && s->agent && !spec->memory,
                   .has_memory = spec->memory,
                   .entry = entry,
                   .done = done,
                   .userdata = userdata};
        q->disks = layer_plan(s, s->row->next_layer - 1, snapshot);
        if (merge_is_due(s) && stays)
                merge_now(s, go_on_with_cut, q);
        else
                go_on_with_cut(0, NULL, q);
        return 0;
}

static unsigned count_named(const Sandbox *s)
{
        g_autoptr(GPtrArray) list = snapshot_list(s);
        unsigned n = 0;

        for (guint i = 0; i < list->len; i++) {
                const char *name = ((Snapshot *) list->pdata[i])->row->name;
                n += name && name_is_valid(name);
        }
        return n;
}

static int check_can_cut(const Sandbox *s, bool memory, Fault *f)
{
        int r = manager_admits_work(s->manager, f);

        if (r < 0)
                return r;
        if (memory && s->state != SANDBOX_READY)
                return fault_set(f, FAULT_WRONG_STATE,
                                 "sandbox '%s' is %s: only one that is ready has a memory to keep",
                                 s->row->name, sandbox_state_to_string(s->state));
        if (s->state != SANDBOX_READY && s->state != SANDBOX_STOPPED &&
            !(s->state == SANDBOX_STARTING && s->agent))
                return fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' is %s: no snapshot now",
                                 s->row->name, sandbox_state_to_string(s->state));
        r = manager_has_room(s->manager, f);
        return r < 0 ? r : manager_check_owner(s->manager, s->row->owner_uid, 0, f);
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

int snapshot_check_quota(const Sandbox *s, Fault *f)
{
        const Config *c = s->manager->config;
        unsigned n = count_named(s);

        if (n >= c->snapshots_max)
                return fault_set(
                        f, FAULT_LIMITS_EXCEEDED,
                        "sandbox '%s' has %u snapshots already (snapshots_max); delete some",
                        s->row->name, n);
        return 0;
}

static int create(Sandbox *s, Caller *caller, const SnapshotSpec *spec, SnapshotDone done,
                  void *userdata, Fault *f)
{
        int r = 0;

        if (snapshot_find(s, spec->name))
                r = fault_set(f, FAULT_EXISTS, "sandbox '%s' has a snapshot '%s' already",
                              s->row->name, spec->name);
        if (r == 0)
                r = check_can_cut(s, spec->memory, f);
        if (r == 0)
                r = snapshot_check_quota(s, f);
        if (r == 0 && !s->operation)
                r = check_settled(s, f);
        if (r == 0)
                r = sandbox_begin_operation(s, "snapshotted", f);
        if (r < 0)
                return r;
        sandbox_touch(s);
        r = start_cut(s, caller, spec, true, done, userdata, f);
        if (r < 0)
                sandbox_end_operation(s);
        return r;
}

int snapshot_create(Sandbox *s, Caller *caller, const SnapshotSpec *spec, SnapshotDone done,
                    void *userdata, Fault *f)
{
        int r = name_check("snapshot", spec->name, f);

        if (r < 0)
                return r;
        if (g_str_equal(spec->name, POINT_TEMPLATE) || g_str_equal(spec->name, POINT_NOW))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%s' has a meaning of its own; choose another name", spec->name);
        return create(s, caller, spec, done, userdata, f);
}

int snapshot_create_own(Sandbox *s, const char *name, bool memory, SnapshotDone done,
                        void *userdata, Fault *f)
{
        SnapshotSpec spec = {.name = name, .memory = memory};

        return create(s, NULL, &spec, done, userdata, f);
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
        bool had_memory = snapshot->row->memory_abi;
        if (had_memory) {
                hide(snapshot);
                entry = audit_end(entry, fault_set(&gone, FAULT_CANCELLED, "it was interrupted"),
                                  &gone);
        }
        r = commit_cut(snapshot, layer, &entry, f);
        if (r == 0) {
                log_info(
                        had_memory
                                ? "a snapshot of sandbox '%s' has no whole memory and is merged away"
                                : "a snapshot of sandbox '%s' had been made and is kept",
                        s->row->name);
                snapshot_publish(snapshot);
        }
        (void) audit_discard(entry);
        return r;
}

int snapshot_cut_hidden(Sandbox *s, bool may_stay, SnapshotDone done, void *userdata, Fault *f)
{
        SnapshotSpec spec = {.freeze = true};
        int r = check_can_cut(s, false, f);

        if (r == 0)
                r = check_settled(s, f);
        return r < 0 ? r : start_cut(s, NULL, &spec, may_stay, done, userdata, f);
}
