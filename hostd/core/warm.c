/* SPDX-License-Identifier: MIT */

/* Warm templates.
 *
 * A warm image is the point POINT_BOOTED, with memory, of a sandbox that nobody sees: it booted the
 * template, came to rest, was snapshotted and switched off, and stays for the sake of its files. To
 * create a sandbox is to branch from that point. All of it is told from the rows: what an earlier
 * process left half-made is destroyed, and made again. */

#include "core/warm-private.h"

#include "base/log.h"
#include "base/quantity.h"

#include <string.h>

bool warm_has_purpose(const Sandbox *s, const Template *t, const char *purpose)
{
        return s->template == t && g_str_equal(s->row->purpose, purpose);
}

char *warm_bus_path(const Template *t)
{
        return g_strdup_printf("/sh/fluid/Host1/template/%s", t->row->id.text);
}

/* -- images --------------------------------------------------------------------------------- */

static Snapshot *image_of(const Sandbox *s)
{
        Snapshot *point = snapshot_find(s, POINT_BOOTED);

        return point && point->row->memory_abi ? point : NULL;
}

static bool is_usable(const Manager *m, const Snapshot *image)
{
        return image && m->memory_abi && g_str_equal(image->row->memory_abi, m->memory_abi);
}

static Snapshot *find_image(const Template *t, unsigned vcpus, uint64_t memory_bytes)
{
        g_autoptr(GPtrArray) list = manager_list(t->manager, OBJECT_SANDBOX);

        for (guint i = 0; i < list->len; i++) {
                const Sandbox *s = list->pdata[i];
                if (warm_has_purpose(s, t, PURPOSE_WARM) && s->state != SANDBOX_DESTROYING &&
                    s->row->vcpus == vcpus && s->row->memory_bytes == memory_bytes &&
                    is_usable(t->manager, image_of(s)))
                        return image_of(s);
        }
        return NULL;
}

static int begin_warm(Template *t, unsigned vcpus, uint64_t memory_bytes, Fault *f);

Snapshot *warm_find_image(Template *t, unsigned vcpus, uint64_t memory_bytes)
{
        Snapshot *image = find_image(t, vcpus, memory_bytes);
        Fault f = {0};

        if (image || !t->row->is_warm || !t->manager->memory_abi || t->builder_id.text[0])
                return image;
        log_info("template '%s' has no memory image of that size that this host can load: one is "
                 "made",
                 t->row->name);
        if (begin_warm(t, vcpus, memory_bytes, &f) < 0)
                log_warning("template '%s' could not be made warm: %s", t->row->name, f.message);
        return NULL;
}

static bool is_warm_end(const char *wanted, void *object)
{
        (void) wanted;
        return !((Template *) object)->builder_id.text[0];
}

static void set_phase(Template *t, const char *phase)
{
        t->warm_phase = phase;
        manager_changed(t->manager, OBJECT_TEMPLATE, t);
}

static void destroyed(int r, const Fault *f, void *userdata)
{
        (void) userdata;
        if (r < 0)
                log_warning("a sandbox of fluid's own could not be destroyed yet: %s", f->message);
}

void warm_destroy_own(Sandbox *s)
{
        Caller own = manager_own_caller();
        Fault f = {0};

        if (s->state != SANDBOX_DESTROYING && sandbox_destroy(s, &own, destroyed, NULL, &f) < 0)
                log_error("cannot destroy sandbox '%s': %s", s->row->name, f.message);
}

/* The one before, of the same size, has done its duty. */
static void drop_other_images(const Template *t, const Sandbox *kept)
{
        g_autoptr(GPtrArray) list = manager_list(t->manager, OBJECT_SANDBOX);

        for (guint i = 0; i < list->len; i++) {
                Sandbox *s = list->pdata[i];
                if (s != kept && warm_has_purpose(s, t, PURPOSE_WARM) &&
                    s->row->vcpus == kept->row->vcpus &&
                    s->row->memory_bytes == kept->row->memory_bytes)
                        warm_destroy_own(s);
        }
}

