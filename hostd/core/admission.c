/* SPDX-License-Identifier: MIT */

/* Who may have which sandbox, and where it comes from: a pool, a memory image, a template's images,
 * or a point of another sandbox. */

#include "core/internal.h"
#include "core/isolation.h"

#include "base/cleanup.h"
#include "base/quantity.h"

#include <string.h>

#define AGENT_NAME_MAX   128
#define LABELS_MAX       32
#define LABEL_MAX        256
#define MEMORY_MIN_BYTES (UINT64_C(32) << 20)
#define MEMORY_UNIT      (UINT64_C(1) << 20)

/* -- what may be asked for ------------------------------------------------------------------ */

static int check_size(const Manager *m, const SandboxRow *row, Fault *f)
{
        if (row->vcpus > m->config->vcpus_max)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "%u vcpus are more than vcpus_max, %u",
                                 row->vcpus, (unsigned) m->config->vcpus_max);
        if (row->memory_bytes < MEMORY_MIN_BYTES ||
            row->memory_bytes > m->config->memory_max_bytes) {
                g_autofree char *most = size_format(m->config->memory_max_bytes);
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "memory has to be between 32M and memory_max, %s", most);
        }
        if (row->memory_bytes % MEMORY_UNIT)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "memory has to be whole MiB");
        return 0;
}

static int check_labels(const char *text, Fault *f)
{
        g_autoptr(Json) labels = NULL;
        int r = text ? json_parse(text, strlen(text), 2, &labels, f) : 0;

        if (r < 0 || !text)
                return r;
        if (json_object_object_length(labels) > LABELS_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "there are more than %d labels",
                                 LABELS_MAX);
        json_object_object_foreach(labels, key, value)
        {
                r = name_check("label", key, f);
                if (r < 0)
                        return r;
                if (json_object_get_string_len(value) > LABEL_MAX)
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "label '%s' is longer than %d bytes", key, LABEL_MAX);
        }
        return 0;
}

static int check_quota(const Manager *m, const Caller *caller, const char *name, Fault *f)
{
        unsigned own = 0, all = 0;
        GHashTableIter iter;
        void *object;

        g_hash_table_iter_init(&iter, m->objects[OBJECT_SANDBOX]);
        while (g_hash_table_iter_next(&iter, NULL, &object)) {
                const Sandbox *s = object;
                if (sandbox_is_hidden(s))
                        continue;
                all++;
                if (s->row->owner_uid != caller->uid)
                        continue;
                own++;
                if (name && g_str_equal(s->row->name, name))
                        return fault_set(f, FAULT_EXISTS,
                                         "sandbox '%s' exists already; destroy it first, or choose "
                                         "another name",
                                         name);
        }
        if (own >= m->config->sandboxes_per_owner_max)
                return fault_set(
                        f, FAULT_LIMITS_EXCEEDED,
                        "you have %u sandboxes already (sandboxes_per_owner_max); destroy some",
                        own);
        if (all >= m->config->sandboxes_max)
                return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                 "this host has %u sandboxes already (sandboxes_max)",
                                 (unsigned) m->config->sandboxes_max);
        return 0;
}

static int check_spec(Manager *m, const Caller *caller, const SandboxSpec *spec, Fault *f)
{
        int r = manager_admits_work(m, f);

        if (r == 0 && spec->name)
                r = name_check("sandbox", spec->name, f);
        if (r == 0 && spec->agent && strlen(spec->agent) > AGENT_NAME_MAX)
                r = fault_set(f, FAULT_INVALID_ARGUMENT, "the agent's name is longer than %d bytes",
                              AGENT_NAME_MAX);
        if (r == 0 && spec->ttl_usec > m->config->ttl_max_usec)
                r = fault_set(f, FAULT_INVALID_ARGUMENT, "the time is longer than ttl_max");
        if (r == 0)
                r = check_labels(spec->labels, f);
        if (r == 0)
                r = check_quota(m, caller, spec->name, f);
        return r;
}

static int check_template(const Template *t, Fault *f)
{
        if (t->is_busy)
                return fault_set(f, FAULT_BUSY,
                                 "template '%s' is not complete yet, or is being removed",
                                 t->row->name);
        return template_check_unchanged(t, f);
}

