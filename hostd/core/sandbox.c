/* SPDX-License-Identifier: MIT */
#include "core/internal.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/quantity.h"

#include <stdarg.h>
#include <string.h>

static const char *const state_names[_SANDBOX_STATE_MAX] = {
        [SANDBOX_CREATING] = "creating",     [SANDBOX_STARTING] = "starting",
        [SANDBOX_READY] = "ready",           [SANDBOX_STOPPED] = "stopped",
        [SANDBOX_FAILED] = "failed",         [SANDBOX_UNKNOWN] = "unknown",
        [SANDBOX_DESTROYING] = "destroying",
};

const char *sandbox_state_to_string(SandboxState state)
{
        return state_names[state];
}

SandboxState sandbox_state(const Sandbox *s)
{
        return s->state;
}

const SandboxRow *sandbox_row(const Sandbox *s)
{
        return s->row;
}

bool sandbox_is_visible(const Sandbox *s, const Caller *caller)
{
        return caller_is_admin(caller) || s->row->owner_uid == caller->uid;
}

const char *sandbox_template_name(const Sandbox *s)
{
        return s->template->row->name;
}

const char *sandbox_head_name(const Sandbox *s)
{
        const Snapshot *named = snapshot_named_below(s->manager, snapshot_head(s));

        return named ? named->row->name : POINT_TEMPLATE;
}

bool sandbox_is_on(const Sandbox *s)
{
        return s->agent;
}

char *sandbox_bus_path(const char *id)
{
        return g_strdup_printf("/sh/fluid/Host1/sandbox/%s", id);
}

char *sandbox_directory(const Manager *m, const char *id)
{
        return g_build_filename(m->config->state_directory, "sandboxes", id, NULL);
}

char *sandbox_file(const Manager *m, const char *id, const char *file)
{
        return g_build_filename(m->config->state_directory, "sandboxes", id, file, NULL);
}

char *sandbox_runtime_directory(const Manager *m, const char *id)
{
        return g_build_filename(m->config->runtime_directory, id, NULL);
}

char *sandbox_layer_path(const Manager *m, const char *id, unsigned layer, const char *target)
{
        g_autofree char *file = g_strdup_printf("%u-%s.qcow2", layer, target);

        return sandbox_file(m, id, file);
}

/* -- state ---------------------------------------------------------------------------------- */

int sandbox_save(Sandbox *s, Fault *f)
{
        return store_put_sandbox(s->manager->store, s->row, f);
}

static bool is_settled(SandboxState state)
{
        switch (state) {
        case SANDBOX_CREATING:
        case SANDBOX_STARTING:
        case SANDBOX_UNKNOWN:
        case SANDBOX_DESTROYING:
                return false;
        case SANDBOX_READY:
        case SANDBOX_STOPPED:
        case SANDBOX_FAILED:
                return true;
        case _SANDBOX_STATE_MAX:
                break;
        }
        g_assert_not_reached();
}

/* Reached, or not to be reached any more without another call: a sandbox that is ready does not
 * stop by itself, but whoever waits for "stopped" has asked for that. */
static bool is_reached(const char *wanted, void *object)
{
        const Sandbox *s = object;

        if (g_str_equal(wanted, "") || g_str_equal(wanted, "failed"))
                return is_settled(s->state);
        if (g_str_equal(wanted, "stopped"))
                return s->state == SANDBOX_STOPPED || s->state == SANDBOX_FAILED;
        return is_settled(s->state) && !s->operation;
}

void sandbox_set_state(Sandbox *s, SandboxState state, const char *format, ...)
{
        Fault f = {0};
        va_list ap;

        va_start(ap, format);
        g_autofree char *reason = g_strdup_vprintf(format, ap);
        va_end(ap);
        if (s->state == state && g_str_equal(s->row->reason, reason))
                return;
        /* There is no way back from there. */
        if (s->state == SANDBOX_DESTROYING)
                return;
        s->state = state;
        /* The row keeps the last state that was known. */
        if (state != SANDBOX_UNKNOWN) {
                g_free(s->row->state);
                s->row->state = g_strdup(state_names[state]);
        }
        g_free(s->row->reason);
        s->row->reason = TAKE_PTR(reason);
        /* What libvirt says is asked again at the next start anyway. */
        if (state != SANDBOX_UNKNOWN && sandbox_save(s, &f) < 0)
                log_error("cannot save the state of sandbox '%s': %s", s->row->name, f.message);
        g_autofree char *field = g_strdup_printf("SANDBOX=%s", s->row->id.text);
        const char *fields[] = {field, NULL};
        log_fields(LOG_INFO, fields, "sandbox '%s' is %s%s%s", s->row->name, state_names[state],
                   *s->row->reason ? ": " : "", s->row->reason);
        manager_changed(s->manager, OBJECT_SANDBOX, s);
        wait_notify(&s->waiters, is_reached, s);
}