static Sandbox *find_builder(const Template *t)
{
        return g_hash_table_lookup(t->manager->objects[OBJECT_SANDBOX], t->builder_id.text);
}

/* -- making one: boot, come to rest, snapshot, switch off ------------------------------------ */

typedef struct Warming {
        Manager *manager;
        Id template_id;
        AuditEntry *entry; /* of the call that asked for it, or NULL */
        GuestTask *task;
} Warming;

static void end_warming(Warming *q, int r, const Fault *f)
{
        Template *t = manager_find_template(q->manager, q->template_id.text);
        Sandbox *builder = t ? find_builder(t) : NULL;

        (void) audit_end(q->entry, r, f);
        g_free(q);
        if (!t)
                return;
        t->builder_id = (Id){""};
        t->warm_fault = fault_copy(f);
        if (r < 0)
                log_warning("template '%s' could not be made warm: %s", t->row->name, f->message);
        else
                log_info("template '%s' is warm", t->row->name);
        if (builder && r < 0)
                warm_destroy_own(builder);
        else if (builder)
                drop_other_images(t, builder);
        set_phase(t, "");
        if (r < 0)
                wait_fail(&t->warm_waiters, f);
        else
                wait_notify(&t->warm_waiters, is_warm_end, t);
        pool_tend(t);
}

/* The template and its builder after a wait, which ended with `r` and `f`; where one is gone, that
 * is the end. A builder that could not be created is gone by itself, not by somebody's wish. */
static Sandbox *find_both(Warming *q, int r, const Fault *f, Template **ret)
{
        Sandbox *builder = NULL;
        Fault cold = {0};

        *ret = manager_find_template(q->manager, q->template_id.text);
        if (*ret)
                builder = find_builder(*ret);
        if (builder && builder->state != SANDBOX_DESTROYING)
                return builder;
        if (r < 0 && *ret && (*ret)->row->is_warm)
                end_warming(q, r, f);
        else
                end_warming(
                        q,
                        fault_set(&cold, FAULT_CANCELLED, "the template was made cold meanwhile"),
                        &cold);
        return NULL;
}

static void off(int r, const Fault *f, void *userdata)
{
        end_warming(userdata, r, f);
}

static void saved(Snapshot *image, int r, const Fault *f, void *userdata)
{
        Warming *q = userdata;
        Sandbox *builder;
        Fault why = fault_copy(f);
        Template *t;

        (void) image;
        builder = find_both(q, r, f, &t);
        if (!builder)
                return;
        if (r >= 0) {
                sandbox_pull_plug(builder);
                r = sandbox_wait(builder, "stopped", USEC_INFINITY, off, q, &why);
        }
        if (r < 0)
                end_warming(q, r, &why);
}

static void settled(int r, const Fault *f, void *userdata)
{
        Warming *q = userdata;
        Sandbox *builder;
        Fault why = fault_copy(f);
        Template *t;

        q->task = NULL;
        builder = find_both(q, r, f, &t);
        if (!builder)
                return;
        if (r >= 0) {
                set_phase(t, "saving");
                r = snapshot_create_own(builder, POINT_BOOTED, true, saved, q, &why);
        }
        if (r < 0)
                end_warming(q, r, &why);
}

/* A guest that has no place for it is warm all the same; its copies take longer. */
static void prepared(int r, const Fault *f, void *userdata)
{
        Warming *q = userdata;
        Sandbox *builder;
        Fault why = {0};
        Template *t;

        q->task = NULL;
        builder = find_both(q, r, f, &t);
        if (!builder)
                return;
        if (r < 0 && f->code == FAULT_AGENT_REFUSED)
                log_info("copies of template '%s' get their identity from the shell: %s",
                         t->row->name, f->message);
        else if (r < 0)
                why = fault_copy(f);
        if (!fault_is_set(&why))
                (void) guest_settle(t->manager->event, builder->agent,
                                    t->manager->config->warm_timeout_usec, settled, q, &q->task,
                                    &why);
        if (fault_is_set(&why))
                end_warming(q, fault_to_errno(why.code), &why);
}