SandboxRow *sandbox_new_row(const Caller *caller, const SandboxSpec *spec, const Template *t)
{
        const Config *c = t->manager->config;
        uint64_t ttl = spec->ttl_usec ? spec->ttl_usec : c->ttl_default_usec;
        uint64_t idle = spec->idle_timeout_usec ? spec->idle_timeout_usec : c->idle_timeout_usec;
        uint64_t now = now_realtime_usec();
        SandboxRow *row = g_new0(SandboxRow, 1);
        Id id = id_new();

        *row = (SandboxRow){.id = id,
                            .name = g_strdup(spec->name ? spec->name : id.text),
                            .agent = g_strdup(spec->agent ? spec->agent : ""),
                            .owner_uid = caller->uid,
                            .state = g_strdup(sandbox_state_to_string(SANDBOX_CREATING)),
                            .reason = g_strdup(""),
                            .template_id = t->row->id,
                            .layer = 1,
                            .next_layer = 2,
                            .vcpus = spec->vcpus ? spec->vcpus : t->row->vcpus,
                            .memory_bytes =
                                    spec->memory_bytes ? spec->memory_bytes : t->row->memory_bytes,
                            .purpose = g_strdup(""),
                            .started_from = g_strdup(""),
                            .boot_timeout_usec = spec->boot_timeout_usec ? spec->boot_timeout_usec
                                                                         : c->boot_timeout_usec,
                            .idle_timeout_usec = idle == USEC_INFINITY ? 0 : idle,
                            .created_usec = now,
                            .expires_usec = ttl >= USEC_INFINITY - now ? 0 : now + ttl,
                            .network = g_strdup(NETWORK_NONE),
                            .ports = g_strdup("[]"),
                            .labels = g_strdup(spec->labels ? spec->labels : "{}")};
        return row;
}

static Json *describe(const SandboxRow *row, const Template *t)
{
        Json *detail = json_object_new_object();

        (void) json_object_object_add(detail, "name", json_object_new_string(row->name));
        (void) json_object_object_add(detail, "template", json_object_new_string(t->row->name));
        (void) json_object_object_add(detail, "template_sha256",
                                      json_object_new_string(t->row->sha256));
        (void) json_object_object_add(detail, "agent", json_object_new_string(row->agent));
        (void) json_object_object_add(detail, "network", json_object_new_string(row->network));
        (void) json_object_object_add(detail, "vcpus", json_object_new_int64(row->vcpus));
        (void) json_object_object_add(detail, "memory_bytes",
                                      json_object_new_uint64(row->memory_bytes));
        return detail;
}

/* -- on request ----------------------------------------------------------------------------- */

/* What is written to the row of a sandbox that was kept ready is all that its owner asked for. */
static SandboxRow *claimed_row(const Sandbox *s, const SandboxRow *asked)
{
        SandboxRow *row = g_memdup2(s->row, sizeof *row);

        row->name =
                g_strdup(g_str_equal(asked->name, asked->id.text) ? s->row->id.text : asked->name);
        row->agent = g_strdup(asked->agent);
        row->owner_uid = asked->owner_uid;
        row->purpose = g_strdup("");
        row->state = g_strdup(sandbox_state_to_string(SANDBOX_STARTING));
        row->reason = g_strdup("");
        row->started_from = g_strdup("pool");
        row->needs_identity = true;
        row->boot_timeout_usec = asked->boot_timeout_usec;
        row->idle_timeout_usec = asked->idle_timeout_usec;
        row->created_usec = asked->created_usec;
        row->expires_usec = asked->expires_usec;
        row->network = g_strdup(asked->network);
        row->address_number = asked->address_number;
        row->ports = g_strdup(asked->ports);
        row->labels = g_strdup(asked->labels);
        return row;
}

/* Its owner, name and limits are on disk before anybody hears of it: it is never handed out again.
 * What cannot be filtered is not handed out. */
