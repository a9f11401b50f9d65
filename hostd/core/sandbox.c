/* SPDX-License-Identifier: MIT */
#include "core/internal.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/quantity.h"

#include <stdarg.h>
#include <string.h>

#define CHANNEL_RETRY_USEC USEC_PER_SEC

static const char *const state_names[_SANDBOX_STATE_MAX] = {
        [SANDBOX_CREATING] = "creating", [SANDBOX_STARTING] = "starting",
        [SANDBOX_READY] = "ready",       [SANDBOX_PAUSED] = "paused",
        [SANDBOX_STOPPED] = "stopped",   [SANDBOX_FAILED] = "failed",
        [SANDBOX_UNKNOWN] = "unknown",   [SANDBOX_DESTROYING] = "destroying",
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
        return !sandbox_is_hidden(s) &&
               (caller_is_admin(caller) || s->row->owner_uid == caller->uid);
}

bool sandbox_is_hidden(const Sandbox *s)
{
        return *s->row->purpose;
}

void sandbox_announce(Sandbox *s)
{
        g_autoptr(GPtrArray) snapshots = NULL;

        if (sandbox_is_hidden(s) || s->is_announced)
                return;
        s->is_announced = true;
        manager_add(s->manager, OBJECT_SANDBOX, s->row->id.text, s);
        snapshots = snapshot_list(s);
        for (guint i = 0; i < snapshots->len; i++)
                snapshot_become_known(snapshots->pdata[i]);
}

const SandboxTiming *sandbox_timing(const Sandbox *s, size_t *ret_n)
{
        *ret_n = s->has_timing ? _TIMING_STEP_MAX : 0;
        return s->timing;
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

bool sandbox_holds_memory(const Sandbox *s)
{
        return s->agent || (s->state == SANDBOX_PAUSED && !s->is_on_disk);
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
        case SANDBOX_PAUSED:
        case SANDBOX_STOPPED:
        case SANDBOX_FAILED:
                return true;
        case _SANDBOX_STATE_MAX:
                break;
        }
        g_assert_not_reached();
}

bool sandbox_is_at_rest(const Sandbox *s)
{
        return is_settled(s->state) && !s->operation;
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
        if (g_str_equal(wanted, "paused"))
                return s->state == SANDBOX_PAUSED || s->state == SANDBOX_STOPPED ||
                       s->state == SANDBOX_FAILED;
        if (g_str_equal(wanted, "online"))
                return s->is_online || !s->row->address_number || s->state == SANDBOX_STOPPED ||
                       s->state == SANDBOX_FAILED;
        return sandbox_is_at_rest(s);
}

void sandbox_notify(Sandbox *s)
{
        wait_notify(&s->waiters, is_reached, s);
}

/* With its row in the trail, unless nobody knows of the sandbox, and the end of what made it ready:
 * one wait for the disk. */
static int save_state(Sandbox *s, const char *before, Fault *f)
{
        Store *store = s->manager->store;
        const SandboxRow *row = s->row;

        if (g_str_equal(before, row->state) || s->state == SANDBOX_DESTROYING ||
            sandbox_is_hidden(s))
                return sandbox_save(s, f);
        g_autofree char *path = sandbox_bus_path(row->id.text);
        Caller own = manager_own_caller();
        Json *detail = json_object_new_object();
        (void) json_object_object_add(detail, "from", json_object_new_string(before));
        (void) json_object_object_add(detail, "to", json_object_new_string(row->state));
        if (*row->reason)
                (void) json_object_object_add(detail, "reason",
                                              json_object_new_string(row->reason));
        int r = store_begin(store, f);
        if (r < 0) {
                (void) json_object_put(detail);
                return r;
        }
        if (s->state == SANDBOX_READY)
                r = audit_write_end(s->create_entry, 0, NULL, f);
        if (r == 0)
                r = audit_note(s->manager, &own, "sandbox.state", path, detail, f);
        else
                (void) json_object_put(detail);
        if (r == 0)
                r = sandbox_save(s, f);
        if (r == 0)
                r = store_commit(store, f);
        if (r < 0)
                store_rollback(store);
        return r;
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
        g_autofree char *before = g_strdup(s->row->state);
        /* The row keeps the last state that was known. */
        if (state != SANDBOX_UNKNOWN) {
                g_free(s->row->state);
                s->row->state = g_strdup(state_names[state]);
        }
        g_free(s->row->reason);
        s->row->reason = TAKE_PTR(reason);
        /* What libvirt says is asked again at the next start anyway. */
        if (state != SANDBOX_UNKNOWN && save_state(s, before, &f) < 0)
                log_error("cannot save the state of sandbox '%s': %s", s->row->name, f.message);
        g_autofree char *field = g_strdup_printf("SANDBOX=%s", s->row->id.text);
        const char *fields[] = {field, NULL};
        log_fields(LOG_INFO, fields, "sandbox '%s' is %s%s%s", s->row->name, state_names[state],
                   *s->row->reason ? ": " : "", s->row->reason);
        manager_changed(s->manager, OBJECT_SANDBOX, s);
        sandbox_arm_idle(s);
        wait_notify(&s->waiters, is_reached, s);
        if (g_str_equal(s->row->purpose, PURPOSE_POOL))
                pool_tend(s->template);
}