static void booted(int r, const Fault *f, void *userdata)
{
        Warming *q = userdata;
        Sandbox *builder;
        Fault why = fault_copy(f);
        Template *t;

        builder = find_both(q, r, f, &t);
        if (!builder)
                return;
        if (r >= 0 && builder->state != SANDBOX_READY)
                r = fault_set(&why, FAULT_AGENT_UNAVAILABLE, "%s",
                              *builder->row->reason ? builder->row->reason
                                                    : "it did not get ready");
        if (r >= 0) {
                set_phase(t, "settling");
                r = guest_put_program(t->manager->event, builder->agent, prepared, q, &q->task,
                                      &why);
        }
        if (r < 0)
                end_warming(q, r, &why);
}

SandboxRow *warm_own_row(const Template *t, const char *purpose, unsigned vcpus,
                         uint64_t memory_bytes)
{
        SandboxSpec spec = {.vcpus = vcpus,
                            .memory_bytes = memory_bytes,
                            .ttl_usec = USEC_INFINITY,
                            .idle_timeout_usec = USEC_INFINITY};
        Caller own = manager_own_caller();
        SandboxRow *row = sandbox_new_row(&own, &spec, t);

        g_free(row->purpose);
        row->purpose = g_strdup(purpose);
        return row;
}

/* Takes `entry`, also on failure. */
static int begin_audited(Template *t, SandboxRow *row, AuditEntry *entry, Fault *f)
{
        Manager *m = t->manager;
        Sandbox *builder;
        int r = sandbox_make(m, row, t, NULL, true, NULL, &builder, f);

        if (r < 0) {
                (void) audit_end(entry, r, f);
                return r;
        }
        Warming *q = g_new0(Warming, 1);
        *q = (Warming){.manager = m, .template_id = t->row->id, .entry = entry};
        t->builder_id = builder->row->id;
        fault_clear(&t->warm_fault);
        r = sandbox_wait(builder, "ready", USEC_INFINITY, booted, q, f);
        if (r < 0)
                end_warming(q, r, f);
        else
                set_phase(t, "booting");
        return r;
}

static int begin_warm(Template *t, unsigned vcpus, uint64_t memory_bytes, Fault *f)
{
        g_autofree char *path = warm_bus_path(t);
        int r = template_check_unchanged(t, f);

        if (r == 0)
                r = manager_has_room(t->manager, f);
        if (r == 0 && !hypervisor_is_connected(t->manager->hypervisor))
                r = fault_set(f, FAULT_HYPERVISOR_UNAVAILABLE, "libvirtd does not answer");
        if (r < 0)
                return r;
        /* It may be what a call to an earlier process was about. */
        return begin_audited(t, warm_own_row(t, PURPOSE_WARM, vcpus, memory_bytes),
                             audit_resume(t->manager, "template.warm", path), f);
}

/* -- on request ----------------------------------------------------------------------------- */

int warm_keep(Template *t, bool is_warm, unsigned pool, Fault *f)
{
        bool was_warm = t->row->is_warm;
        unsigned pool_before = t->row->pool;
        int r;

        t->row->is_warm = is_warm;
        t->row->pool = pool;
        r = store_put_template(t->manager->store, t->row, f);
        if (r < 0) {
                t->row->is_warm = was_warm;
                t->row->pool = pool_before;
        }
        return r;
}

int warm_check_can_change(const Template *t, Fault *f)
{
        int r = manager_admits_work(t->manager, f);

        if (r == 0 && (t->is_busy || t->is_cooling))
                r = fault_set(f, FAULT_BUSY, "template '%s' is being imported, removed or cooled",
                              t->row->name);
        return r;
}

static int check_sizes(const Manager *m, unsigned vcpus, uint64_t memory_bytes, Fault *f)
{
        if (vcpus > m->config->vcpus_max || memory_bytes > m->config->memory_max_bytes ||
            memory_bytes < (UINT64_C(32) << 20) || memory_bytes % (UINT64_C(1) << 20))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "vcpus has to be at most vcpus_max, and memory whole MiB between "
                                 "32M and memory_max");
        return 0;
}