static int claim(Sandbox *s, Caller *caller, SandboxRow *asked, Sandbox **ret, Fault *f)
{
        Manager *m = s->manager;
        g_autoptr(SandboxRow) owned = asked;
        g_autoptr(SandboxRow) row = claimed_row(s, owned);
        g_autofree char *path = sandbox_bus_path(row->id.text);
        AuditSubject subject = audit_subject_of_sandbox(row);
        Json *detail = describe(row, s->template);
        uint64_t begun = now_monotonic_usec();
        AuditEntry *entry = NULL;
        int r = row->address_number ? isolation_set_row(m, row, f) : 0;
        bool has_begun = r >= 0 && (r = store_begin(m->store, f)) >= 0;

        if (has_begun)
                r = audit_begin_about(m, caller, "sandbox.create", path, &subject, detail, &entry,
                                      f);
        else
                json_object_put(detail);
        if (r >= 0)
                r = store_put_sandbox(m->store, row, f);
        if (r >= 0)
                r = store_commit(m->store, f);
        if (r < 0 && has_begun) {
                store_rollback(m->store);
                (void) audit_discard(entry);
                caller->is_audited = false;
        }
        if (r < 0 && row->address_number)
                isolation_remove_row(m, row);
        if (r < 0)
                return r;
        /* The object is known by the id inside its row. */
        SandboxRow *old = s->row;
        (void) g_hash_table_steal(m->objects[OBJECT_SANDBOX], old->id.text);
        s->row = TAKE_PTR(row);
        (void) g_hash_table_insert(m->objects[OBJECT_SANDBOX], s->row->id.text, s);
        (void) sandbox_row_free(old);
        s->state = SANDBOX_STARTING;
        s->create_entry = entry;
        s->renewal = RENEW_HOSTNAME;
        sandbox_begin_timing(s, begun);
        if (s->row->address_number)
                sandbox_time(s, TIMING_RULES);
        s->has_timing = true;
        sandbox_announce(s);
        sandbox_arm_ttl(s);
        sandbox_touch(s);
        pool_taken(s->template);
        sandbox_begin_wait_for_agent(s);
        *ret = s;
        return 0;
}

/* FAULT_… where a sandbox cannot be begun now. */
static int check_host(const Manager *m, const SandboxRow *row, Fault *f)
{
        int r = check_size(m, row, f);

        if (r == 0)
                r = manager_has_room(m, f);
        if (r == 0)
                r = manager_check_owner(m, row->owner_uid, row->memory_bytes, f);
        if (r == 0 && !hypervisor_is_connected(m->hypervisor))
                r = fault_set(f, FAULT_HYPERVISOR_UNAVAILABLE,
                              "libvirtd does not answer; is it running? systemctl status libvirtd");
        return r;
}

/* In the trail of what it is a branch of, too. */
static int note_branch(const Snapshot *point, const Caller *caller, const SandboxRow *row, Fault *f)
{
        g_autofree char *path = sandbox_bus_path(point->sandbox->row->id.text);
        Json *detail = json_object_new_object();

        if (point->row->name)
                (void) json_object_object_add(detail, "snapshot",
                                              json_object_new_string(point->row->name));
        (void) json_object_object_add(detail, "branch", json_object_new_string(row->id.text));
        (void) json_object_object_add(detail, "name", json_object_new_string(row->name));
        return audit_note(point->manager, caller, "sandbox.branch", path, detail, f);
}

static int begin_audited(Manager *m, Caller *caller, SandboxRow *row, Template *t, Snapshot *point,
                         bool boots, Sandbox **ret, Fault *f)
{
        g_autofree char *path = sandbox_bus_path(row->id.text);
        AuditSubject subject = audit_subject_of_sandbox(row);
        AuditEntry *entry = NULL;
        int r = store_begin(m->store, f);

        if (r == 0)
                r = audit_begin_about(m, caller, "sandbox.create", path, &subject, describe(row, t),
                                      &entry, f);
        if (r == 0 && point && !sandbox_is_hidden(point->sandbox))
                r = note_branch(point, caller, row, f);
        if (r == 0)
                r = store_commit(m->store, f);
        if (r < 0) {
                store_rollback(m->store);
                (void) audit_discard(entry);
                caller->is_audited = false;
                (void) sandbox_row_free(row);
                return r;
        }
        return sandbox_make(m, row, t, point, boots, entry, ret, f);
}

int sandbox_create(Manager *m, Caller *caller, const SandboxSpec *spec, Sandbox **ret, Fault *f)
{
        g_autoptr(SandboxRow) row = NULL;
        Snapshot *image = NULL;
        Sandbox *ready = NULL;
        Template *t = NULL;
        int r = check_spec(m, caller, spec, f);

        if (r == 0)
                r = manager_get_template(m, spec->template, &t, f);
        if (r == 0)
                r = check_template(t, f);
        if (r < 0)
                return r;
        g_assert(t);
        row = sandbox_new_row(caller, spec, t);
        r = check_host(m, row, f);
        if (r == 0)
                r = network_admit(m, caller, spec, row, f);
        if (r < 0)
                return r;
        if (!spec->boots) {
                ready = pool_find(t, row->vcpus, row->memory_bytes);
                image = ready ? NULL : warm_find_image(t, row->vcpus, row->memory_bytes);
        }
        if (ready)
                return claim(ready, caller, TAKE_PTR(row), ret, f);
        return begin_audited(m, caller, TAKE_PTR(row), t, image, spec->boots, ret, f);
}

