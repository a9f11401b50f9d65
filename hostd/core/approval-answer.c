/* SPDX-License-Identifier: MIT */

/* What people say to a question, and who may say it. */

#include "core/approval-private.h"

#include "base/cleanup.h"
#include "base/quantity.h"

#include <string.h>

/* -- who may ------------------------------------------------------------------------------------
 */

/* The same user, or somebody who came out of the same login: sudo makes nobody another person. */
static bool is_requester(const ApprovalRow *row, const Caller *caller)
{
        bool had_login = row->requester_login_uid != UID_NONE;

        if (caller->uid == row->requester_uid)
                return true;
        if (*caller->session && g_str_equal(caller->session, row->requester_session))
                return true;
        if (caller->has_login && (caller->login_uid == row->requester_uid ||
                                  (had_login && caller->login_uid == row->requester_login_uid)))
                return true;
        return had_login && row->requester_login_uid == caller->uid;
}

static int check_answerer(const Approval *a, const Caller *caller, Fault *f)
{
        bool is_free_root = caller_is_admin(caller) &&
                            g_str_equal(a->manager->config->approve_own_as_root, "yes");

        if (!is_requester(a->row, caller) || is_free_root)
                return 0;
        return fault_set(f, FAULT_OWN_REQUEST,
                         "you asked for this, or somebody in your login session did: somebody else "
                         "has to answer%s",
                         caller_is_admin(caller) ? " (approve_own_as_root)" : "");
}

static int check_pending(const Approval *a, Fault *f)
{
        int r = approval_is(a, "pending") ? approval_check_time(a, f) : 0;

        if (approval_is(a, "checking"))
                return fault_set(f, FAULT_BUSY,
                                 "the playbook of approval %s is run in check mode: it can be "
                                 "answered when that has ended",
                                 a->row->id.text);
        if (approval_is(a, "expired"))
                return fault_set(f, FAULT_APPROVAL_EXPIRED, "approval %s has expired",
                                 a->row->id.text);
        if (r == 0 && !approval_is(a, "pending"))
                return fault_set(f, FAULT_ALREADY_DECIDED, "approval %s is %s already",
                                 a->row->id.text, a->row->state);
        return r;
}

static int check_comment(const char *comment, Fault *f)
{
        if (comment &&
            (strlen(comment) > APPROVAL_COMMENT_MAX || !g_utf8_validate(comment, -1, NULL)))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "a comment has at most %d bytes, of UTF-8", APPROVAL_COMMENT_MAX);
        return 0;
}

static int check_can_answer(const Approval *a, const Caller *caller, const char *comment, Fault *f)
{
        int r = manager_admits_work(a->manager, f);

        if (r == 0)
                r = check_answerer(a, caller, f);
        if (r == 0)
                r = check_pending(a, f);
        return r < 0 ? r : check_comment(comment, f);
}

/* -- yes ----------------------------------------------------------------------------------------
 */

static int check_edit(const Approval *a, const ApprovalContent *edited, Fault *f)
{
        if (!g_str_equal(edited->action, a->content.action) ||
            !g_str_equal(edited->sandbox, a->content.sandbox))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "action and sandbox of the content cannot be changed");
        return a->action->check_edit(a->manager, &a->content, edited, f);
}

/* What is to be approved: as it was asked, or other. */
static int read_approved(const Approval *a, const ApprovalAnswer *answer, ApprovalContent *ret,
                         Fault *f)
{
        const char *content = answer->content ? answer->content : a->row->content;
        size_t size = answer->content ? answer->content_size : strlen(a->row->content);
        g_auto(ApprovalContent) edited = {0};
        int r = approval_content_parse(content, size, &edited, f);

        if (r == 0 && answer->content)
                r = check_edit(a, &edited, f);
        if (r < 0)
                return r;
        *ret = edited;
        edited = (ApprovalContent){0};
        return 0;
}

static int check_hash(const ApprovalAnswer *answer, const char *sha256, Fault *f)
{
        if (g_strcmp0(answer->sha256, sha256) == 0)
                return 0;
        return fault_set(f, FAULT_WRONG_HASH,
                         "%.64s is not the hash of what would be approved, which is %s",
                         answer->sha256 ? answer->sha256 : "", sha256);
}

