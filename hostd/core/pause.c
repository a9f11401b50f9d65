/* SPDX-License-Identifier: MIT */

/* A sandbox that does not run, and can go on: its CPUs are stopped, or its memory is on disk.
 *
 * The row says that it is paused before it is, and whether its memory is on disk is told from the
 * domain: the files are whole before the domain is switched off, and go when it runs again. */

#include "core/internal.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/quantity.h"

static MemoryFiles *stream_of(const Sandbox *s)
{
        return memory_stream_new(s->manager, s->row->id.text, MEMORY_PAUSED);
}

static void remove_stream(const Sandbox *s)
{
        MemoryFiles *stream = stream_of(s);

        memory_files_remove(stream);
        (void) memory_files_free(stream);
}

/* What is left of its time is as much as when it was paused. */
void pause_end(Sandbox *s)
{
        Fault f = {0};

        sandbox_add_standstill(s, s->row->paused_usec, s->row->held_usec);
        s->row->paused_usec = 0;
        s->is_on_disk = false;
        s->renewal = MAX(s->renewal, RENEW_CLOCK);
        if (sandbox_save(s, &f) < 0)
                log_error("cannot save the end of the pause of sandbox '%s': %s", s->row->name,
                          f.message);
        remove_stream(s);
        sandbox_touch(s);
        sandbox_arm_ttl(s);
}

void pause_follow(Sandbox *s, DomainState state)
{
        MemoryFiles *stream = stream_of(s);
        bool is_on_disk = state == DOMAIN_SHUT_OFF && memory_files_exist(stream);

        s->is_on_disk = is_on_disk;
        s->is_halted = state == DOMAIN_HALTED;
        sandbox_detach(s);
        sandbox_arm_ttl(s);
        if (domain_stands_still(state))
                memory_files_remove(stream);
        (void) memory_files_free(stream);
        if (state == DOMAIN_PAUSED)
                sandbox_set_state(s, SANDBOX_PAUSED, "%s", "");
        else if (state == DOMAIN_HALTED)
                sandbox_set_state(s, SANDBOX_PAUSED,
                                  "there was no room in %s for what its guest wrote: make room, "
                                  "then resume it",
                                  s->manager->config->state_directory);
        else if (is_on_disk)
                sandbox_set_state(s, SANDBOX_PAUSED, "its memory is on disk");
        else
                sandbox_domain_is_off(s, "its memory was lost while it was paused");
}

/* Its row may have no room either; then a restart does this again. */
void pause_halted(Sandbox *s)
{
        Fault f = {0};

        if (!s->row->paused_usec) {
                log_warning("sandbox '%s' stands still: there is no room for what its guest writes",
                            s->row->name);
                s->row->paused_usec = now_realtime_usec();
                if (sandbox_save(s, &f) < 0)
                        log_error("cannot save that sandbox '%s' stands still: %s", s->row->name,
                                  f.message);
        }
        pause_follow(s, DOMAIN_HALTED);
}

/* -- in a worker ---------------------------------------------------------------------------- */

typedef struct Pause {
        Sandbox *sandbox; /* kept alive by its operation; not looked at by the worker */
        Hypervisor *hypervisor;
        GPtrArray *disks;
        DomainSpec spec;
        MemoryFiles *stream;
        DomainNic *nic; /* that is taken out before, or NULL */
        bool to_disk, resumes;
        bool is_known; /* set by the worker, and then: */
        DomainState state;
        AuditEntry *entry;
        OperationDone done;
        void *userdata;
} Pause;

static void pause_free(gpointer data)
{
        Pause *q = data;

        g_ptr_array_unref(q->disks);
        domain_spec_clear(&q->spec);
        (void) memory_files_free(q->stream);
        (void) network_nic_free(q->nic);
        g_free(q);
}

static int stop_cpus(Pause *q, Fault *f)
{
        const char *id = q->spec.id;
        int r;

        if (!q->to_disk)
                return hypervisor_pause_domain(q->hypervisor, id, f);
        memory_files_remove(q->stream);
        r = q->nic ? network_unplug(q->hypervisor, id, q->nic, f) : 0;
        if (r >= 0)
                r = hypervisor_save_memory(q->hypervisor, id, &q->stream->memory, f);
        return r < 0 ? r : hypervisor_stop_domain(q->hypervisor, id, f);
}

static int go_on(Pause *q, Fault *f)
{
        const char *id = q->spec.id;
        int r = hypervisor_domain_state(q->hypervisor, id, &q->state, f);

        if (r < 0)
                return r;
        if (domain_stands_still(q->state))
                return hypervisor_resume_domain(q->hypervisor, id, f);
        if (q->state == DOMAIN_LOADING)
                r = hypervisor_stop_domain(q->hypervisor, id, f);
        q->spec.memory = &q->stream->memory;
        return r < 0 ? r : hypervisor_start_domain_from(q->hypervisor, &q->spec, NULL, f);
}