int sandbox_require_ready(const Sandbox *s, Fault *f)
{
        switch (s->state) {
        case SANDBOX_READY:
                return manager_admits_work(s->manager, f);
        case SANDBOX_CREATING:
        case SANDBOX_STARTING:
                return fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' is %s; wait until it is ready",
                                 s->row->name, state_names[s->state]);
        case SANDBOX_STOPPED:
        case SANDBOX_FAILED:
                return fault_set(f, FAULT_WRONG_STATE,
                                 "sandbox '%s' is %s; start it first: fluidctl start %s",
                                 s->row->name, state_names[s->state], s->row->name);
        case SANDBOX_UNKNOWN:
                return fault_set(
                        f, FAULT_HYPERVISOR_UNAVAILABLE,
                        "libvirtd does not answer, so the state of sandbox '%s' is not known",
                        s->row->name);
        case SANDBOX_DESTROYING:
                return fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' is being destroyed",
                                 s->row->name);
        case _SANDBOX_STATE_MAX:
                break;
        }
        g_assert_not_reached();
}

/* -- the agent's channel -------------------------------------------------------------------- */

static int on_boot_timeout(sd_event_source *source, uint64_t usec, void *userdata);
static void pull_plug(Sandbox *s);

/* A guest without an answer has no business running. */
static void fail_boot(Sandbox *s, const Fault *f)
{
        s->create_entry = audit_end(s->create_entry, fault_to_errno(f->code), f);
        sandbox_set_state(s, SANDBOX_FAILED, "%s", f->message);
        pull_plug(s);
}

static void on_thawed(int r, const Fault *f, void *userdata)
{
        Sandbox *s = userdata;

        if (r >= 0)
                return;
        log_warning("sandbox '%s' may be frozen and could not be thawed: %s", s->row->name,
                    f->message);
        s->needs_thaw = true;
}

/* A guest that is not frozen does not mind. */
static void thaw_if_needed(Sandbox *s)
{
        const Manager *m = s->manager;
        GuestTask *task;

        if (s->needs_thaw && s->agent && agent_is_reachable(s->agent))
                s->needs_thaw = guest_thaw(m->event, s->agent, m->config->freeze_timeout_usec,
                                           on_thawed, s, &task, NULL) < 0;
}

static void on_reachable(Agent *a, bool is_reachable, const Fault *why, void *userdata)
{
        Sandbox *s = userdata;

        (void) a;
        if (is_reachable && (s->state == SANDBOX_STARTING || s->state == SANDBOX_UNKNOWN)) {
                if (!hypervisor_is_connected(s->manager->hypervisor))
                        return;
                s->boot_timer = sd_event_source_disable_unref(s->boot_timer);
                s->create_entry = audit_end(s->create_entry, 0, NULL);
                thaw_if_needed(s);
                sandbox_set_state(s, SANDBOX_READY, "%s", "");
                command_resume_all(s);
        } else if (!is_reachable && s->state == SANDBOX_READY) {
                /* The guest may be booting anew; how long that takes is its own affair. */
                sandbox_set_state(s, SANDBOX_STARTING, "the guest agent went away: %s",
                                  fault_is_set(why) ? why->message : "it closed its channel");
        }
}

static const AgentObserver agent_observer = {on_reachable};

void sandbox_domain_is_on(Sandbox *s)
{
        Manager *m = s->manager;
        Fault f = {0};

        if (s->state == SANDBOX_DESTROYING)
                return;
        if (!s->agent) {
                g_autofree char *directory = sandbox_runtime_directory(m, s->row->id.text);
                g_autofree char *socket = g_build_filename(directory, "agent.sock", NULL);
                if (agent_new(m->event, socket, &agent_observer, s, &s->agent, &f) < 0) {
                        fail_boot(s, &f);
                        return;
                }
                (void) sd_event_add_time_relative(m->event, &s->boot_timer, CLOCK_MONOTONIC,
                                                  s->row->boot_timeout_usec, 0, on_boot_timeout, s);
        }
        if (agent_is_reachable(s->agent))
                on_reachable(s->agent, true, NULL, s);
        else if (s->state != SANDBOX_READY)
                sandbox_set_state(s, SANDBOX_STARTING, "%s", "");
}

