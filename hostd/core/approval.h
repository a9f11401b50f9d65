/* SPDX-License-Identifier: MIT */
#pragma once

/* A question to a person, bound to the SHA-256 of exactly what is asked: core/approval-content.h.
 *
 * States:
 *
 *   checking → cancelled
 *     ↓
 *     pending → approved → applying → applied
 *             → denied      ↑ ↓      → failed: on its way, or it is not known what came of it
 *             → cancelled   approved: nothing came of it
 *             → expired ← approved
 *
 * Each step is one transaction of the row and the audit trail, and of the sandbox's row, whose time
 * stands still as long as an approval of it is pending. So a daemon that is killed goes on where
 * the store says; what was "applying" is resolved at the next start by looking whether it was done.
 *
 * "checking" is a playbook that is run in check mode before anybody is asked: its result becomes a
 * part of what is asked (core/approval-check.c). It can be cancelled, and nothing else.
 *
 * A question is answered by its approval. What an action does is done by the requester's Apply,
 * once, and not when it is approved: then the requester is there to see how it goes, and whoever
 * approves does not wait for libvirt. */

#include "core/approval-content.h"
#include "core/manager.h"
#include "store/store.h"

#define APPROVAL_COMMENT_MAX 4096

typedef struct ApprovalSpec {
        const char *action;
        const char *summary, *text;      /* text: or NULL */
        const char *sandbox;             /* a name or id, or NULL */
        const char *agent;               /* NULL: the sandbox's */
        const char *urgency;             /* NULL: "normal" */
        uint64_t timeout_usec;           /* 0: the host's default */
        const char *const *alternatives; /* or NULL */
        const char *profile;             /* or NULL */
        const char *playbook;            /* an id, or NULL */
        bool checks;                     /* it is to be run in check mode first */
} ApprovalSpec;

int approval_request(Manager *m, Caller *caller, const ApprovalSpec *spec, Approval **ret,
                     Fault *f);

/* Until it is not pending any more. */
int approval_wait(Approval *a, uint64_t timeout_usec, OperationDone done, void *userdata, Fault *f);

/* `sha256` is of what is approved. That is its content, or, where `content` is given, that instead:
 * canonical, and of what the action lets be changed. */
typedef struct ApprovalAnswer {
        const char *sha256;
        const char *comment;     /* NULL: none */
        const char *alternative; /* NULL: none */
        const void *content;     /* NULL: as it was asked */
        size_t content_size;
} ApprovalAnswer;
/* FAULT_OWN_REQUEST, ALREADY_DECIDED, APPROVAL_EXPIRED, WRONG_HASH, UNKNOWN_ALTERNATIVE,
 * CONTENT_CHANGED. */
int approval_approve(Approval *a, Caller *caller, const ApprovalAnswer *answer, Fault *f);
int approval_deny(Approval *a, Caller *caller, const char *comment, Fault *f);
/* By the requester, or root. */
int approval_cancel(Approval *a, Caller *caller, Fault *f);

/* By the requester, or root. Done when it was; what failed and left nothing can be tried again. */
int approval_apply(Approval *a, Caller *caller, OperationDone done, void *userdata, Fault *f);

/* What it printed while it was applied; the file can grow yet. FAULT_NOT_FOUND, IO. */
int approval_open_log(const Approval *a, int *ret_fd, Fault *f);

/* What was printed when it was run in check mode before it was asked, for approvers and root.
 * FAULT_DENIED, NOT_FOUND, IO. */
int approval_open_check_log(const Approval *a, const Caller *caller, int *ret_fd, Fault *f);

/* The bytes, in a file of their own that nobody can change. */
int approval_open_content(const Approval *a, bool requested, int *ret_fd, Fault *f);

/* Its requester, approvers and root. */
bool approval_is_visible(const Approval *a, const Caller *caller);

/* Valid until the loop goes on. */
const ApprovalRow *approval_row(const Approval *a);
const ApprovalContent *approval_content(const Approval *a);
