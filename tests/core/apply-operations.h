/* SPDX-License-Identifier: MIT */
#pragma once

/* What can be done with the approval of a playbook, as a table. */

#include "tests/core/applies.h"
#include "tests/core/operations.h"

static inline void prepare_pending_playbook(void)
{
        if (!apply_unit || !g_str_equal(apply_directory, fixture.directory))
                start_apply_unit();
        else
                link_apply_unit();
        prepare_ready();
        (void) ask_playbook(make_playbook("site"));
}

static inline void prepare_approved_playbook(void)
{
        prepare_pending_playbook();
        need(approve(newest()), "approve");
}

static inline int attempt_asking(void)
{
        Approval *a;

        return request_as(&fixture.caller,
                          (ApprovalSpec){.action = "playbook",
                                         .playbook = playbook_row(newest_playbook())->id.text},
                          &a);
}

static inline int attempt_approving(void)
{
        return approve(newest());
}

static inline bool was_run(void *n)
{
        return times_applied() > GPOINTER_TO_UINT(n);
}

/* It stands still when it has begun to change something, which is a step of its own. */
static inline int attempt_applying(void)
{
        unsigned before = times_applied();
        Outcome o = {0};

        write_apply("while [ ! -e s/go ]; do sleep 0.01; done\n" APPLY_GOOD);
        remove_scratch("s/go");
        int r = approval_apply(newest(), &fixture.caller, on_outcome, &o, fresh_fault());
        if (r >= 0 && until(was_run, GUINT_TO_POINTER(before)))
                (void) fake_host_step("a playbook that is being applied");
        write_scratch("s/go", "");
        return finish(r, &o);
}

static inline int attempt_checking(void)
{
        Approval *a;

        write_apply("echo -was +is\n" APPLY_RESULT(0, true, "\"changed\":2"));
        int r = request_as(&fixture.caller,
                           (ApprovalSpec){.action = "playbook",
                                          .checks = true,
                                          .playbook = playbook_row(newest_playbook())->id.text},
                           &a);
        settle();
        return r;
}

/* What was begun and cut off says so, and is asked all the same. */
static inline bool is_asked_with_a_check(void)
{
        const Approval *a = newest();

        settle();
        if (!approval_is(a, "pending") || !a->content.check)
                return false;
        return g_str_has_prefix(a->content.check, "ended well") ||
               strstr(a->content.check, "restarted while it ran");
}

static inline bool is_asked_again(void)
{
        return g_hash_table_size(fixture.manager->objects[OBJECT_APPROVAL]) == 2;
}

static inline bool is_approved_now(void)
{
        return approval_is(newest(), "approved");
}

/* What was begun is never begun again, and what was not begun is not said to be. */
static inline bool is_applied_once(void)
{
        unsigned n = times_applied();
        bool is_over = approval_is(newest(), "applied") || approval_is(newest(), "failed");

        if (n > 1 || (approval_is(newest(), "applied") && n == 0) || (!is_over && n > 0))
                tap_note("the approval is %s, and was applied %u times", newest()->row->state, n);
        return is_over && n <= 1 && (n == 1 || approval_is(newest(), "failed"));
}

static const Operation apply_operations[] = {
        {"asking for a playbook", "approval.request", prepare_pending_playbook, attempt_asking,
         is_asked_again, true, true},
        {"asking for a playbook with a check", "approval.check", prepare_pending_playbook,
         attempt_checking, is_asked_with_a_check, true, true},
        {"approving a playbook", "approval.approve", prepare_pending_playbook, attempt_approving,
         is_approved_now, true, true},
        {"applying a playbook", "approval.apply", prepare_approved_playbook, attempt_applying,
         is_applied_once, true, true},
};
