/* SPDX-License-Identifier: MIT */

/* Moving a sandbox's head to another point.
 *
 * The new head is written to the store first; what follows can be done again until it is done,
 * since the point that it stands on never changes. */

#include "core/internal.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <unistd.h>

typedef struct Restore {
        Sandbox *sandbox; /* kept alive by its operation; not looked at by the worker */
        Hypervisor *hypervisor;
        Id id;
        GPtrArray *new_disks, *old_disks;
        uid_t uid;
        gid_t gid;
        bool was_on;
        bool was_on_disk; /* paused, so that it does not run again where nothing has moved */
        bool keeps_old;   /* a snapshot is in it, or it is the new one */
        DomainSpec spec;
        MemoryFiles *memory; /* that it goes on from, or NULL */
        DomainNic *nic;      /* that it boots with, or NULL */
        bool has_moved;      /* set by the worker: the domain uses the new layer */
        OperationDone done;
        void *userdata;
} Restore;

static void restore_free(gpointer data)
{
        Restore *q = data;

        g_ptr_array_unref(q->new_disks);
        g_ptr_array_unref(q->old_disks);
        domain_spec_clear(&q->spec);
        (void) memory_files_free(q->memory);
        (void) network_nic_free(q->nic);
        g_free(q);
}

/* A layer that an earlier attempt has made is empty still: nothing has run on it. */
static int make_layer(const Restore *q, Fault *f)
{
        layer_remove(q->new_disks);
        return layer_create(q->new_disks, q->uid, q->gid, f);
}

static int restore_run(void *request, Fault *f)
{
        Restore *q = request;
        g_autofree DomainDisk *disks = layer_domain_disks(q->new_disks);
        Fault why = {0};
        int r = make_layer(q, f);

        if (r < 0)
                return r;
        r = hypervisor_stop_domain(q->hypervisor, q->id.text, &why);
        if (r == 0)
                r = hypervisor_set_domain_disks(q->hypervisor, q->id.text, disks, q->new_disks->len,
                                                &why);
        if (r < 0) {
                /* Without an answer the domain may have gone over: then the file has to be there.
                 */
                if (why.code != FAULT_HYPERVISOR_UNAVAILABLE) {
                        layer_remove(q->new_disks);
                        if (q->was_on && !q->was_on_disk)
                                (void) network_start_domain(q->hypervisor, q->id.text, q->nic,
                                                            NULL);
                }
                return fault_set(f, why.code, "%s", why.message);
        }
        q->has_moved = true;
        if (!q->keeps_old)
                layer_remove(q->old_disks);
        if (q->memory)
                return hypervisor_start_domain_from(q->hypervisor, &q->spec, NULL, f);
        return q->was_on ? network_start_domain(q->hypervisor, q->id.text, q->nic, f) : 0;
}

void restore_drop_unused(Sandbox *s)
{
        g_autoptr(GPtrArray) list = snapshot_list(s);
        Snapshot *head = snapshot_head(s);

        for (guint i = list->len; i-- > 0;) {
                Snapshot *hidden = list->pdata[i];
                bool is_used = hidden == head || hidden->row->name;
                for (guint j = 0; !is_used && j < list->len; j++)
                        is_used = list->pdata[j] &&
                                  g_str_equal(((Snapshot *) list->pdata[j])->row->parent_id.text,
                                              hidden->row->id.text);
                if (is_used)
                        continue;
                g_autoptr(GPtrArray) disks = layer_plan(s, hidden->row->layer, NULL);
                layer_remove(disks);
                if (store_delete_snapshot(s->manager->store, hidden->row->id.text, NULL) < 0)
                        log_error("cannot forget the hidden layer of a diff");
                snapshot_forget(hidden);
                list->pdata[i] = NULL;
        }
}

static void is_on_again(Sandbox *s, const Restore *q)
{
        if (q->nic && !q->memory)
                network_is_started(s);
        sandbox_domain_is_on(s);
}

static void restore_done(void *request, int r, const Fault *f, void *userdata)
{
        Restore *q = request;
        Sandbox *s = q->sandbox;

        (void) userdata;
        if (q->has_moved) {
                s->is_on_disk = false;
                restore_drop_unused(s);
                layer_remove_unused(s);
                if (r < 0)
                        sandbox_set_state(s, SANDBOX_STOPPED, "it could not be started: %s",
                                          f->message);
                else if (q->was_on || q->memory)
                        is_on_again(s, q);
                else if (s->state == SANDBOX_PAUSED)
                        sandbox_domain_is_off(s, "");
                manager_changed(s->manager, OBJECT_SANDBOX, s);
        } else {
                s->needs_probe = true;
        }
        q->done(q->has_moved || r < 0 ? r : 0, f, q->userdata);
}

static bool is_snapshot(const Sandbox *s, unsigned layer)
{
        g_autoptr(GPtrArray) list = snapshot_list(s);

        for (guint i = 0; i < list->len; i++)
                if (((Snapshot *) list->pdata[i])->row->layer == layer)
                        return true;
        return false;
}

