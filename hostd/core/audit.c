/* SPDX-License-Identifier: MIT */
#include "core/audit-private.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/quantity.h"
#include "core/playbook.h"

#include <string.h>

struct AuditEntry {
        Manager *manager;
        Caller caller;
        char *kind, *object;
        char *sandbox_id, *sandbox_name, *agent;
        unsigned owner_uid;
        uint64_t begin_seq;
        Json *result;
};

/* -- what a row is about ---------------------------------------------------------------------- */

static const AuditSubject nothing = {
        .sandbox_id = "", .sandbox_name = "", .agent = "", .owner_uid = UID_NONE};

AuditSubject audit_subject_of_sandbox(const SandboxRow *row)
{
        return (AuditSubject){.sandbox_id = row->id.text,
                              .sandbox_name = row->name,
                              .agent = row->agent,
                              .owner_uid = row->owner_uid};
}

AuditSubject audit_subject_of_approval(const Manager *m, const ApprovalRow *row)
{
        const Sandbox *s = g_hash_table_lookup(m->objects[OBJECT_SANDBOX], row->sandbox_id.text);

        return (AuditSubject){.sandbox_id = row->sandbox_id.text,
                              .sandbox_name = s ? s->row->name : "",
                              .agent = row->agent,
                              .owner_uid = row->requester_uid};
}

static AuditSubject subject_of_template(const Template *t)
{
        AuditSubject subject = nothing;

        subject.owner_uid = t->row->owner_uid;
        return subject;
}

static AuditSubject subject_of_playbook(const PlaybookRow *row)
{
        return (AuditSubject){.sandbox_id = row->sandbox_id.text,
                              .sandbox_name = row->sandbox_name,
                              .agent = row->agent,
                              .owner_uid = row->owner_uid};
}

static AuditSubject find_subject(const Manager *m, const char *path)
{
        static const char *const parts[_OBJECT_KIND_MAX] = {
                [OBJECT_TEMPLATE] = "/sh/fluid/Host1/template/",
                [OBJECT_SANDBOX] = "/sh/fluid/Host1/sandbox/",
                [OBJECT_SNAPSHOT] = "/sh/fluid/Host1/snapshot/",
                [OBJECT_COMMAND] = "/sh/fluid/Host1/command/",
                [OBJECT_APPROVAL] = "/sh/fluid/Host1/approval/",
                [OBJECT_PLAYBOOK] = "/sh/fluid/Host1/playbook/",
        };

        for (ObjectKind kind = 0; kind < _OBJECT_KIND_MAX; kind++) {
                const void *object =
                        g_str_has_prefix(path, parts[kind])
                                ? g_hash_table_lookup(m->objects[kind], path + strlen(parts[kind]))
                                : NULL;
                if (!object)
                        continue;
                switch (kind) {
                case OBJECT_TEMPLATE:
                        return subject_of_template(object);
                case OBJECT_SANDBOX:
                        return audit_subject_of_sandbox(((const Sandbox *) object)->row);
                case OBJECT_SNAPSHOT:
                        return audit_subject_of_sandbox(((const Snapshot *) object)->sandbox->row);
                case OBJECT_COMMAND:
                        return audit_subject_of_sandbox(sandbox_row(command_sandbox(object)));
                case OBJECT_APPROVAL:
                        return audit_subject_of_approval(m, approval_row(object));
                case OBJECT_PLAYBOOK:
                        return subject_of_playbook(playbook_row(object));
                case _OBJECT_KIND_MAX:
                        break;
                }
        }
        return nothing;
}

/* -- rows ---------------------------------------------------------------------------------------
 */

static AuditRow make_row(const Caller *caller, const char *kind, const char *phase,
                         const char *object, const AuditSubject *subject, const char *detail,
                         const char *error)
{
        return (AuditRow){.time_usec = now_realtime_usec(),
                          .caller_uid = caller->uid,
                          .caller = caller->text,
                          .kind = kind,
                          .phase = phase,
                          .object = object,
                          .detail = detail,
                          .error = error,
                          .sandbox_id = subject->sandbox_id,
                          .sandbox_name = subject->sandbox_name,
                          .agent = subject->agent,
                          .owner_uid = subject->owner_uid};
}

