/* SPDX-License-Identifier: MIT */

/* How a sandbox goes: with its domain, its files and its rows. */

#include "core/internal.h"

#include "base/file.h"
#include "base/log.h"

typedef struct Destroyer {
        AuditEntry *entry;
        OperationDone done;
        void *userdata;
} Destroyer;

typedef struct Destruction {
        Sandbox *sandbox;
        Hypervisor *hypervisor;
        Id id;
        char *directory, *runtime_directory;
} Destruction;

static void destruction_free(gpointer data)
{
        Destruction *q = data;

        g_free(q->directory);
        g_free(q->runtime_directory);
        g_free(q);
}

static int destruction_run(void *request, Fault *f)
{
        Destruction *q = request;
        int r = hypervisor_remove_domain(q->hypervisor, q->id.text, f);

        if (r == 0)
                r = remove_tree(q->runtime_directory, f);
        return r < 0 ? r : remove_tree(q->directory, f);
}

void sandbox_answer_destroyers(GPtrArray *destroyers, int r, const Fault *f)
{
        for (guint i = 0; destroyers && i < destroyers->len; i++) {
                Destroyer *d = destroyers->pdata[i];
                (void) audit_end(d->entry, r, f);
                if (d->done)
                        d->done(r, f, d->userdata);
        }
}

void sandbox_forget(Sandbox *s, const Fault *why)
{
        g_autoptr(GPtrArray) snapshots = snapshot_list(s);
        Manager *m = s->manager;
        Id id = s->row->id;

        g_autofree char *path = sandbox_bus_path(id.text);

        audit_abandon(m, "snapshot.create", path);
        audit_abandon(m, "snapshot.restore", path);
        network_forget(s);
        command_forget_all(s);
        /* The newest first: each stands on an older one. */
        for (guint i = snapshots->len; i-- > 0;)
                snapshot_forget(snapshots->pdata[i]);
        if (s->is_announced)
                manager_remove(m, OBJECT_SANDBOX, s->row->id.text, s);
        else
                (void) g_hash_table_remove(m->objects[OBJECT_SANDBOX], s->row->id.text);
        Template *t = g_str_equal(s->row->purpose, PURPOSE_POOL) ? s->template : NULL;
        wait_fail(&s->waiters, why);
        (void) sandbox_free(s);
        if (t)
                pool_tend(t);
        approval_sandbox_gone(m, id.text);
}

static void destruction_done(void *request, int r, const Fault *f, void *userdata)
{
        Destruction *q = request;
        Sandbox *s = q->sandbox;
        Manager *m = s->manager;
        g_autoptr(GPtrArray) destroyers = g_steal_pointer(&s->destroyers);
        Fault why = *f;

        (void) userdata;
        if (r >= 0)
                r = store_delete_sandbox(m->store, s->row->id.text, &why);
        if (r >= 0) {
                Fault gone = {0};
                (void) fault_set(&gone, FAULT_NOT_FOUND, "sandbox '%s' was destroyed",
                                 s->row->name);
                log_info("sandbox '%s' is destroyed", s->row->name);
                sandbox_forget(s, &gone);
        } else {
                /* It stays "destroying", and is tried again when libvirtd is back or asked anew. */
                log_warning("sandbox '%s' could not be destroyed: %s", s->row->name, why.message);
                s->operation = NULL;
        }
        sandbox_answer_destroyers(destroyers, r, &why);
        manager_end_operation(m);
}

static void destroy_now(Sandbox *s)
{
        Manager *m = s->manager;
        Destruction *q = g_new0(Destruction, 1);

        sandbox_close_channel(s, "the sandbox was destroyed");
        s->stop_timer = sd_event_source_disable_unref(s->stop_timer);
        s->stop_entry = audit_end(s->stop_entry, 0, NULL);
        if (s->create_entry) {
                Fault f = {0};
                int r = fault_set(&f, FAULT_CANCELLED, "it was destroyed before it was ready");
                s->create_entry = audit_end(s->create_entry, r, &f);
        }
        s->operation = "destroyed";
        manager_begin_operation(m);
        *q = (Destruction){.sandbox = s,
                           .hypervisor = m->hypervisor,
                           .id = s->row->id,
                           .directory = sandbox_directory(m, s->row->id.text),
                           .runtime_directory = sandbox_runtime_directory(m, s->row->id.text)};
        (void) workers_submit(m->workers, destruction_run, destruction_done, q, destruction_free,
                              NULL);
}

void sandbox_destroy_unfinished(Sandbox *s)
{
        if (s->state == SANDBOX_DESTROYING && !s->operation)
                destroy_now(s);
}

int sandbox_destroy(Sandbox *s, Caller *caller, OperationDone done, void *userdata, Fault *f)
{
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        Json *detail = json_object_new_object();
        AuditEntry *entry = NULL;
        int r;

        (void) json_object_object_add(detail, "name", json_object_new_string(s->row->name));
        r = audit_begin(s->manager, caller, "sandbox.destroy", path, detail, &entry, f);
        if (r < 0)
                return r;
        Destroyer *d = g_new0(Destroyer, 1);
        *d = (Destroyer){entry, done, userdata};
        if (!s->destroyers)
                s->destroyers = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(s->destroyers, d);
        sandbox_set_state(s, SANDBOX_DESTROYING, "%s", "");
        network_tell_last_drops(s);
        sandbox_destroy_unfinished(s);
        return 0;
}

void sandbox_resume_destruction(Sandbox *s)
{
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        Destroyer *d = g_new0(Destroyer, 1);

        d->entry = audit_resume(s->manager, "sandbox.destroy", path);
        s->destroyers = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(s->destroyers, d);
}

void sandbox_discard_destroyers(Sandbox *s)
{
        for (guint i = 0; s->destroyers && i < s->destroyers->len; i++)
                (void) audit_discard(((Destroyer *) s->destroyers->pdata[i])->entry);
        g_clear_pointer(&s->destroyers, g_ptr_array_unref);
}
