/* SPDX-License-Identifier: MIT */

/* Switching a sandbox on and off. */

#include "core/internal.h"
#include "core/isolation.h"

#include "base/log.h"
#include "base/quantity.h"

typedef struct PowerRequest {
        Sandbox *sandbox; /* kept alive by its operation */
        Hypervisor *hypervisor;
        Id id;
        DomainNic *nic;                                       /* of one that is started, or NULL */
        int (*call)(Hypervisor *h, const char *id, Fault *f); /* NULL: it is started */
        void (*done)(Sandbox *s, int r, const Fault *f);
        AuditEntry *entry;
} PowerRequest;

static int power_run(void *request, Fault *f)
{
        PowerRequest *q = request;

        if (!q->call)
                return network_start_domain(q->hypervisor, q->id.text, q->nic, f);
        return q->call(q->hypervisor, q->id.text, f);
}

static void power_free(gpointer data)
{
        PowerRequest *q = data;

        (void) network_nic_free(q->nic);
        g_free(q);
}

static void power_done(void *request, int r, const Fault *f, void *userdata)
{
        PowerRequest *q = request;

        (void) userdata;
        (void) audit_end(q->entry, r, f);
        q->done(q->sandbox, r, f);
}

/* The sandbox's operation has been begun by the caller. */
static void submit_power(Sandbox *s, int (*call)(Hypervisor *h, const char *id, Fault *f),
                         void (*done)(Sandbox *s, int r, const Fault *f), AuditEntry *entry)
{
        PowerRequest *q = g_new0(PowerRequest, 1);

        *q = (PowerRequest){.sandbox = s,
                            .hypervisor = s->manager->hypervisor,
                            .id = s->row->id,
                            .nic = call ? NULL : network_nic_new(s),
                            .call = call,
                            .done = done,
                            .entry = entry};
        (void) workers_submit(s->manager->workers, power_run, power_done, q, power_free, NULL);
}

static void end_stop_entry(Sandbox *s, int r, const Fault *f)
{
        s->stop_entry = audit_end(s->stop_entry, r, f);
}

static void pulled(Sandbox *s, int r, const Fault *f)
{
        if (r < 0) {
                log_warning("sandbox '%s' could not be stopped: %s", s->row->name, f->message);
                end_stop_entry(s, r, f);
                wait_fail(&s->waiters, f);
                s->needs_probe = true;
        } else {
                sandbox_domain_is_off(s, "");
        }
        sandbox_end_operation(s);
}

void sandbox_pull_plug(Sandbox *s)
{
        s->stop_timer = sd_event_source_disable_unref(s->stop_timer);
        s->needs_plug_pulled = sandbox_begin_operation(s, "stopped", NULL) < 0;
        if (!s->needs_plug_pulled)
                submit_power(s, hypervisor_stop_domain, pulled, NULL);
}

static int on_stop_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
        (void) source;
        (void) usec;
        sandbox_pull_plug(userdata);
        return 0;
}

static void pressed(Sandbox *s, int r, const Fault *f)
{
        if (r < 0) {
                end_stop_entry(s, r, f);
        } else if (s->stop_entry) {
                (void) sd_event_add_time_relative(
                        s->manager->event, &s->stop_timer, CLOCK_MONOTONIC,
                        s->manager->config->stop_timeout_usec, 0, on_stop_timeout, s);
        }
        s->needs_probe = true;
        sandbox_end_operation(s);
}

int sandbox_stop(Sandbox *s, Caller *caller, bool force, Fault *f)
{
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        int r = manager_admits_work(s->manager, f);

        if (r < 0)
                return r;
        sandbox_touch(s);
        if (!s->agent && s->state != SANDBOX_PAUSED)
                return fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' is %s, not running",
                                 s->row->name, sandbox_state_to_string(s->state));
        /* A paused guest does not see its power button. */
        force |= s->state == SANDBOX_PAUSED;
        r = sandbox_begin_operation(s, "stopped", f);
        if (r < 0)
                return r;
        /* One that pressed the button before is overtaken by this. */
        s->stop_entry = audit_end(s->stop_entry, 0, NULL);
        Json *detail = json_object_new_object();
        (void) json_object_object_add(detail, "force", json_object_new_boolean(force));
        r = audit_begin(s->manager, caller, "sandbox.stop", path, detail, &s->stop_entry, f);
        if (r < 0) {
                sandbox_end_operation(s);
                return r;
        }
        s->stop_timer = sd_event_source_disable_unref(s->stop_timer);
        submit_power(s, force ? hypervisor_stop_domain : hypervisor_shut_down_domain,
                     force ? pulled : pressed, NULL);
        return 0;
}

static void started(Sandbox *s, int r, const Fault *f)
{
        if (r < 0)
                sandbox_set_state(s, SANDBOX_STOPPED, "it could not be started: %s", f->message);
        if (r >= 0 && s->row->address_number)
                network_is_started(s);
        if (r >= 0)
                sandbox_domain_is_on(s);
        sandbox_end_operation(s);
}

/* -- a guest that reboots ------------------------------------------------------------------- */

static void set_booting(Sandbox *s)
{
        g_free(s->row->started_from);
        s->row->started_from = g_strdup("boot");
        s->has_timing = false;
        sandbox_set_state(s, SANDBOX_STARTING, "%s", "");
}

static void stopped_for_reboot(Sandbox *s, int r, const Fault *f)
{
        Fault why = {0};

        if (r <= 0) {
                if (r < 0)
                        log_warning("sandbox '%s' rebooted, and it is not known whether it can: %s",
                                    s->row->name, f->message);
                s->needs_probe = true;
                sandbox_end_operation(s);
                return;
        }
        sandbox_close_channel(s, "the sandbox was rebooted");
        r = s->row->address_number ? isolation_set(s, &why) : 0;
        if (r < 0) {
                started(s, r, &why);
                return;
        }
        set_booting(s);
        submit_power(s, NULL, started, NULL);
}

/* One that is busy reboots again in a while: the BIOS does not give up. */
void sandbox_rebooted(Sandbox *s)
{
        if (!s->row->paused_usec && sandbox_begin_operation(s, "rebooted", NULL) == 0)
                submit_power(s, hypervisor_stop_unbootable, stopped_for_reboot, NULL);
}

int sandbox_start(Sandbox *s, Caller *caller, Fault *f)
{
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        AuditEntry *entry = NULL;
        int r = manager_admits_work(s->manager, f);

        if (r < 0)
                return r;
        sandbox_touch(s);
        if (s->state != SANDBOX_STOPPED && s->state != SANDBOX_FAILED)
                return fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' is %s, not stopped",
                                 s->row->name, sandbox_state_to_string(s->state));
        r = template_check_unchanged(s->template, f);
        if (r == 0)
                r = manager_has_room(s->manager, f);
        if (r == 0)
                r = manager_check_owner(s->manager, s->row->owner_uid, s->row->memory_bytes, f);
        if (r == 0)
                r = sandbox_begin_operation(s, "started", f);
        if (r < 0)
                return r;
        r = audit_begin(s->manager, caller, "sandbox.start", path, NULL, &entry, f);
        if (r >= 0 && s->row->address_number) {
                r = isolation_set(s, f);
                if (r < 0)
                        (void) audit_end(entry, r, f);
        }
        if (r < 0) {
                sandbox_end_operation(s);
                return r;
        }
        set_booting(s);
        submit_power(s, NULL, started, entry);
        return 0;
}