static AuditEntry *entry_new(Manager *m, const Caller *caller, const AuditRow *row)
{
        AuditEntry *entry = g_new0(AuditEntry, 1);

        *entry = (AuditEntry){.manager = m,
                              .caller = *caller,
                              .kind = g_strdup(row->kind),
                              .object = g_strdup(row->object),
                              .sandbox_id = g_strdup(row->sandbox_id),
                              .sandbox_name = g_strdup(row->sandbox_name),
                              .agent = g_strdup(row->agent),
                              .owner_uid = row->owner_uid,
                              .begin_seq = row->seq};
        return entry;
}

static const char *to_text(Json *detail)
{
        return json_object_to_json_string_ext(detail, JSON_C_TO_STRING_PLAIN);
}

int audit_begin_about(Manager *m, Caller *caller, const char *kind, const char *object,
                      const AuditSubject *subject, Json *detail, AuditEntry **ret, Fault *f)
{
        g_autoptr(Json) owned = detail ? detail : json_object_new_object();
        AuditRow row = make_row(caller, kind, "begin", object, subject, to_text(owned), "");
        int r = store_append_audit(m->store, &row, f);

        if (r < 0)
                return r;
        caller->is_audited = true;
        *ret = entry_new(m, caller, &row);
        return 0;
}

int audit_begin(Manager *m, Caller *caller, const char *kind, const char *object, Json *detail,
                AuditEntry **ret, Fault *f)
{
        AuditSubject subject = find_subject(m, object);

        return audit_begin_about(m, caller, kind, object, &subject, detail, ret, f);
}

void audit_set_result(AuditEntry *entry, Json *detail)
{
        if (!entry) {
                (void) json_object_put(detail);
                return;
        }
        (void) json_object_put(entry->result);
        entry->result = detail;
}

/* Takes `detail`. */
static char *end_detail(Json *detail, const Fault *f)
{
        g_autoptr(Json) owned = detail ? detail : json_object_new_object();

        if (f && fault_is_set(f))
                (void) json_object_object_add(owned, "message", json_object_new_string(f->message));
        return g_strdup(to_text(owned));
}

/* -- what an earlier process has begun -----------------------------------------------------------
 */

typedef struct Resumption {
        Manager *manager;
        AuditEntry *entry;
        void *userdata;
} Resumption;

static int resume_row(const AuditRow *row, void *userdata)
{
        Resumption *q = userdata;
        Caller own = manager_own_caller();

        q->entry = entry_new(q->manager, &own, row);
        return 0;
}

AuditEntry *audit_resume(Manager *m, const char *kind, const char *object)
{
        Resumption q = {.manager = m};

        (void) store_find_open_audit(m->store, kind, object, resume_row, &q, NULL);
        if (q.entry)
                (void) g_hash_table_add(m->audit->resumed, GSIZE_TO_POINTER(q.entry->begin_seq));
        return q.entry;
}

static AuditEntry *end_interrupted(AuditEntry *entry)
{
        Fault why = {0};
        int r = fault_set(&why, FAULT_CANCELLED,
                          "fluid-hostd ended meanwhile; how far it had got shows in its state");

        return audit_end(entry, r, &why);
}

void audit_abandon(Manager *m, const char *kind, const char *object)
{
        (void) end_interrupted(audit_resume(m, kind, object));
}

/* Whoever has the object takes these up when it was compared with libvirt. */
static bool is_taken_up_later(const Manager *m, const AuditRow *row)
{
        const char *slash = strrchr(row->object, '/');

        if (g_str_equal(row->kind, "snapshot.create") || g_str_equal(row->kind, "snapshot.restore"))
                return slash && g_hash_table_contains(m->objects[OBJECT_SANDBOX], slash + 1);
        if (!slash || !g_str_equal(row->kind, "template.warm"))
                return false;
        const Template *t = g_hash_table_lookup(m->objects[OBJECT_TEMPLATE], slash + 1);
        return t && t->row->is_warm;
}

