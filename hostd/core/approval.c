/* SPDX-License-Identifier: MIT */

/* Questions to people: what they are, who sees them, and how they are written down; asking is in
 * core/approval-request.c. */

#include "core/approval-private.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/quantity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

/* -- what it is -------------------------------------------------------------------------------- */

const ApprovalRow *approval_row(const Approval *a)
{
        return a->row;
}

const ApprovalContent *approval_content(const Approval *a)
{
        return &a->content;
}

char *approval_bus_path(const Approval *a)
{
        return g_strdup_printf("/sh/fluid/Host1/approval/%s", a->row->id.text);
}

bool approval_is(const Approval *a, const char *state)
{
        return g_str_equal(a->row->state, state);
}

bool approval_is_open(const Approval *a)
{
        return approval_is(a, "pending") || approval_is(a, "checking");
}

bool approval_is_usable(const Approval *a)
{
        return approval_is(a, "approved") && a->action->apply;
}

bool approval_is_visible(const Approval *a, const Caller *caller)
{
        return caller_is_admin(caller) || caller->is_approver ||
               a->row->requester_uid == caller->uid;
}

Sandbox *approval_sandbox(const Approval *a)
{
        return g_hash_table_lookup(a->manager->objects[OBJECT_SANDBOX], a->row->sandbox_id.text);
}

static bool is_answered(const char *wanted, void *object)
{
        (void) wanted;
        return !approval_is_open(object);
}

int approval_wait(Approval *a, uint64_t timeout_usec, OperationDone done, void *userdata, Fault *f)
{
        return wait_add(&a->waiters, a->manager->event, "", timeout_usec, is_answered, a, done,
                        userdata, f);
}

