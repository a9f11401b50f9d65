/* SPDX-License-Identifier: MIT */
#include "core/audit.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/quantity.h"
#include "core/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct AuditEntry {
        Manager *manager;
        Caller caller;
        char *kind, *object;
};

/* The chain's head also goes to the journal, where this daemon cannot change it. */
static int append(Manager *m, AuditRow *row, Fault *f)
{
        int r = store_append_audit(m->store, row, f);

        if (r < 0)
                return r;
        g_autofree char *caller = g_strdup_printf("CALLER=%s", row->caller);
        g_autofree char *uid = g_strdup_printf("CALLER_UID=%u", row->caller_uid);
        g_autofree char *seq = g_strdup_printf("AUDIT_SEQ=%" G_GUINT64_FORMAT, row->seq);
        g_autofree char *hash = g_strdup_printf("AUDIT_HASH=%s", row->hash);
        g_autofree char *object = g_strdup_printf("OBJECT=%s", row->object);
        const char *fields[] = {caller, uid, seq, hash, object, NULL};
        log_fields(LOG_INFO, fields, "audit: %s %s%s%s", row->kind, row->phase,
                   *row->error ? ": " : "", row->error);
        return 0;
}

static AuditRow make_row(const Caller *caller, const char *kind, const char *phase,
                         const char *object, const char *detail, const char *error)
{
        return (AuditRow){.time_usec = now_realtime_usec(),
                          .caller_uid = caller->uid,
                          .caller = caller->text,
                          .kind = kind,
                          .phase = phase,
                          .object = object,
                          .detail = detail,
                          .error = error};
}

int audit_begin(Manager *m, Caller *caller, const char *kind, const char *object, Json *detail,
                AuditEntry **ret, Fault *f)
{
        g_autoptr(Json) owned = detail ? detail : json_object_new_object();
        const char *text = json_object_to_json_string_ext(owned, JSON_C_TO_STRING_PLAIN);
        AuditRow row = make_row(caller, kind, "begin", object, text, "");
        int r = append(m, &row, f);

        if (r < 0)
                return r;
        caller->is_audited = true;
        *ret = g_new0(AuditEntry, 1);
        **ret = (AuditEntry){.manager = m,
                             .caller = *caller,
                             .kind = g_strdup(kind),
                             .object = g_strdup(object)};
        return 0;
}

static char *message_detail(const Fault *f)
{
        g_autoptr(Json) detail = json_object_new_object();

        if (fault_is_set(f))
                (void) json_object_object_add(detail, "message",
                                              json_object_new_string(f->message));
        return g_strdup(json_object_to_json_string_ext(detail, JSON_C_TO_STRING_PLAIN));
}

/* What was refused meanwhile has ended nothing. */
static int is_begin(const AuditRow *row, void *userdata)
{
        if (!g_str_equal(row->phase, "refused"))
                *(bool *) userdata = g_str_equal(row->phase, "begin");
        return 0;
}

AuditEntry *audit_resume(Manager *m, const char *kind, const char *object)
{
        AuditFilter its = {.kind = kind, .object = object};
        bool was_begun = false;

        if (store_query_audit(m->store, &its, is_begin, &was_begun, NULL) < 0 || !was_begun)
                return NULL;
        AuditEntry *entry = g_new0(AuditEntry, 1);
        *entry = (AuditEntry){.manager = m,
                              .caller = manager_own_caller(),
                              .kind = g_strdup(kind),
                              .object = g_strdup(object)};
        return entry;
}

AuditEntry *audit_discard(AuditEntry *entry)
{
        if (!entry)
                return NULL;
        g_free(entry->kind);
        g_free(entry->object);
        g_free(entry);
        return NULL;
}

int audit_write_end(AuditEntry *entry, int r, const Fault *f, Fault *ret_fault)
{
        if (!entry)
                return 0;
        g_autofree char *detail = message_detail(r < 0 ? f : NULL);
        FaultCode code = r >= 0 ? FAULT_NONE : fault_is_set(f) ? f->code : FAULT_INTERNAL;
        AuditRow row = make_row(&entry->caller, entry->kind, r < 0 ? "failed" : "done",
                                entry->object, detail, r < 0 ? fault_to_string(code) : "");
        return append(entry->manager, &row, ret_fault);
}

