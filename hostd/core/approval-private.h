/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of approvals know of each other. */

#include "core/internal.h"

/* What came of something that was begun. */
typedef enum ApprovalEffect { EFFECT_UNKNOWN, EFFECT_NONE, EFFECT_DONE } ApprovalEffect;

/* One kind of what can be asked: a row of the table in core/approval-action.c, beside the form of
 * its content in core/approval-content.c. */
typedef struct ApprovalAction {
        const char *name;
        /* Fills in the members that only this action has; texts that it adds to `ret_owned`
         * are freed after they were used. `s` may be NULL. */
        int (*build)(Manager *m, const Caller *caller, const Sandbox *s, const ApprovalSpec *spec,
                     ApprovalContent *ret, GPtrArray *ret_owned, Fault *f);
        /* Whether one may be approved where the other was asked for; those members that all have,
         * but for summary and text, are the same. */
        int (*check_edit)(Manager *m, const ApprovalContent *asked, const ApprovalContent *edited,
                          Fault *f);
        /* FAULT_CONTENT_CHANGED where it would not do any more what the content says; or NULL. */
        int (*check)(Manager *m, const ApprovalContent *c, Fault *f);
        /* Does it, for the caller; NULL: the answer is all. */
        int (*apply)(Manager *m, Approval *a, Caller *caller, OperationDone done, void *userdata,
                     Fault *f);
        /* Whether an apply that has ended, or was cut off, was done. */
        ApprovalEffect (*probe)(Manager *m, const Approval *a);
} ApprovalAction;

/* NULL where there is none. */
const ApprovalAction *approval_action(const char *name);
/* The content of what is asked, canonical; the caller frees it. `s` may be NULL. */
int approval_build_content(Manager *m, const Caller *caller, const Sandbox *s,
                           const ApprovalSpec *spec, char **ret, Fault *f);

struct Approval {
        Manager *manager;
        ApprovalRow *row;
        ApprovalContent content; /* of row->content */
        const ApprovalAction *action;
        WaitList waiters;
        /* While it is applied: */
        AuditEntry *entry;
        OperationDone done;
        void *userdata;
        /* core/approval-playbook.c: what came of it, where this process has seen that, in words;
         * NULL: there are none. */
        ApprovalEffect effect;
        char *outcome;
        char *changes;           /* a line for each task that would change something, or NULL */
        AuditEntry *check_entry; /* while it is run in check mode: core/approval-check.c */
        struct Play *play;
};

/* Of a row, which it takes; nobody knows of it yet. */
Approval *approval_new(Manager *m, ApprovalRow *row);
/* Of a row that is this one's already. FAULT_INTERNAL where it is damaged. */
int approval_read_content(Approval *a, Fault *f);

char *approval_bus_path(const Approval *a);
bool approval_is(const Approval *a, const char *state);
/* Nobody has answered it yet: it is "pending" or "checking". */
bool approval_is_open(const Approval *a);
/* It was approved, and can still be applied. */
bool approval_is_usable(const Approval *a);
Sandbox *approval_sandbox(const Approval *a);

/* A row that is to become its own. */
void approval_set(char **member, const char *text);
void approval_end_row(ApprovalRow *row, const char *state, const char *reason);

/* One transaction: the "begin" row of that kind, the row, which it takes on success, the sandbox's,
 * and unless `ret_entry` is given the "done" row. Then everybody is told. Takes `detail`. */
int approval_record(Approval *a, ApprovalRow **next, Caller *caller, const char *kind, Json *detail,
                    AuditEntry **ret_entry, Fault *f);
/* The same where `entry`, which it takes, ends with r and f. The row is taken in any case: it is
 * what is true, and is found out again at the next start where it could not be written. */
void approval_record_end(Approval *a, ApprovalRow *next, AuditEntry *entry, int r, const Fault *f);

/* -- core/approval-timer.c: expiry and retention ----------------------------------------------- */

/* Ends what is due, forgets what was kept long enough, and sets the timer for the next. */
void approval_tend(Manager *m);
/* FAULT_APPROVAL_EXPIRED where its time is over, though the timer was not there yet. */
int approval_check_time(const Approval *a, Fault *f);

/* -- core/approval-notify.c -------------------------------------------------------------------- */

void approval_notify(Approval *a);

/* -- core/approval-apply.c --------------------------------------------------------------------- */

/* What an earlier process was applying. */
void approval_resolve(Approval *a);

/* -- core/approval-playbook.c: to apply a playbook -----------------------------------------------
 */

int playbook_action_build(Manager *m, const Caller *caller, const Sandbox *s,
                          const ApprovalSpec *spec, ApprovalContent *ret, GPtrArray *ret_owned,
                          Fault *f);
int playbook_action_check_edit(Manager *m, const ApprovalContent *asked,
                               const ApprovalContent *edited, Fault *f);
int playbook_action_check(Manager *m, const ApprovalContent *c, Fault *f);
ApprovalEffect playbook_action_probe(Manager *m, const Approval *a);

/* -- core/approval-play.c: and its run -----------------------------------------------------------
 */

int playbook_action_apply(Manager *m, Approval *a, Caller *caller, OperationDone done,
                          void *userdata, Fault *f);
/* Runs it in check mode where it would be applied. done() finds what came of it in `outcome` and
 * `changes`, the log is there. */
int play_check(Approval *a, OperationDone done, void *userdata, Fault *f);
/* Ends a run that is under way, of which nobody is told any more. */
struct Play *play_free(struct Play *play);

/* -- core/approval-recap.c: what fluid-ansible said when it ended --------------------------------
 */

typedef struct PlayResult {
        char *hosts;   /* what became of each, on one line; "" where it did not say */
        char *changes; /* what would be changed, a line for each task, escaped; or "" */
        bool is_check; /* it had not begun to change anything */
} PlayResult;

void play_result_read(int fd, PlayResult *ret);
void play_result_done(PlayResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PlayResult, play_result_done)

/* -- core/approval-check.c: a run in check mode before a person is asked -------------------------
 */

/* Whether one is to be made: what whoever asks says, and apply.conf. */
int approval_check_is_due(const Manager *m, const ApprovalSpec *spec, bool *ret, Fault *f);
/* It is not "checking" any more: ends what runs of it. */
void approval_check_stop(Approval *a);
/* An earlier process was at it: that is its result; where it had not begun it is begun. */
void approval_check_resolve(Approval *a);

/* -- core/approval-log.c -------------------------------------------------------------------------
 */

#define APPROVAL_LOG       "log"
#define APPROVAL_CHECK_LOG "check"

/* An empty one of that kind, to be written to. */
int approval_make_log(const Approval *a, const char *kind, int *ret_fd, Fault *f);
void approval_remove_logs(const Approval *a);
/* Those of approvals that are not there any more. */
void approval_tidy_logs(const Manager *m);