int approval_open_content(const Approval *a, bool requested, int *ret_fd, Fault *f)
{
        const char *content = requested ? a->row->requested_content : a->row->content;
        autofd fd = memfd_create("approval", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        int r = fd < 0 ? -errno : write_all(fd, content, strlen(content));

        if (r == 0 &&
            (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 ||
             lseek(fd, 0, SEEK_SET) < 0))
                r = -errno;
        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "the content cannot be handed out");
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* -- writing it down --------------------------------------------------------------------------- */

void approval_set(char **member, const char *text)
{
        g_free(*member);
        *member = g_strdup(text ? text : "");
}

void approval_end_row(ApprovalRow *row, const char *state, const char *reason)
{
        approval_set(&row->state, state);
        approval_set(&row->reason, reason);
        row->ended_usec = now_realtime_usec();
}

/* Whether one of that sandbox would wait if this one were in that state. */
static bool would_wait(const Approval *a, const ApprovalRow *next)
{
        GHashTableIter iter;
        void *object;

        if (g_str_equal(next->state, "pending") || g_str_equal(next->state, "checking"))
                return true;
        g_hash_table_iter_init(&iter, a->manager->objects[OBJECT_APPROVAL]);
        while (g_hash_table_iter_next(&iter, NULL, &object)) {
                const Approval *other = object;
                if (other != a && approval_is_open(other) &&
                    g_str_equal(other->row->sandbox_id.text, next->sandbox_id.text))
                        return true;
        }
        return false;
}

/* The row and, where its time stands still from now on, or goes on, that of the sandbox. */
static int put(const Approval *a, const ApprovalRow *next, Fault *f)
{
        Sandbox *s =
                g_hash_table_lookup(a->manager->objects[OBJECT_SANDBOX], next->sandbox_id.text);
        bool is_held = s && would_wait(a, next);
        int r = store_put_approval(a->manager->store, next, f);

        if (r < 0 || !s || is_held == (s->row->held_usec != 0))
                return r;
        sandbox_set_held(s, is_held);
        return sandbox_save(s, f);
}

typedef struct Held {
        Sandbox *sandbox;
        uint64_t held_usec, expires_usec;
} Held;

static Held held_before(const Approval *a, const ApprovalRow *next)
{
        Sandbox *s =
                g_hash_table_lookup(a->manager->objects[OBJECT_SANDBOX], next->sandbox_id.text);

        return s ? (Held){s, s->row->held_usec, s->row->expires_usec} : (Held){NULL, 0, 0};
}

static void take_back(const Held *before)
{
        if (!before->sandbox)
                return;
        before->sandbox->row->held_usec = before->held_usec;
        before->sandbox->row->expires_usec = before->expires_usec;
}

static void tell_sandbox(const Held *before)
{
        Sandbox *s = before->sandbox;

        if (!s || s->row->held_usec == before->held_usec)
                return;
        sandbox_arm_ttl(s);
        if (s->is_announced)
                manager_changed(s->manager, OBJECT_SANDBOX, s);
}

int approval_read_content(Approval *a, Fault *f)
{
        g_auto(ApprovalContent) content = {0};
        g_autofree char *sha256 =
                g_compute_checksum_for_string(G_CHECKSUM_SHA256, a->row->content, -1);
        Fault why = {0};

        if (!g_str_equal(sha256, a->row->sha256) ||
            approval_content_parse(a->row->content, strlen(a->row->content), &content, &why) < 0)
                return fault_set(f, FAULT_INTERNAL,
                                 "the content of approval %s in the database is damaged: %s",
                                 a->row->id.text,
                                 *why.message ? why.message : "it has another hash");
        approval_content_clear(&a->content);
        a->content = content;
        content = (ApprovalContent){0};
        return 0;
}

/* In place: the table of objects points to the id. */
static void take_row(Approval *a, ApprovalRow *next)
{
        bool is_other = !g_str_equal(a->row->sha256, next->sha256);
        ApprovalRow old = *a->row;

        *a->row = *next;
        *next = old;
        (void) approval_row_free(next);
        if (is_other)
                g_assert(approval_read_content(a, NULL) == 0);
}

/* From then on it may be gone. */
static void tell(Approval *a)
{
        Manager *m = a->manager;

        log_info("approval %s is %s", a->row->id.text, a->row->state);
        /* Not yet: whoever asks for it hears of it as a whole. */
        if (g_hash_table_contains(m->objects[OBJECT_APPROVAL], a->row->id.text))
                manager_changed(m, OBJECT_APPROVAL, a);
        wait_notify(&a->waiters, is_answered, a);
}

int approval_record(Approval *a, ApprovalRow **next, Caller *caller, const char *kind, Json *detail,
                    AuditEntry **ret_entry, Fault *f)
{
        g_autofree char *path = g_strdup_printf("/sh/fluid/Host1/approval/%s", (*next)->id.text);
        Store *store = a->manager->store;
        Held before = held_before(a, *next);
        AuditEntry *entry = NULL;
        int r = store_begin(store, f);

        if (r < 0) {
                (void) json_object_put(detail);
                return r;
        }
        /* Whoever asked reads in the trail what the answer was. */
        if (detail && *(*next)->comment)
                (void) json_object_object_add(detail, "comment",
                                              json_object_new_string((*next)->comment));
        AuditSubject subject = audit_subject_of_approval(a->manager, *next);
        r = audit_begin_about(a->manager, caller, kind, path, &subject, detail, &entry, f);
        if (r == 0)
                r = put(a, *next, f);
        if (r == 0 && !ret_entry)
                r = audit_write_end(entry, 0, NULL, f);
        if (r == 0)
                r = store_commit(store, f);
        if (r < 0) {
                store_rollback(store);
                take_back(&before);
                entry = audit_discard(entry);
                caller->is_audited = false;
                return r;
        }
        if (ret_entry)
                *ret_entry = entry;
        else
                entry = audit_discard(entry);
        take_row(a, TAKE_PTR(*next));
        tell_sandbox(&before);
        tell(a);
        if (!approval_is(a, "checking"))
                approval_check_stop(a);
        return 0;
}

void approval_record_end(Approval *a, ApprovalRow *next, AuditEntry *entry, int r, const Fault *f)
{
        Store *store = a->manager->store;
        Fault why = {0};
        int written = store_begin(store, &why);

        if (written == 0)
                written = store_put_approval(store, next, &why);
        if (written == 0)
                written = audit_write_end(entry, r, f, &why);
        if (written == 0)
                written = store_commit(store, &why);
        if (written < 0) {
                store_rollback(store);
                log_error("what became of approval %s cannot be saved: %s", next->id.text,
                          why.message);
        }
        (void) audit_discard(entry);
        take_row(a, next);
        tell(a);
}

/* -- beginning and end ------------------------------------------------------------------------- */

Approval *approval_new(Manager *m, ApprovalRow *row)
{
        Approval *a = g_new0(Approval, 1);

        *a = (Approval){.manager = m, .row = row, .action = approval_action(row->action)};
        return a;
}

Approval *approval_free(Approval *a)
{
        if (!a)
                return NULL;
        a->play = play_free(a->play);
        g_free(a->outcome);
        g_free(a->changes);
        a->check_entry = audit_discard(a->check_entry);
        a->entry = audit_discard(a->entry);
        wait_clear(&a->waiters);
        approval_content_clear(&a->content);
        (void) approval_row_free(a->row);
        g_free(a);
        return NULL;
}

void approval_sandbox_gone(Manager *m, const char *sandbox_id)
{
        g_autoptr(GPtrArray) list = manager_list(m, OBJECT_APPROVAL);
        Caller own = manager_own_caller();

        for (guint i = 0; i < list->len; i++) {
                Approval *a = list->pdata[i];
                Fault f = {0};
                if (!g_str_equal(a->row->sandbox_id.text, sandbox_id) ||
                    (!approval_is_open(a) && !approval_is_usable(a)))
                        continue;
                ApprovalRow *next = approval_row_copy(a->row);
                approval_end_row(next, "cancelled", "the sandbox was destroyed");
                if (approval_record(a, &next, &own, "approval.cancel", NULL, NULL, &f) < 0)
                        log_error("approval %s cannot be cancelled: %s", a->row->id.text,
                                  f.message);
                (void) approval_row_free(next);
        }
        approval_tend(m);
}

/* What was asked about a sandbox whose destruction an earlier process did not tell of. */
static void cancel_orphans(Manager *m)
{
        g_autoptr(GPtrArray) list = manager_list(m, OBJECT_APPROVAL);

        for (guint i = 0; i < list->len; i++) {
                const Approval *a = list->pdata[i];
                Id id = a->row->sandbox_id;
                if (*id.text && !approval_sandbox(a))
                        approval_sandbox_gone(m, id.text);
        }
}

int approval_load_all(Manager *m, Fault *f)
{
        g_autoptr(GPtrArray) rows = NULL;
        int r = store_load_approvals(m->store, &rows, f);

        if (r < 0)
                return r;
        g_ptr_array_set_free_func(rows, NULL);
        for (guint i = 0; i < rows->len; i++) {
                Approval *a = approval_new(m, rows->pdata[i]);
                r = a->action ? approval_read_content(a, f)
                              : fault_set(f, FAULT_INTERNAL,
                                          "approval %s in the database has an action '%s' that "
                                          "this fluid-hostd does not know",
                                          a->row->id.text, a->row->action);
                if (r < 0) {
                        (void) approval_free(a);
                        return r;
                }
                manager_add(m, OBJECT_APPROVAL, a->row->id.text, a);
                if (approval_is(a, "applying"))
                        approval_resolve(a);
                else if (approval_is(a, "checking"))
                        approval_check_resolve(a);
        }
        cancel_orphans(m);
        approval_tidy_logs(m);
        approval_tend(m);
        approval_notify_all(m);
        return 0;
}