static int collect_interrupted(const AuditRow *row, void *userdata)
{
        Resumption *q = userdata;
        GPtrArray *entries = q->userdata;

        if (!g_hash_table_contains(q->manager->audit->resumed, GSIZE_TO_POINTER(row->seq)) &&
            !is_taken_up_later(q->manager, row)) {
                (void) resume_row(row, q);
                g_ptr_array_add(entries, TAKE_PTR(q->entry));
        }
        return 0;
}

void audit_end_interrupted(Manager *m)
{
        g_autoptr(GPtrArray) entries = g_ptr_array_new();
        Resumption q = {.manager = m, .userdata = entries};
        Fault f = {0};

        if (store_query_open_audit(m->store, collect_interrupted, &q, &f) < 0)
                log_error("what was begun and not ended cannot be read: %s", f.message);
        for (guint i = 0; i < entries->len; i++)
                (void) end_interrupted(entries->pdata[i]);
}

/* -- ends -----------------------------------------------------------------------------------------
 */

AuditEntry *audit_discard(AuditEntry *entry)
{
        if (!entry)
                return NULL;
        g_free(entry->kind);
        g_free(entry->object);
        g_free(entry->sandbox_id);
        g_free(entry->sandbox_name);
        g_free(entry->agent);
        (void) json_object_put(entry->result);
        g_free(entry);
        return NULL;
}

int audit_write_end(AuditEntry *entry, int r, const Fault *f, Fault *ret_fault)
{
        if (!entry)
                return 0;
        g_autofree char *detail = end_detail(json_object_get(entry->result), r < 0 ? f : NULL);
        FaultCode code = r >= 0 ? FAULT_NONE : fault_is_set(f) ? f->code : FAULT_INTERNAL;
        AuditSubject subject = {entry->sandbox_id, entry->sandbox_name, entry->agent,
                                entry->owner_uid};
        AuditRow row =
                make_row(&entry->caller, entry->kind, r < 0 ? "failed" : "done", entry->object,
                         &subject, detail, r < 0 ? fault_to_string(code) : "");

        row.begin_seq = entry->begin_seq;
        return store_append_audit(entry->manager->store, &row, ret_fault);
}

AuditEntry *audit_end(AuditEntry *entry, int r, const Fault *f)
{
        Fault why = {0};

        if (audit_write_end(entry, r, f, &why) < 0)
                log_error("cannot write the audit row of %s: %s", entry->kind, why.message);
        return audit_discard(entry);
}

/* -- single rows ----------------------------------------------------------------------------------
 */

void audit_refuse(Manager *m, Caller *caller, const char *kind, const char *object, const Fault *f)
{
        if (caller->is_audited)
                return;
        AuditSubject subject = find_subject(m, object);
        /* Who called may read the row, and is told nothing of what others have. */
        if (subject.owner_uid != caller->uid && !caller_is_admin(caller) && !caller->is_approver)
                subject = nothing;
        g_autofree char *detail = end_detail(NULL, f);
        AuditRow row = make_row(caller, kind, "refused", object, &subject, detail,
                                fault_to_string(fault_is_set(f) ? f->code : FAULT_INTERNAL));
        Fault why = {0};
        if (store_append_audit(m->store, &row, &why) < 0)
                log_error("cannot write the audit row of %s: %s", kind, why.message);
        caller->is_audited = true;
}

int audit_note(Manager *m, const Caller *caller, const char *kind, const char *object, Json *detail,
               Fault *f)
{
        g_autoptr(Json) owned = detail ? detail : json_object_new_object();
        AuditSubject subject = find_subject(m, object);
        AuditRow row = make_row(caller, kind, "done", object, &subject, to_text(owned), "");

        return store_append_audit(m->store, &row, f);
}