void restore_finish(Sandbox *s, unsigned previous_layer, bool was_on, OperationDone done,
                    void *userdata)
{
        Manager *m = s->manager;
        Restore *q = g_new0(Restore, 1);

        *q = (Restore){.sandbox = s,
                       .hypervisor = m->hypervisor,
                       .id = s->row->id,
                       .new_disks = layer_plan(s, s->row->layer, snapshot_head(s)),
                       .old_disks = layer_plan(s, previous_layer, NULL),
                       .keeps_old =
                               previous_layer == s->row->layer || is_snapshot(s, previous_layer),
                       .uid = m->qemu_uid,
                       .gid = m->qemu_gid,
                       .was_on = was_on,
                       .was_on_disk = s->is_on_disk,
                       .nic = network_boot_nic(s),
                       .done = done,
                       .userdata = userdata};
        Snapshot *head = snapshot_head(s);
        sandbox_fill_spec(s, q->new_disks, &q->spec);
        if (head && head->row->memory_abi) {
                q->memory = memory_files_new(m, s->row->id.text, head->row->layer);
                q->spec.memory = &q->memory->memory;
        }
        sandbox_close_channel(s, "the sandbox was restored");
        s->renewal = s->row->needs_identity ? RENEW_IDENTITY
                     : q->memory            ? RENEW_CLOCK
                                            : RENEW_NOTHING;
        g_free(s->row->started_from);
        s->row->started_from = g_strdup(q->memory ? "memory" : "boot");
        if (was_on || q->memory)
                sandbox_set_state(s, SANDBOX_STARTING, "%s", REASON_RESTORING);
        (void) workers_submit(m->workers, restore_run, restore_done, q, restore_free, NULL);
}

/* -- on request ----------------------------------------------------------------------------- */

typedef struct Request {
        Sandbox *sandbox;
        AuditEntry *entry;
        Id previous_head;
        unsigned previous_layer;
        bool was_flat, needed_identity;
        uint64_t previous_pause_usec;
        OperationDone done;
        void *userdata;
} Request;

static void take_back(const Request *q)
{
        SandboxRow *row = q->sandbox->row;

        row->head_snapshot_id = q->previous_head;
        row->layer = q->previous_layer;
        row->is_flat = q->was_flat;
        row->needs_identity = q->needed_identity;
        row->paused_usec = q->previous_pause_usec;
}

/* The guest of a point that it has from another sandbox has that one's identity. */
static bool is_inherited(const Sandbox *s, const Snapshot *target)
{
        return target && target->row->created_usec <= s->row->created_usec;
}

static void request_done(int r, const Fault *f, void *userdata)
{
        Request *q = userdata;
        Sandbox *s = q->sandbox;
        Fault why = {0};

        /* Where the domain still uses the old layer the store has to say so again; if that cannot
         * be written, or libvirtd is away, the restore is finished later. */
        if (r < 0 && f->code != FAULT_HYPERVISOR_UNAVAILABLE &&
            !g_str_has_prefix(s->row->reason, "it could not be started")) {
                take_back(q);
                if (sandbox_save(s, &why) < 0)
                        log_error("cannot take back the restore of sandbox '%s': %s", s->row->name,
                                  why.message);
        }
        (void) audit_end(q->entry, r, f);
        q->done(r, f, q->userdata);
        sandbox_end_operation(s);
        g_free(q);
}

static int check_can_restore(const Sandbox *s, const char *name, Snapshot **ret, Fault *f)
{
        int r = manager_admits_work(s->manager, f);

        if (r < 0)
                return r;
        *ret = snapshot_find(s, name);
        if (!*ret && !g_str_equal(name, POINT_TEMPLATE))
                return fault_set(
                        f, FAULT_NOT_FOUND,
                        "sandbox '%s' has no snapshot '%.80s'; 'fluidctl snapshots %s' shows "
                        "them",
                        s->row->name, name, s->row->name);
        switch (s->state) {
        case SANDBOX_READY:
        case SANDBOX_STARTING:
        case SANDBOX_PAUSED:
        case SANDBOX_STOPPED:
        case SANDBOX_FAILED:
                break;
        case SANDBOX_CREATING:
        case SANDBOX_UNKNOWN:
        case SANDBOX_DESTROYING:
        case _SANDBOX_STATE_MAX:
                return fault_set(f, FAULT_WRONG_STATE,
                                 "sandbox '%s' is %s and cannot be restored now", s->row->name,
                                 sandbox_state_to_string(s->state));
        }
        r = template_check_unchanged(s->template, f);
        if (r == 0 && *ret && (*ret)->row->memory_abi)
                r = memory_check(s->manager, *ret, f);
        return r < 0 ? r : manager_has_room(s->manager, f);
}

int snapshot_restore(Sandbox *s, Caller *caller, const char *name, OperationDone done,
                     void *userdata, Fault *f)
{
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        AuditEntry *entry = NULL;
        Snapshot *target;
        int r = check_can_restore(s, name, &target, f);

        if (r == 0)
                r = sandbox_begin_operation(s, "restored", f);
        if (r < 0)
                return r;
        Json *detail = json_object_new_object();
        (void) json_object_object_add(detail, "snapshot", json_object_new_string(name));
        sandbox_touch(s);
        Request *q = g_new0(Request, 1);
        *q = (Request){.sandbox = s,
                       .previous_head = s->row->head_snapshot_id,
                       .previous_layer = s->row->layer,
                       .was_flat = s->row->is_flat,
                       .needed_identity = s->row->needs_identity,
                       .previous_pause_usec = s->row->paused_usec,
                       .done = done,
                       .userdata = userdata};
        r = audit_begin(s->manager, caller, "snapshot.restore", path, detail, &entry, f);
        if (r == 0) {
                s->row->head_snapshot_id = target ? target->row->id : (Id){""};
                s->row->layer = s->row->next_layer++;
                s->row->is_flat = false;
                s->row->needs_identity = is_inherited(s, target);
                s->row->paused_usec = 0;
                r = sandbox_save(s, f);
        }
        if (r < 0) {
                take_back(q);
                (void) audit_end(entry, r, f);
                sandbox_end_operation(s);
                g_free(q);
                return r;
        }
        q->entry = entry;
        restore_finish(s, q->previous_layer, s->agent || q->previous_pause_usec, request_done, q);
        return 0;
}