static int check_alternative(const ApprovalContent *c, const char *alternative, Fault *f)
{
        if (!c->alternatives[0]) {
                if (!alternative || !*alternative)
                        return 0;
                return fault_set(f, FAULT_UNKNOWN_ALTERNATIVE,
                                 "there are no alternatives: it is approved or denied");
        }
        if (!alternative || !*alternative)
                return fault_set(f, FAULT_UNKNOWN_ALTERNATIVE, "choose one of the alternatives");
        if (!approval_content_has_alternative(c, alternative))
                return fault_set(f, FAULT_UNKNOWN_ALTERNATIVE,
                                 "'%.80s' is none of the alternatives", alternative);
        return 0;
}

static void decide(ApprovalRow *row, const Caller *caller, const char *state, const char *comment)
{
        approval_set(&row->state, state);
        approval_set(&row->comment, comment);
        approval_set(&row->decided_by, caller->text);
        row->decided_by_uid = caller->uid;
        row->decided_usec = now_realtime_usec();
}

static Json *describe(const ApprovalRow *next)
{
        Json *detail = json_object_new_object();

        (void) json_object_object_add(detail, "sha256", json_object_new_string(next->sha256));
        if (!g_str_equal(next->sha256, next->requested_sha256))
                (void) json_object_object_add(detail, "requested_sha256",
                                              json_object_new_string(next->requested_sha256));
        return detail;
}

static ApprovalRow *approved_row(const Approval *a, const Caller *caller,
                                 const ApprovalAnswer *answer, char *content, char *sha256)
{
        ApprovalRow *next = approval_row_copy(a->row);

        decide(next, caller, "approved", answer->comment);
        approval_set(&next->alternative, answer->alternative);
        g_free(next->content);
        next->content = content;
        g_free(next->sha256);
        next->sha256 = sha256;
        if (a->action->apply)
                next->expires_usec =
                        next->decided_usec + a->manager->config->approval_use_timeout_usec;
        else
                next->ended_usec = next->decided_usec;
        return next;
}

int approval_approve(Approval *a, Caller *caller, const ApprovalAnswer *answer, Fault *f)
{
        g_auto(ApprovalContent) approved = {0};
        g_autofree char *content = NULL, *sha256 = NULL;
        int r = check_can_answer(a, caller, answer->comment, f);

        if (r == 0)
                r = read_approved(a, answer, &approved, f);
        if (r < 0)
                return r;
        content = answer->content ? g_strndup(answer->content, answer->content_size)
                                  : g_strdup(a->row->content);
        sha256 = g_compute_checksum_for_string(G_CHECKSUM_SHA256, content, -1);
        r = check_hash(answer, sha256, f);
        if (r == 0)
                r = check_alternative(&approved, answer->alternative, f);
        if (r == 0 && a->action->check)
                r = a->action->check(a->manager, &approved, f);
        if (r < 0)
                return r;
        g_autoptr(ApprovalRow) next =
                approved_row(a, caller, answer, TAKE_PTR(content), TAKE_PTR(sha256));
        r = approval_record(a, &next, caller, "approval.approve", describe(next), NULL, f);
        if (r == 0)
                approval_tend(a->manager);
        return r;
}

/* -- no -----------------------------------------------------------------------------------------
 */

int approval_deny(Approval *a, Caller *caller, const char *comment, Fault *f)
{
        int r = check_can_answer(a, caller, comment, f);

        if (r < 0)
                return r;
        g_autoptr(ApprovalRow) next = approval_row_copy(a->row);
        decide(next, caller, "denied", comment);
        next->ended_usec = next->decided_usec;
        r = approval_record(a, &next, caller, "approval.deny", describe(next), NULL, f);
        if (r == 0)
                approval_tend(a->manager);
        return r;
}

/* A yes that was not used can be given back, too. */
int approval_cancel(Approval *a, Caller *caller, Fault *f)
{
        int r = manager_admits_work(a->manager, f);

        if (r == 0 && !caller_is_admin(caller) && caller->uid != a->row->requester_uid)
                r = fault_set(f, FAULT_DENIED,
                              "only who asked may cancel: deny it, if it is not to be");
        if (r == 0 && !approval_is_usable(a) && !approval_is(a, "checking"))
                r = check_pending(a, f);
        if (r < 0)
                return r;
        g_autoptr(ApprovalRow) next = approval_row_copy(a->row);
        approval_end_row(next, "cancelled", "");
        r = approval_record(a, &next, caller, "approval.cancel", NULL, NULL, f);
        if (r == 0)
                approval_tend(a->manager);
        return r;
}