int sandbox_require_ready(Sandbox *s, Fault *f)
{
        switch (s->state) {
        case SANDBOX_READY:
                sandbox_touch(s);
                return manager_admits_work(s->manager, f);
        case SANDBOX_PAUSED:
                return fault_set(f, FAULT_WRONG_STATE,
                                 "sandbox '%s' is paused; resume it first: fluidctl resume %s",
                                 s->row->name, s->row->name);
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

/* A guest without an answer has no business running. */
void sandbox_fail_boot(Sandbox *s, const Fault *f)
{
        s->create_entry = audit_end(s->create_entry, fault_to_errno(f->code), f);
        sandbox_set_state(s, SANDBOX_FAILED, "%s", f->message);
        sandbox_pull_plug(s);
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

void sandbox_become_ready(Sandbox *s)
{
        s->renewal = RENEW_NOTHING;
        s->row->needs_identity = false;
        s->boot_timer = sd_event_source_disable_unref(s->boot_timer);
        if (!hypervisor_is_connected(s->manager->hypervisor))
                return; /* libvirtd's return brings it here again */
        thaw_if_needed(s);
        sandbox_set_state(s, SANDBOX_READY, "%s", "");
        s->create_entry = audit_discard(s->create_entry);
        command_resume_all(s);
}

static void on_reachable(Agent *a, bool is_reachable, const Fault *why, void *userdata)
{
        Sandbox *s = userdata;

        (void) a;
        if (is_reachable && (s->state == SANDBOX_STARTING || s->state == SANDBOX_UNKNOWN)) {
                if (!hypervisor_is_connected(s->manager->hypervisor))
                        return;
                if (!s->renewal_task)
                        sandbox_time(s, TIMING_AGENT);
                if (!sandbox_begin_renewal(s) && !network_begin(s))
                        sandbox_become_ready(s);
        } else if (!is_reachable && s->state == SANDBOX_READY) {
                /* The guest may be booting anew; how long that takes is its own affair. */
                sandbox_set_state(s, SANDBOX_STARTING, "the guest agent went away: %s",
                                  fault_is_set(why) ? why->message : "it closed its channel");
        }
}

static const AgentObserver agent_observer = {on_reachable};

void sandbox_begin_wait_for_agent(Sandbox *s)
{
        (void) sd_event_source_disable_unref(s->boot_timer);
        s->boot_timer = NULL;
        (void) sd_event_add_time_relative(s->manager->event, &s->boot_timer, CLOCK_MONOTONIC,
                                          s->row->boot_timeout_usec, 0, on_boot_timeout, s);
        if (agent_is_reachable(s->agent))
                on_reachable(s->agent, true, NULL, s);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
        Sandbox *s = userdata;

        (void) source;
        (void) usec;
        s->boot_timer = sd_event_source_disable_unref(s->boot_timer);
        sandbox_probe(s);
        return 0;
}

/* One that is being made has nothing to lose; what another one has in its memory is not ours to
 * throw away. */
static void channel_failed(Sandbox *s, const Fault *f)
{
        if (s->create_entry) {
                sandbox_fail_boot(s, f);
                return;
        }
        log_warning("sandbox '%s' runs, and its guest agent's channel cannot be opened: %s",
                    s->row->name, f->message);
        sandbox_set_state(s, SANDBOX_UNKNOWN, "its guest agent's channel cannot be opened: %s",
                          f->message);
        s->boot_timer = sd_event_source_disable_unref(s->boot_timer);
        (void) sd_event_add_time_relative(s->manager->event, &s->boot_timer, CLOCK_MONOTONIC,
                                          CHANNEL_RETRY_USEC, 0, on_retry, s);
}

void sandbox_domain_is_on(Sandbox *s)
{
        Manager *m = s->manager;
        Fault f = {0};

        if (s->state == SANDBOX_DESTROYING)
                return;
        if (s->row->paused_usec)
                pause_end(s);
        if (!s->agent) {
                g_autofree char *directory = sandbox_runtime_directory(m, s->row->id.text);
                g_autofree char *socket = g_build_filename(directory, "agent.sock", NULL);
                if (agent_new(m->event, socket, &agent_observer, s, &s->agent, &f) < 0) {
                        channel_failed(s, &f);
                        return;
                }
                /* Without its channel it was not. */
                if (s->state == SANDBOX_READY)
                        sandbox_set_state(s, SANDBOX_STARTING, "%s", "");
                network_check_devices(s);
                sandbox_begin_wait_for_agent(s);
        } else if (agent_is_reachable(s->agent)) {
                on_reachable(s->agent, true, NULL, s);
        }
        if (s->state != SANDBOX_READY && s->state != SANDBOX_FAILED)
                sandbox_set_state(s, SANDBOX_STARTING, "%s", "");
}

static void free_agent(Sandbox *s)
{
        guest_task_cancel(TAKE_PTR(s->renewal_task));
        s->agent = agent_free(s->agent);
}

void sandbox_close_channel(Sandbox *s, const char *reason)
{
        s->boot_timer = sd_event_source_disable_unref(s->boot_timer);
        command_fail_all(s, FAULT_AGENT_UNAVAILABLE, reason);
        free_agent(s);
        network_is_off(s);
}

void sandbox_detach(Sandbox *s)
{
        s->boot_timer = sd_event_source_disable_unref(s->boot_timer);
        s->is_detaching = true;
        free_agent(s);
        s->is_detaching = false;
}

void sandbox_domain_is_off(Sandbox *s, const char *reason)
{
        sandbox_close_channel(s, "the sandbox was switched off");
        if (s->row->paused_usec)
                pause_end(s);
        s->renewal = s->row->needs_identity ? RENEW_IDENTITY : RENEW_NOTHING;
        s->stop_timer = sd_event_source_disable_unref(s->stop_timer);
        s->stop_entry = audit_end(s->stop_entry, 0, NULL);
        if (s->create_entry) {
                Fault f = {0};
                int r = fault_set(&f, FAULT_AGENT_UNAVAILABLE,
                                  "it switched itself off before its guest agent answered");
                s->create_entry = audit_end(s->create_entry, r, &f);
                sandbox_set_state(s, SANDBOX_FAILED, "%s", f.message);
        } else if (s->state != SANDBOX_FAILED && s->state != SANDBOX_STOPPED) {
                /* One that is stopped already has its reason. */
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

void sandbox_end_operation(Sandbox *s)
{
        Manager *m = s->manager;

        g_assert(s->operation);
        s->operation = NULL;
        s->probe_generation++;
        if (s->state == SANDBOX_DESTROYING && !m->is_closing) {
                sandbox_destroy_unfinished(s);
        } else if (!m->is_closing) {
                wait_notify(&s->waiters, is_reached, s);
                thaw_if_needed(s);
                if (s->needs_plug_pulled)
                        sandbox_pull_plug(s);
                else if (s->needs_reconcile)
                        reconcile_sandbox(s);
                else if (s->needs_probe)
                        sandbox_probe(s);
                if (!s->operation)
                        merge_if_deep(s);
                network_tend(s);
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
        case DOMAIN_LOADING:
                if (state == DOMAIN_PAUSED && s->row->paused_usec)
                        pause_follow(s, state);
                else if (s->state != SANDBOX_FAILED)
                        sandbox_domain_is_on(s);
                break;
        case DOMAIN_HALTED:
                if (s->state != SANDBOX_FAILED)
                        pause_halted(s);
                break;
        case DOMAIN_SHUT_OFF:
                if (s->row->paused_usec)
                        pause_follow(s, state);
                else
                        sandbox_domain_is_off(s, "");
                break;
        case DOMAIN_CRASHED:
                /* QEMU gave up loading its memory, which is there still. */
                if (s->row->paused_usec)
                        pause_follow(s, DOMAIN_SHUT_OFF);
                else
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
        else
                network_tend(s);
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
        sandbox_fail_boot(s, &f);
        return 0;
}

/* -- waiting, beginning and end ------------------------------------------------------------- */

int sandbox_wait(Sandbox *s, const char *wanted, uint64_t timeout_usec, OperationDone done,
                 void *userdata, Fault *f)
{
        static const char *const allowed[] = {"",        "ready",  "online", "paused",
                                              "stopped", "failed", NULL};

        if (!g_strv_contains(allowed, wanted))
                return fault_set(
                        f, FAULT_INVALID_ARGUMENT,
                        "cannot wait for '%.40s': use ready, online, paused, stopped, failed or "
                        "nothing",
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
        s->idle_timer = sd_event_source_disable_unref(s->idle_timer);
        free_agent(s);
        g_clear_pointer(&s->named, g_array_unref);
        s->network_change = network_change_free(s->network_change);
        s->create_entry = audit_discard(s->create_entry);
        s->stop_entry = audit_discard(s->stop_entry);
        wait_clear(&s->waiters);
        sandbox_discard_destroyers(s);
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
        if (s->state == SANDBOX_DESTROYING)
                sandbox_resume_destruction(s);
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
                s->renewal = s->row->needs_identity ? RENEW_IDENTITY : RENEW_NOTHING;
                resume_entries(s);
                (void) g_hash_table_insert(m->objects[OBJECT_SANDBOX], s->row->id.text, s);
                sandbox_announce(s);
                sandbox_arm_ttl(s);
                /* Gone after a reboot; QEMU makes its socket there. */
                g_autofree char *directory = sandbox_runtime_directory(m, s->row->id.text);
                r = make_directory(directory, 0700, m->qemu_uid, m->qemu_gid, f);
                if (r < 0)
                        return r;
        }
        return 0;
}
