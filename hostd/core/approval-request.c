/* SPDX-License-Identifier: MIT */

/* Somebody asks. */

#include "core/approval-private.h"

#include "base/cleanup.h"
#include "base/quantity.h"

#include <string.h>

#define AGENT_NAME_MAX 128

static int check_quota(const Manager *m, uid_t uid, Fault *f)
{
        GHashTableIter iter;
        uint64_t all = 0, own = 0;
        void *object;

        g_hash_table_iter_init(&iter, m->objects[OBJECT_APPROVAL]);
        while (g_hash_table_iter_next(&iter, NULL, &object)) {
                const Approval *a = object;
                if (!approval_is_open(a))
                        continue;
                all++;
                own += a->row->requester_uid == uid;
        }
        if (own >= m->config->approvals_pending_per_owner_max)
                return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                 "%" PRIu64 " approvals of yours wait already "
                                 "(approvals_pending_per_owner_max): cancel some, or wait",
                                 own);
        if (all >= m->config->approvals_pending_max)
                return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                 "%" PRIu64 " approvals wait on this host already "
                                 "(approvals_pending_max)",
                                 all);
        return 0;
}

static int check_spec(const Manager *m, const ApprovalSpec *spec, Fault *f)
{
        static const char *const urgencies[] = {"low", "normal", "high", NULL};
        g_autofree char *most = duration_format(m->config->approval_timeout_max_usec);

        if (spec->urgency && !g_strv_contains(urgencies, spec->urgency))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.40s' is no urgency; use low, normal or high", spec->urgency);
        if (spec->agent && strlen(spec->agent) > AGENT_NAME_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "the agent's name is longer than %d bytes", AGENT_NAME_MAX);
        if (spec->timeout_usec > m->config->approval_timeout_max_usec)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "the timeout may be at most approval_timeout_max, %s", most);
        return 0;
}

static int find_sandbox(Manager *m, const Caller *caller, const char *name, Sandbox **ret, Fault *f)
{
        int r = manager_get_sandbox(m, caller, name, ret, f);

        if (r == 0 && sandbox_state(*ret) == SANDBOX_DESTROYING)
                r = fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' is being destroyed",
                              (*ret)->row->name);
        return r;
}

static ApprovalRow *new_row(const Manager *m, const Caller *caller, const ApprovalSpec *spec,
                            const Sandbox *s, const char *content, bool is_check_due)
{
        uint64_t now = now_realtime_usec();
        uint64_t timeout =
                spec->timeout_usec ? spec->timeout_usec : m->config->approval_timeout_usec;
        ApprovalRow *row = g_new0(ApprovalRow, 1);

        *row = (ApprovalRow){
                .id = id_new(),
                .action = g_strdup(spec->action),
                .state = g_strdup(is_check_due ? "checking" : "pending"),
                .reason = g_strdup(is_check_due ? "it waits to be run in check mode" : ""),
                .urgency = g_strdup(spec->urgency ? spec->urgency : "normal"),
                .agent = g_strdup(spec->agent ? spec->agent
                                  : s         ? s->row->agent
                                              : ""),
                .sandbox_id = s ? s->row->id : (Id){""},
                .content = g_strdup(content),
                .sha256 = g_compute_checksum_for_string(G_CHECKSUM_SHA256, content, -1),
                .requested_content = g_strdup(content),
                .requester_uid = caller->uid,
                .requester = g_strdup(caller->text),
                .requester_login_uid = caller->has_login ? caller->login_uid : UID_NONE,
                .requester_session = g_strdup(caller->session),
                .created_usec = now,
                .expires_usec = now + timeout,
                .decided_by_uid = UID_NONE,
                .decided_by = g_strdup(""),
                .comment = g_strdup(""),
                .alternative = g_strdup("")};
        row->requested_sha256 = g_strdup(row->sha256);
        return row;
}

static Json *describe(const ApprovalRow *row, const ApprovalContent *c)
{
        Json *detail = json_object_new_object();

        (void) json_object_object_add(detail, "action", json_object_new_string(row->action));
        (void) json_object_object_add(detail, "sha256", json_object_new_string(row->sha256));
        (void) json_object_object_add(detail, "urgency", json_object_new_string(row->urgency));
        if (g_str_equal(row->state, "checking"))
                (void) json_object_object_add(detail, "check", json_object_new_boolean(true));
        (void) json_object_object_add(detail, "expires_usec",
                                      json_object_new_uint64(row->expires_usec));
        if (*row->sandbox_id.text)
                (void) json_object_object_add(detail, "sandbox",
                                              json_object_new_string(row->sandbox_id.text));
        if (c->profile)
                (void) json_object_object_add(detail, "profile",
                                              json_object_new_string(c->profile));
        if (c->playbook) {
                (void) json_object_object_add(detail, "playbook",
                                              json_object_new_string(c->playbook));
                (void) json_object_object_add(detail, "archive",
                                              json_object_new_string(c->archive));
        }
        return detail;
}

int approval_request(Manager *m, Caller *caller, const ApprovalSpec *spec, Approval **ret, Fault *f)
{
        g_autofree char *content = NULL;
        Sandbox *s = NULL;
        bool is_check_due = false;
        int r = manager_admits_work(m, f);

        if (r == 0)
                r = check_spec(m, spec, f);
        if (r == 0 && spec->sandbox)
                r = find_sandbox(m, caller, spec->sandbox, &s, f);
        if (r == 0)
                r = approval_build_content(m, caller, s, spec, &content, f);
        if (r == 0)
                r = approval_check_is_due(m, spec, &is_check_due, f);
        if (r == 0)
                r = check_quota(m, caller->uid, f);
        if (r < 0)
                return r;
        ApprovalRow *next = new_row(m, caller, spec, s, content, is_check_due);
        Approval *a = approval_new(m, approval_row_copy(next));
        r = approval_read_content(a, f);
        if (r == 0)
                r = approval_record(a, &next, caller, "approval.request",
                                    describe(next, &a->content), NULL, f);
        if (r < 0) {
                (void) approval_row_free(next);
                (void) approval_free(a);
                return r;
        }
        manager_add(m, OBJECT_APPROVAL, a->row->id.text, a);
        approval_tend(m);
        approval_notify(a);
        approval_check_next(m);
        *ret = a;
        return 0;
}