/* -- branching ------------------------------------------------------------------------------ */

typedef struct Branch {
        Manager *manager;
        Caller caller;
        SandboxRow *row;
        bool boots;
        SandboxBranchDone done;
        void *userdata;
} Branch;

static void branch_free(Branch *q)
{
        (void) sandbox_row_free(q->row);
        g_free(q);
}

/* Its own point is cut. */
static void branch_point_done(Snapshot *point, int r, const Fault *f, void *userdata)
{
        Branch *q = userdata;
        Sandbox *branch = NULL;
        Fault why = fault_copy(f);

        if (r >= 0)
                r = begin_audited(q->manager, &q->caller, TAKE_PTR(q->row),
                                  point->sandbox->template, point, q->boots, &branch, &why);
        q->done(branch, r, &why, q->userdata);
        branch_free(q);
}

static int branch_now(Sandbox *source, Caller *caller, SandboxRow *row, bool boots,
                      SandboxBranchDone done, void *userdata, Fault *f)
{
        g_autofree char *name = g_strdup_printf("branch-%s", row->id.text);
        SnapshotSpec spec = {.name = name, .memory = source->agent && !boots};
        Branch *q = g_new0(Branch, 1);

        *q = (Branch){.manager = source->manager,
                      .caller = *caller,
                      .row = row,
                      .boots = boots,
                      .done = done,
                      .userdata = userdata};
        int r = snapshot_create(source, caller, &spec, branch_point_done, q, f);
        if (r < 0)
                branch_free(q);
        return r;
}

typedef struct BranchAnswer {
        Manager *manager;
        Id id;
        SandboxBranchDone done;
        void *userdata;
} BranchAnswer;

/* done() runs on the loop, never before the starter returned. */
static int answer_branch(sd_event_source *source, void *userdata)
{
        BranchAnswer *q = userdata;
        Sandbox *s = g_hash_table_lookup(q->manager->objects[OBJECT_SANDBOX], q->id.text);
        Fault f = {0};
        int r = 0;

        (void) sd_event_source_disable_unref(source);
        if (!s)
                r = fault_set(&f, FAULT_NOT_FOUND, "the branch was destroyed");
        q->done(s, r, &f, q->userdata);
        g_free(q);
        return 0;
}

static int find_point(Sandbox *source, const char *name, Snapshot **ret, Fault *f)
{
        *ret = snapshot_find(source, name);
        if (*ret)
                return 0;
        return fault_set(f, FAULT_NOT_FOUND,
                         "sandbox '%s' has no snapshot '%.80s'; 'fluidctl snapshots %s' shows them",
                         source->row->name, name, source->row->name);
}

int sandbox_branch(Sandbox *source, Caller *caller, const char *snapshot, const SandboxSpec *spec,
                   SandboxBranchDone done, void *userdata, Fault *f)
{
        Manager *m = source->manager;
        g_autoptr(SandboxRow) row = NULL;
        Snapshot *point = NULL;
        Sandbox *branch;
        int r = check_spec(m, caller, spec, f);

        if (r == 0 && !g_str_equal(snapshot, POINT_NOW))
                r = find_point(source, snapshot, &point, f);
        if (r == 0)
                r = check_template(source->template, f);
        if (r == 0 && point && point->row->memory_abi && !spec->boots)
                r = memory_check(m, point, f);
        if (r < 0)
                return r;
        row = sandbox_new_row(caller, spec, source->template);
        row->vcpus = source->row->vcpus;
        row->memory_bytes = source->row->memory_bytes;
        r = check_host(m, row, f);
        if (r == 0)
                r = network_admit(m, caller, spec, row, f);
        if (r < 0)
                return r;
        sandbox_touch(source);
        if (!point)
                return branch_now(source, caller, TAKE_PTR(row), spec->boots, done, userdata, f);
        r = begin_audited(m, caller, TAKE_PTR(row), source->template, point, spec->boots, &branch,
                          f);
        if (r < 0)
                return r;
        BranchAnswer *q = g_new0(BranchAnswer, 1);
        *q = (BranchAnswer){m, branch->row->id, done, userdata};
        sd_event_source *answer;
        g_assert(sd_event_add_defer(m->event, &answer, answer_branch, q) >= 0);
        return 0;
}