int template_warm(Template *t, Caller *caller, unsigned vcpus, uint64_t memory_bytes, Fault *f)
{
        g_autofree char *path = warm_bus_path(t);
        AuditEntry *entry = NULL;
        int r = warm_check_can_change(t, f);

        vcpus = vcpus ? vcpus : t->row->vcpus;
        memory_bytes = memory_bytes ? memory_bytes : t->row->memory_bytes;
        if (r == 0)
                r = check_sizes(t->manager, vcpus, memory_bytes, f);
        if (r == 0)
                r = template_check_unchanged(t, f);
        if (r == 0)
                r = manager_has_room(t->manager, f);
        if (r == 0 && t->builder_id.text[0]) {
                const Sandbox *builder = find_builder(t);
                if (!builder || builder->row->vcpus != vcpus ||
                    builder->row->memory_bytes != memory_bytes)
                        return fault_set(f, FAULT_BUSY,
                                         "template '%s' is being made warm with another size; try "
                                         "again when that has ended",
                                         t->row->name);
        }
        if (r == 0 && !hypervisor_is_connected(t->manager->hypervisor))
                r = fault_set(f, FAULT_HYPERVISOR_UNAVAILABLE,
                              "libvirtd does not answer; is it running? systemctl status libvirtd");
        if (r < 0)
                return r;
        Json *detail = json_object_new_object();
        (void) json_object_object_add(detail, "name", json_object_new_string(t->row->name));
        (void) json_object_object_add(detail, "vcpus", json_object_new_int64(vcpus));
        (void) json_object_object_add(detail, "memory_bytes", json_object_new_uint64(memory_bytes));
        r = audit_begin(t->manager, caller, "template.warm", path, detail, &entry, f);
        if (r == 0)
                r = warm_keep(t, true, t->row->pool, f);
        if (r < 0 || t->builder_id.text[0] || find_image(t, vcpus, memory_bytes)) {
                (void) audit_end(entry, r, f);
                return r;
        }
        return begin_audited(t, warm_own_row(t, PURPOSE_WARM, vcpus, memory_bytes), entry, f);
}

int template_wait_warm(Template *t, uint64_t timeout_usec, OperationDone done, void *userdata,
                       Fault *f)
{
        if (!t->builder_id.text[0] && fault_is_set(&t->warm_fault))
                return fault_set(f, t->warm_fault.code, "%s", t->warm_fault.message);
        return wait_add(&t->warm_waiters, t->manager->event, "", timeout_usec, is_warm_end, t, done,
                        userdata, f);
}

/* -- cooling -------------------------------------------------------------------------------- */

typedef struct Clearing {
        Manager *manager;
        Id template_id;
        unsigned left;
        int result;
        Fault fault;
        OperationDone done;
        void *userdata;
} Clearing;

static void clear_ended(Clearing *q)
{
        Template *t = manager_find_template(q->manager, q->template_id.text);

        if (t) {
                t->is_cooling = false;
                manager_changed(q->manager, OBJECT_TEMPLATE, t);
        }
        q->done(q->result, &q->fault, q->userdata);
        manager_end_operation(q->manager);
        g_free(q);
}

static void one_cleared(int r, const Fault *f, void *userdata)
{
        Clearing *q = userdata;

        if (r < 0) {
                q->result = r;
                q->fault = *f;
        }
        if (--q->left == 0)
                clear_ended(q);
}

static int nothing_to_clear(sd_event_source *source, void *userdata)
{
        (void) sd_event_source_disable_unref(source);
        one_cleared(0, NULL, userdata);
        return 0;
}

