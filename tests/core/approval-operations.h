/* SPDX-License-Identifier: MIT */
#pragma once

/* What can be done with approvals, as a table. */

#include "tests/core/approvals.h"
#include "tests/core/network-operations.h"

static inline void prepare_pending(void)
{
        prepare_ready();
        (void) ask_network("web", "secret");
}

static inline void prepare_approved(void)
{
        prepare_pending();
        need(approve(newest()), "approve");
}

static inline void prepare_approved_change(void)
{
        prepare_networked();
        (void) ask_network("web", "secret");
        need(approve(newest()), "approve");
}

static inline int attempt_request(void)
{
        Approval *a;

        return request_as(&fixture.caller, (ApprovalSpec){.sandbox = "web"}, &a);
}

static inline int attempt_approve(void)
{
        return approve(newest());
}

static inline int attempt_deny(void)
{
        return deny_as(newest(), &approver, "no");
}

static inline int attempt_cancel(void)
{
        return cancel_as(newest(), &fixture.caller);
}

static inline int attempt_apply(void)
{
        return apply_approval(newest());
}

static inline bool is_newest(const char *state)
{
        return newest() && approval_is(newest(), state);
}

static inline bool is_asked(void)
{
        return is_newest("pending");
}

static inline bool is_approved(void)
{
        return is_newest("approved");
}

static inline bool is_denied(void)
{
        return is_newest("denied");
}

static inline bool is_cancelled(void)
{
        return is_newest("cancelled");
}

/* Both or none: nothing is applied that is not said to be, or the other way round. */
static inline bool is_applied(void)
{
        bool is_there = has_profile("web", "secret");

        if (is_there != is_newest("applied"))
                tap_note("the approval is %s, and the network %s", newest()->row->state,
                         row_of("web")->network);
        return is_there && is_newest("applied");
}

static inline bool is_gone_with_approval(void)
{
        return is_destroyed() && is_newest("cancelled");
}

static const Operation approval_operations[] = {
        {"asking", "approval.request", prepare_ready, attempt_request, is_asked, true, true},
        {"approving", "approval.approve", prepare_pending, attempt_approve, is_approved, true,
         true},
        {"denying", "approval.deny", prepare_pending, attempt_deny, is_denied, true, true},
        {"cancelling", "approval.cancel", prepare_pending, attempt_cancel, is_cancelled, true,
         true},
        {"applying", "approval.apply", prepare_approved, attempt_apply, is_applied, true, true},
        {"applying another network", "approval.apply", prepare_approved_change, attempt_apply,
         is_applied, true, true},
        {"destroying what is asked about", "sandbox.destroy", prepare_pending, attempt_destroy,
         is_gone_with_approval, false, false},
};