void sandbox_close_channel(Sandbox *s, const char *reason)
{
        s->boot_timer = sd_event_source_disable_unref(s->boot_timer);
        command_fail_all(s, FAULT_AGENT_UNAVAILABLE, reason);
        s->agent = agent_free(s->agent);
}

void sandbox_domain_is_off(Sandbox *s, const char *reason)
{
        sandbox_close_channel(s, "the sandbox was switched off");
        s->stop_timer = sd_event_source_disable_unref(s->stop_timer);
        s->stop_entry = audit_end(s->stop_entry, 0, NULL);
        if (s->create_entry) {
                Fault f = {0};
                int r = fault_set(&f, FAULT_AGENT_UNAVAILABLE,
                                  "it switched itself off before its guest agent answered");
                s->create_entry = audit_end(s->create_entry, r, &f);
                sandbox_set_state(s, SANDBOX_FAILED, "%s", f.message);
        } else if (s->state != SANDBOX_FAILED) {
                sandbox_set_state(s, SANDBOX_STOPPED, "%s", reason);
        }
}

/* -- operations ----------------------------------------------------------------------------- */

int sandbox_begin_operation(Sandbox *s, const char *what, Fault *f)
{
        if (s->state == SANDBOX_DESTROYING)
                return fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' is being destroyed",
                                 s->row->name);
        if (s->operation)
                return fault_set(f, FAULT_BUSY,
                                 "sandbox '%s' is being %s; try again when that has ended",
                                 s->row->name, s->operation);
        s->operation = what;
        s->probe_generation++;
        manager_begin_operation(s->manager);
        return 0;
}

static void destroy_now(Sandbox *s);

void sandbox_end_operation(Sandbox *s)
{
        Manager *m = s->manager;

        g_assert(s->operation);
        s->operation = NULL;
        s->probe_generation++;
        if (s->state == SANDBOX_DESTROYING && !m->is_closing) {
                destroy_now(s);
        } else if (!m->is_closing) {
                wait_notify(&s->waiters, is_reached, s);
                thaw_if_needed(s);
                if (s->needs_plug_pulled)
                        pull_plug(s);
                else if (s->needs_reconcile)
                        reconcile_sandbox(s);
                else if (s->needs_probe)
                        sandbox_probe(s);
        }
        manager_end_operation(m);
}

/* -- probing: the state comes from libvirt, not from our own calls ------------------------------
 */

typedef struct Probe {
        Hypervisor *hypervisor;
        Manager *manager;
        Id id;
        unsigned generation;
        DomainState state;
} Probe;

static int probe_run(void *request, Fault *f)
{
        Probe *q = request;

        return hypervisor_domain_state(q->hypervisor, q->id.text, &q->state, f);
}

void sandbox_follow(Sandbox *s, DomainState state)
{
        switch (state) {
        case DOMAIN_RUNNING:
        case DOMAIN_PAUSED:
                if (s->state != SANDBOX_FAILED)
                        sandbox_domain_is_on(s);
                break;
        case DOMAIN_SHUT_OFF:
                sandbox_domain_is_off(s, "");
                break;
        case DOMAIN_CRASHED:
                sandbox_domain_is_off(s, "the guest crashed");
                break;
        case DOMAIN_ABSENT:
                sandbox_close_channel(s, "the sandbox's domain is gone");
                sandbox_set_state(s, SANDBOX_FAILED,
                                  "its domain was removed from libvirt; destroy the sandbox");
                break;
        case _DOMAIN_STATE_MAX:
                g_assert_not_reached();
        }
}

static void probe_done(void *request, int r, const Fault *f, void *userdata)
{
        Probe *q = request;
        Sandbox *s = g_hash_table_lookup(q->manager->objects[OBJECT_SANDBOX], q->id.text);

        (void) f;
        (void) userdata;
        if (!s)
                return;
        s->is_probing = false;
        /* Without an answer the state stays: connected() brings the next question. */
        if (r >= 0 && q->generation == s->probe_generation && !s->operation &&
            s->state != SANDBOX_DESTROYING)
                sandbox_follow(s, q->state);
        if (s->needs_probe)
                sandbox_probe(s);
}

void sandbox_probe(Sandbox *s)
{
        s->needs_probe = s->operation || s->is_probing;
        if (s->needs_probe)
                return;
        Probe *q = g_new0(Probe, 1);
        *q = (Probe){.hypervisor = s->manager->hypervisor,
                     .manager = s->manager,
                     .id = s->row->id,
                     .generation = s->probe_generation};
        s->is_probing = true;
        (void) workers_submit(s->manager->workers, probe_run, probe_done, q, g_free, NULL);
}

