/* SPDX-License-Identifier: MIT */
#pragma once

/* What tests of approvals have in common. The fixture's caller asks, `approver` answers. */

#include "tests/core/networks.h"

#include "core/approval-private.h"

static Caller approver = {.uid = 2000, .text = "person[2]", .is_approver = true};

/* With what is not set filled in. */
static inline int request_as(Caller *caller, ApprovalSpec spec, Approval **ret)
{
        fresh_fault();
        caller->is_audited = false;
        spec.action = spec.action ? spec.action : "question";
        spec.summary = spec.summary ? spec.summary : "Go on?";
        return approval_request(fixture.manager, caller, &spec, ret, &fixture.fault);
}

static inline Approval *ask_as(ApprovalSpec spec)
{
        Approval *a = NULL;

        need(request_as(&fixture.caller, spec, &a), "request");
        return a;
}

static inline Approval *ask(void)
{
        return ask_as((ApprovalSpec){0});
}

static inline Approval *ask_network(const char *sandbox, const char *profile)
{
        return ask_as((ApprovalSpec){.action = "network",
                                     .summary = "The mirror, for packages",
                                     .sandbox = sandbox,
                                     .profile = profile});
}

/* The newest, whoever has the old pointer. */
static inline Approval *newest(void)
{
        g_autoptr(GPtrArray) list = manager_list(fixture.manager, OBJECT_APPROVAL);

        return list->len ? list->pdata[list->len - 1] : NULL;
}

static inline int approve_as(Approval *a, Caller *caller, ApprovalAnswer answer)
{
        fresh_fault();
        caller->is_audited = false;
        answer.sha256 = answer.sha256 ? answer.sha256 : a->row->sha256;
        return approval_approve(a, caller, &answer, &fixture.fault);
}

static inline int approve(Approval *a)
{
        return approve_as(a, &approver, (ApprovalAnswer){.comment = "fine"});
}

static inline int deny_as(Approval *a, Caller *caller, const char *comment)
{
        fresh_fault();
        caller->is_audited = false;
        return approval_deny(a, caller, comment, &fixture.fault);
}

static inline int cancel_as(Approval *a, Caller *caller)
{
        fresh_fault();
        caller->is_audited = false;
        return approval_cancel(a, caller, &fixture.fault);
}

static inline int apply_as(Approval *a, Caller *caller)
{
        Outcome o = {0};

        fresh_fault();
        caller->is_audited = false;
        return finish(approval_apply(a, caller, on_outcome, &o, &fixture.fault), &o);
}

static inline int apply_approval(Approval *a)
{
        return apply_as(a, &fixture.caller);
}

/* One case. */
static inline void is_now(const Approval *a, const char *state, const char *sentence)
{
        if (!tap_is_str(a->row->state, state, "%s", sentence))
                tap_note("%s", a->row->reason);
}