AuditEntry *audit_end(AuditEntry *entry, int r, const Fault *f)
{
        Fault why = {0};

        if (audit_write_end(entry, r, f, &why) < 0)
                log_error("cannot write the audit row of %s: %s", entry->kind, why.message);
        return audit_discard(entry);
}

void audit_refuse(Manager *m, Caller *caller, const char *kind, const char *object, const Fault *f)
{
        if (caller->is_audited)
                return;
        g_autofree char *detail = message_detail(f);
        AuditRow row = make_row(caller, kind, "refused", object, detail,
                                fault_to_string(fault_is_set(f) ? f->code : FAULT_INTERNAL));
        Fault why = {0};
        if (append(m, &row, &why) < 0)
                log_error("cannot write the audit row of %s: %s", kind, why.message);
        caller->is_audited = true;
}

typedef struct Export {
        GString *buffer;
        int fd;
} Export;

static int flush(Export *e)
{
        int r = write_all(e->fd, e->buffer->str, e->buffer->len);

        (void) g_string_truncate(e->buffer, 0);
        return r;
}

static int export_row(const AuditRow *row, void *userdata)
{
        enum { FLUSH_SIZE = 64 * 1024 };
        Export *e = userdata;
        g_autoptr(Json) line = json_object_new_object();
        g_autoptr(Json) detail = NULL;

        (void) json_object_object_add(line, "seq", json_object_new_uint64(row->seq));
        (void) json_object_object_add(line, "time_usec", json_object_new_uint64(row->time_usec));
        (void) json_object_object_add(line, "caller_uid",
                                      json_object_new_int64((int64_t) row->caller_uid));
        (void) json_object_object_add(line, "caller", json_object_new_string(row->caller));
        (void) json_object_object_add(line, "kind", json_object_new_string(row->kind));
        (void) json_object_object_add(line, "phase", json_object_new_string(row->phase));
        (void) json_object_object_add(line, "object", json_object_new_string(row->object));
        if (json_parse(row->detail, strlen(row->detail), 32, &detail, NULL) == 0)
                (void) json_object_object_add(line, "detail", g_steal_pointer(&detail));
        (void) json_object_object_add(line, "error", json_object_new_string(row->error));
        (void) json_object_object_add(line, "hash", json_object_new_string(row->hash));
        (void) g_string_append(
                e->buffer, json_object_to_json_string_ext(
                                   line, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
        (void) g_string_append_c(e->buffer, '\n');
        return e->buffer->len >= FLUSH_SIZE ? flush(e) : 0;
}

int audit_export(Manager *m, const Caller *caller, const AuditQuery *query, int *ret_fd, Fault *f)
{
        AuditFilter filter = {.object = query->object,
                              .kind = query->kind,
                              .has_caller_uid = query->has_caller_uid,
                              .caller_uid = query->caller_uid,
                              .since_usec = query->since_usec,
                              .until_usec = query->until_usec,
                              .limit = query->limit};
        autofd fd = open(m->config->state_directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        g_autoptr(GString) buffer = g_string_new(NULL);
        Export e = {.buffer = buffer, .fd = fd};
        int r;

        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make a file for the audit rows");
        if (!caller_is_admin(caller)) {
                if (filter.has_caller_uid && filter.caller_uid != caller->uid)
                        return fault_set(f, FAULT_DENIED,
                                         "only root may read the audit rows of other users");
                filter.has_caller_uid = true;
                filter.caller_uid = caller->uid;
        }
        r = store_query_audit(m->store, &filter, export_row, &e, f);
        if (r == 0)
                r = flush(&e);
        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "cannot export the audit rows");
        if (lseek(fd, 0, SEEK_SET) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot export the audit rows");
        *ret_fd = TAKE_FD(fd);
        return 0;
}

int audit_verify(Manager *m, bool *ret_intact, uint64_t *ret_rows, char **ret_detail, Fault *f)
{
        return store_verify_audit(m->store, ret_intact, ret_rows, ret_detail, f);
}
