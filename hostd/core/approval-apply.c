/* SPDX-License-Identifier: MIT */

/* What was approved is done, once. */

#include "core/approval-private.h"

#include "base/cleanup.h"
#include "base/log.h"

static int check_usable(const Approval *a, Fault *f)
{
        const char *id = a->row->id.text;

        if (approval_is(a, "applied"))
                return fault_set(f, FAULT_ALREADY_APPLIED, "approval %s was applied already", id);
        if (approval_is(a, "failed"))
                return fault_set(f, FAULT_ALREADY_APPLIED,
                                 "approval %s was begun to be applied, and failed: %s; ask anew",
                                 id, a->row->reason);
        if (approval_is(a, "applying"))
                return fault_set(f, FAULT_BUSY, "approval %s is being applied", id);
        if (approval_is(a, "expired"))
                return fault_set(f, FAULT_APPROVAL_EXPIRED, "approval %s has expired: ask anew",
                                 id);
        if (!approval_is(a, "approved"))
                return fault_set(f, FAULT_NOT_APPROVED, "approval %s is %s, not approved", id,
                                 a->row->state);
        if (!a->action->apply)
                return fault_set(f, FAULT_WRONG_STATE,
                                 "approval %s is a question: there is nothing to apply", id);
        return approval_check_time(a, f);
}

static int check_can_apply(const Approval *a, const Caller *caller, Fault *f)
{
        g_autofree char *sha256 =
                g_compute_checksum_for_string(G_CHECKSUM_SHA256, a->row->content, -1);
        int r = manager_admits_work(a->manager, f);

        if (r == 0 && !caller_is_admin(caller) && caller->uid != a->row->requester_uid)
                r = fault_set(f, FAULT_DENIED, "only who asked may apply it");
        if (r == 0)
                r = check_usable(a, f);
        if (r == 0 && !g_str_equal(sha256, a->row->sha256))
                r = fault_set(f, FAULT_CONTENT_CHANGED,
                              "the content of approval %s is not what was approved",
                              a->row->id.text);
        return r == 0 && a->action->check ? a->action->check(a->manager, &a->content, f) : r;
}

/* How it ends, by what there is. */
static ApprovalRow *ended_row(const Approval *a, const Fault *f)
{
        ApprovalRow *next = approval_row_copy(a->row);

        switch (a->action->probe(a->manager, a)) {
        case EFFECT_DONE:
                approval_end_row(next, "applied", a->outcome);
                break;
        case EFFECT_NONE:
                approval_set(&next->state, "approved");
                approval_set(&next->reason, f ? f->message : "");
                break;
        case EFFECT_UNKNOWN:
                approval_end_row(next, "failed",
                                 a->outcome         ? a->outcome
                                 : f && *f->message ? f->message
                                                    : "it is not known what came of it");
                break;
        }
        return next;
}

static void on_applied(int r, const Fault *f, void *userdata)
{
        Approval *a = userdata;
        OperationDone done = a->done;
        void *done_userdata = a->userdata;
        ApprovalRow *next = ended_row(a, r < 0 ? f : NULL);

        a->done = NULL;
        approval_record_end(a, next, TAKE_PTR(a->entry), r, f);
        done(r, f, done_userdata);
        manager_end_operation(a->manager);
        approval_tend(a->manager);
}

int approval_apply(Approval *a, Caller *caller, OperationDone done, void *userdata, Fault *f)
{
        g_autoptr(ApprovalRow) next = NULL;
        Json *detail;
        int r = check_can_apply(a, caller, f);

        if (r < 0)
                return r;
        next = approval_row_copy(a->row);
        approval_set(&next->state, "applying");
        detail = json_object_new_object();
        (void) json_object_object_add(detail, "sha256", json_object_new_string(next->sha256));
        r = approval_record(a, &next, caller, "approval.apply", detail, &a->entry, f);
        if (r < 0)
                return r;
        a->done = done;
        a->userdata = userdata;
        manager_begin_operation(a->manager);
        r = a->action->apply(a->manager, a, caller, on_applied, a, f);
        if (r < 0) {
                a->done = NULL;
                approval_record_end(a, ended_row(a, f), TAKE_PTR(a->entry), r, f);
                manager_end_operation(a->manager);
        }
        return r;
}

void approval_resolve(Approval *a)
{
        g_autofree char *path = approval_bus_path(a);
        AuditEntry *entry = audit_resume(a->manager, "approval.apply", path);
        ApprovalRow *next = ended_row(a, NULL);
        bool is_done = g_str_equal(next->state, "applied");
        bool is_nothing = g_str_equal(next->state, "approved");
        Fault f = {0};
        int r = is_done ? 0
                        : fault_set(&f, FAULT_CANCELLED, "fluid-hostd was restarted %s",
                                    is_nothing ? "before anything was done"
                                               : "while it was applied");

        log_info("approval %s was being applied when fluid-hostd ended: it is %s", a->row->id.text,
                 next->state);
        approval_record_end(a, next, entry, r, &f);
}