/* -- stopping ------------------------------------------------------------------------------- */

typedef struct PowerRequest {
        Sandbox *sandbox; /* kept alive by its operation */
        Hypervisor *hypervisor;
        Id id;
        int (*call)(Hypervisor *h, const char *id, Fault *f);
        void (*done)(Sandbox *s, int r, const Fault *f);
        AuditEntry *entry;
} PowerRequest;

static int power_run(void *request, Fault *f)
{
        PowerRequest *q = request;

        return q->call(q->hypervisor, q->id.text, f);
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
                            .call = call,
                            .done = done,
                            .entry = entry};
        (void) workers_submit(s->manager->workers, power_run, power_done, q, g_free, NULL);
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

/* As soon as no other operation is under way. */
static void pull_plug(Sandbox *s)
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
        pull_plug(userdata);
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
        if (!s->agent)
                return fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' is %s, not running",
                                 s->row->name, state_names[s->state]);
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

static int on_boot_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
        Sandbox *s = userdata;
        g_autofree char *limit = duration_format(s->row->boot_timeout_usec);
        Fault f = {0};

        (void) source;
        (void) usec;
        s->boot_timer = sd_event_source_disable_unref(s->boot_timer);
        if (s->state != SANDBOX_STARTING)
                return 0;
        (void) fault_set(&f, FAULT_AGENT_UNAVAILABLE,
                         "the guest agent did not answer within %s: the image needs "
                         "qemu-guest-agent installed and started at boot; see its console log",
                         limit);
        fail_boot(s, &f);
        return 0;
}

/* -- starting ------------------------------------------------------------------------------- */

static void started(Sandbox *s, int r, const Fault *f)
{
        if (r < 0)
                sandbox_set_state(s, SANDBOX_STOPPED, "it could not be started: %s", f->message);
        else
                sandbox_domain_is_on(s);
        sandbox_end_operation(s);
}

int sandbox_start(Sandbox *s, Caller *caller, Fault *f)
{
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        AuditEntry *entry = NULL;
        int r = manager_admits_work(s->manager, f);

        if (r < 0)
                return r;
        if (s->state != SANDBOX_STOPPED && s->state != SANDBOX_FAILED)
                return fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' is %s, not stopped",
                                 s->row->name, state_names[s->state]);
        r = template_check_unchanged(s->template, f);
        if (r == 0)
                r = manager_has_room(s->manager, f);
        if (r == 0)
                r = sandbox_begin_operation(s, "started", f);
        if (r < 0)
                return r;
        r = audit_begin(s->manager, caller, "sandbox.start", path, NULL, &entry, f);
        if (r < 0) {
                sandbox_end_operation(s);
                return r;
        }
        sandbox_set_state(s, SANDBOX_STARTING, "%s", "");
        submit_power(s, hypervisor_start_domain, started, entry);
        return 0;
}

/* -- destroying ----------------------------------------------------------------------------- */

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

        command_forget_all(s);
        /* The newest first: each stands on an older one. */
        for (guint i = snapshots->len; i-- > 0;)
                snapshot_forget(snapshots->pdata[i]);
        manager_remove(s->manager, OBJECT_SANDBOX, s->row->id.text, s);
        wait_fail(&s->waiters, why);
        (void) sandbox_free(s);
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
        sandbox_destroy_unfinished(s);
        return 0;
}

/* -- time to live --------------------------------------------------------------------------- */

static int on_expired(sd_event_source *source, uint64_t usec, void *userdata)
{
        Sandbox *s = userdata;
        Caller own = manager_own_caller();
        Fault f = {0};

        (void) source;
        (void) usec;
        s->ttl_timer = sd_event_source_disable_unref(s->ttl_timer);
        log_info("the time of sandbox '%s' is up", s->row->name);
        if (sandbox_destroy(s, &own, NULL, NULL, &f) < 0)
                log_error("cannot destroy sandbox '%s': %s", s->row->name, f.message);
        return 0;
}

void sandbox_arm_ttl(Sandbox *s)
{
        s->ttl_timer = sd_event_source_disable_unref(s->ttl_timer);
        if (s->row->expires_usec)
                (void) sd_event_add_time(s->manager->event, &s->ttl_timer, CLOCK_REALTIME,
                                         s->row->expires_usec, USEC_PER_SEC, on_expired, s);
}