static int pause_run(void *request, Fault *f)
{
        Pause *q = request;
        Fault why = {0};
        int r = q->resumes ? go_on(q, f) : stop_cpus(q, f);

        /* Whatever came of it, the state is what the domain's is. */
        q->is_known = hypervisor_domain_state(q->hypervisor, q->spec.id, &q->state, &why) >= 0;
        if (!q->is_known && r >= 0)
                r = fault_set(f, why.code, "%s", why.message);
        return r;
}

/* -- the loop's side ------------------------------------------------------------------------ */

static void pause_done(void *request, int r, const Fault *f, void *userdata)
{
        Pause *q = request;
        Sandbox *s = q->sandbox;

        (void) userdata;
        if (q->resumes && q->is_known && q->state == DOMAIN_RUNNING)
                network_is_resumed(s);
        if (s->state != SANDBOX_DESTROYING) {
                s->needs_probe |= !q->is_known;
                if (q->is_known)
                        sandbox_follow(s, q->state);
        }
        (void) audit_end(q->entry, r, f);
        q->done(r, f, q->userdata);
        sandbox_end_operation(s);
}

static void submit(Sandbox *s, bool to_disk, bool resumes, AuditEntry *entry, OperationDone done,
                   void *userdata)
{
        Pause *q = g_new0(Pause, 1);

        *q = (Pause){.sandbox = s,
                     .hypervisor = s->manager->hypervisor,
                     .disks = layer_plan(s, s->row->layer, snapshot_head(s)),
                     .stream = stream_of(s),
                     .nic = to_disk ? network_lend_nic(s) : NULL,
                     .to_disk = to_disk,
                     .resumes = resumes,
                     .entry = entry,
                     .done = done,
                     .userdata = userdata};
        sandbox_fill_spec(s, q->disks, &q->spec);
        (void) workers_submit(s->manager->workers, pause_run, pause_done, q, pause_free, NULL);
}

static int check_can_pause(const Sandbox *s, bool to_disk, Fault *f)
{
        int r = manager_admits_work(s->manager, f);

        /* What is paused in RAM can still go to disk. */
        if (r == 0 && s->state != SANDBOX_READY &&
            !(to_disk && s->state == SANDBOX_PAUSED && !s->is_on_disk))
                r = fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' is %s, not ready", s->row->name,
                              sandbox_state_to_string(s->state));
        if (r == 0 && command_is_starting(s))
                r = fault_set(f, FAULT_BUSY,
                              "a command is just being started in sandbox '%s'; try again",
                              s->row->name);
        return r == 0 && to_disk ? manager_has_room(s->manager, f) : r;
}

int sandbox_pause(Sandbox *s, Caller *caller, bool to_disk, OperationDone done, void *userdata,
                  Fault *f)
{
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        bool was_paused = s->state == SANDBOX_PAUSED;
        AuditEntry *entry = NULL;
        int r = check_can_pause(s, to_disk, f);

        if (r == 0)
                r = sandbox_begin_operation(s, "paused", f);
        if (r < 0)
                return r;
        Json *detail = json_object_new_object();
        (void) json_object_object_add(detail, "to_disk", json_object_new_boolean(to_disk));
        r = audit_begin(s->manager, caller, "sandbox.pause", path, detail, &entry, f);
        if (r == 0 && !was_paused) {
                s->row->paused_usec = now_realtime_usec();
                r = sandbox_save(s, f);
        }
        if (r < 0) {
                if (!was_paused)
                        s->row->paused_usec = 0;
                (void) audit_end(entry, r, f);
                sandbox_end_operation(s);
                return r;
        }
        sandbox_detach(s);
        submit(s, to_disk, false, entry, done, userdata);
        return 0;
}

int sandbox_resume(Sandbox *s, Caller *caller, OperationDone done, void *userdata, Fault *f)
{
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        AuditEntry *entry = NULL;
        int r = manager_admits_work(s->manager, f);

        if (r == 0 && s->state != SANDBOX_PAUSED)
                r = fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' is %s, not paused", s->row->name,
                              sandbox_state_to_string(s->state));
        if (r == 0 && s->is_halted)
                r = manager_has_room(s->manager, f);
        if (r == 0 && s->is_on_disk)
                r = manager_check_owner(s->manager, s->row->owner_uid, s->row->memory_bytes, f);
        if (r == 0)
                r = sandbox_begin_operation(s, "resumed", f);
        if (r < 0)
                return r;
        r = audit_begin(s->manager, caller, "sandbox.resume", path, NULL, &entry, f);
        if (r < 0) {
                sandbox_end_operation(s);
                return r;
        }
        submit(s, false, true, entry, done, userdata);
        return 0;
}