void warm_clear(Template *t, OperationDone done, void *userdata)
{
        Manager *m = t->manager;
        g_autoptr(GPtrArray) list = manager_list(m, OBJECT_SANDBOX);
        Caller own = manager_own_caller();
        Clearing *q = g_new0(Clearing, 1);
        sd_event_source *source;

        *q = (Clearing){.manager = m,
                        .template_id = t->row->id,
                        .left = 1,
                        .done = done,
                        .userdata = userdata};
        t->is_cooling = true;
        manager_begin_operation(m);
        for (guint i = 0; i < list->len; i++) {
                Sandbox *s = list->pdata[i];
                Fault f = {0};
                if (s->template != t || !sandbox_is_hidden(s))
                        continue;
                q->left++;
                int r = sandbox_destroy(s, &own, one_cleared, q, &f);
                if (r < 0)
                        one_cleared(r, &f, q);
        }
        g_assert(sd_event_add_defer(m->event, &source, nothing_to_clear, q) >= 0);
}

typedef struct Cooling {
        AuditEntry *entry;
        OperationDone done;
        void *userdata;
} Cooling;

static void cooled(int r, const Fault *f, void *userdata)
{
        Cooling *q = userdata;

        (void) audit_end(q->entry, r, f);
        q->done(r, f, q->userdata);
        g_free(q);
}

int template_cool(Template *t, Caller *caller, OperationDone done, void *userdata, Fault *f)
{
        g_autofree char *path = warm_bus_path(t);
        AuditEntry *entry = NULL;
        int r = warm_check_can_change(t, f);

        if (r < 0)
                return r;
        Json *detail = json_object_new_object();
        (void) json_object_object_add(detail, "name", json_object_new_string(t->row->name));
        r = audit_begin(t->manager, caller, "template.cool", path, detail, &entry, f);
        if (r == 0)
                r = warm_keep(t, false, 0, f);
        if (r < 0) {
                (void) audit_end(entry, r, f);
                return r;
        }
        fault_clear(&t->warm_fault);
        Cooling *q = g_new0(Cooling, 1);
        *q = (Cooling){entry, done, userdata};
        warm_clear(t, cooled, q);
        return 0;
}

/* -- what is told -------------------------------------------------------------------------- */

TemplateWarmth template_warmth(const Template *t)
{
        g_autoptr(GPtrArray) list = manager_list(t->manager, OBJECT_SANDBOX);
        TemplateWarmth w = {
                .is_warm = find_image(t, t->row->vcpus, t->row->memory_bytes),
                .phase = t->warm_phase ? t->warm_phase : "",
                .reason = t->warm_fault.message,
                .pool = t->row->pool,
        };

        for (guint i = 0; i < list->len; i++) {
                const Sandbox *s = list->pdata[i];
                const Snapshot *image = warm_has_purpose(s, t, PURPOSE_WARM) ? image_of(s) : NULL;
                w.memory_bytes += image ? image->row->memory_bytes : 0;
                w.pool_ready += warm_has_purpose(s, t, PURPOSE_POOL) && s->state == SANDBOX_READY;
        }
        return w;
}

/* -- after a start, or libvirtd's ------------------------------------------------------------- */

/* The image that an earlier process was asked for had been made. */
static void end_resumed(const Template *t)
{
        g_autofree char *path = warm_bus_path(t);

        (void) audit_end(audit_resume(t->manager, "template.warm", path), 0, NULL);
}

void warm_reconcile(Manager *m)
{
        g_autoptr(GPtrArray) list = manager_list(m, OBJECT_SANDBOX);
        g_autoptr(GPtrArray) templates = manager_list(m, OBJECT_TEMPLATE);

        for (guint i = 0; i < list->len; i++) {
                Sandbox *s = list->pdata[i];
                bool is_being_made = g_str_equal(s->template->builder_id.text, s->row->id.text);
                if (!g_str_equal(s->row->purpose, PURPOSE_WARM) || is_being_made)
                        continue;
                if (!image_of(s))
                        warm_destroy_own(s);
                else if (s->state == SANDBOX_READY || s->state == SANDBOX_STARTING)
                        sandbox_pull_plug(s);
        }
        for (guint i = 0; i < templates->len; i++) {
                Template *t = templates->pdata[i];
                if (t->row->is_warm && warm_find_image(t, t->row->vcpus, t->row->memory_bytes) &&
                    !t->builder_id.text[0])
                        end_resumed(t);
                pool_tend(t);
        }
}