int sandbox_extend_ttl(Sandbox *s, Caller *caller, uint64_t ttl_usec, Fault *f)
{
        const Config *c = s->manager->config;
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        uint64_t previous = s->row->expires_usec, now = now_realtime_usec();
        AuditEntry *entry = NULL;
        int r;

        if (ttl_usec == 0 || ttl_usec > c->ttl_max_usec)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "the time has to be more than 0 and at most ttl_max");
        Json *detail = json_object_new_object();
        (void) json_object_object_add(detail, "ttl_usec", json_object_new_uint64(ttl_usec));
        r = audit_begin(s->manager, caller, "sandbox.extend", path, detail, &entry, f);
        if (r < 0)
                return r;
        s->row->expires_usec = ttl_usec >= USEC_INFINITY - now ? 0 : now + ttl_usec;
        r = sandbox_save(s, f);
        if (r < 0)
                s->row->expires_usec = previous;
        else
                sandbox_arm_ttl(s);
        (void) audit_end(entry, r, f);
        manager_changed(s->manager, OBJECT_SANDBOX, s);
        return r;
}

/* -- waiting, beginning and end ------------------------------------------------------------- */

int sandbox_wait(Sandbox *s, const char *wanted, uint64_t timeout_usec, OperationDone done,
                 void *userdata, Fault *f)
{
        static const char *const allowed[] = {"", "ready", "stopped", "failed", NULL};

        if (!g_strv_contains(allowed, wanted))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "cannot wait for '%.40s': use ready, stopped, failed or nothing",
                                 wanted);
        return wait_add(&s->waiters, s->manager->event, wanted, timeout_usec, is_reached, s, done,
                        userdata, f);
}

Sandbox *sandbox_free(Sandbox *s)
{
        if (!s)
                return NULL;
        s->boot_timer = sd_event_source_disable_unref(s->boot_timer);
        s->stop_timer = sd_event_source_disable_unref(s->stop_timer);
        s->ttl_timer = sd_event_source_disable_unref(s->ttl_timer);
        s->agent = agent_free(s->agent);
        s->create_entry = audit_discard(s->create_entry);
        s->stop_entry = audit_discard(s->stop_entry);
        wait_clear(&s->waiters);
        for (guint i = 0; s->destroyers && i < s->destroyers->len; i++)
                (void) audit_discard(((Destroyer *) s->destroyers->pdata[i])->entry);
        g_clear_pointer(&s->destroyers, g_ptr_array_unref);
        (void) sandbox_row_free(s->row);
        g_free(s);
        return NULL;
}

static SandboxState state_from_string(const char *name)
{
        for (SandboxState state = 0; state < _SANDBOX_STATE_MAX; state++)
                if (g_str_equal(state_names[state], name))
                        return state;
        return SANDBOX_UNKNOWN;
}

/* What an earlier process had begun, and this one will end. */
static void resume_entries(Sandbox *s)
{
        g_autofree char *path = sandbox_bus_path(s->row->id.text);

        s->create_entry = audit_resume(s->manager, "sandbox.create", path);
        if (s->state != SANDBOX_DESTROYING)
                return;
        Destroyer *d = g_new0(Destroyer, 1);
        d->entry = audit_resume(s->manager, "sandbox.destroy", path);
        s->destroyers = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(s->destroyers, d);
}

int sandbox_load_all(Manager *m, Fault *f)
{
        g_autoptr(GPtrArray) rows = NULL;
        int r = store_load_sandboxes(m->store, &rows, f);

        if (r < 0)
                return r;
        g_ptr_array_set_free_func(rows, NULL);
        for (guint i = 0; i < rows->len; i++) {
                Sandbox *s = g_new0(Sandbox, 1);
                s->manager = m;
                s->row = rows->pdata[i];
                s->state = state_from_string(s->row->state);
                s->template = manager_find_template(m, s->row->template_id.text);
                if (!s->template)
                        return fault_set(f, FAULT_INTERNAL,
                                         "sandbox '%s' stands on a template that the database does "
                                         "not have",
                                         s->row->name);
                if (s->state != SANDBOX_CREATING && s->state != SANDBOX_DESTROYING &&
                    s->state != SANDBOX_FAILED)
                        s->state = SANDBOX_UNKNOWN;
                s->needs_thaw = true;
                resume_entries(s);
                manager_add(m, OBJECT_SANDBOX, s->row->id.text, s);
                sandbox_arm_ttl(s);
                /* Gone after a reboot; QEMU makes its socket there. */
                g_autofree char *directory = sandbox_runtime_directory(m, s->row->id.text);
                r = make_directory(directory, 0700, m->qemu_uid, m->qemu_gid, f);
                if (r < 0)
                        return r;
        }
        return 0;
}
