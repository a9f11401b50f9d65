/* SPDX-License-Identifier: MIT */
#pragma once

/* The record of every call that changed something: a row before the effect, a row after it. What
 * happens by itself, or to something else than what was called, is told in one row. */

#include "base/fault.h"
#include "base/json.h"
#include "core/caller.h"
#include "core/manager.h"
#include "store/store.h"

typedef struct AuditEntry AuditEntry;

/* -- writing (core/audit.c) ---------------------------------------------------------------------
 */

/* What a row is about. Borrowed; what is not said is "" or UID_NONE. */
typedef struct AuditSubject {
        const char *sandbox_id, *sandbox_name, *agent;
        unsigned owner_uid;
} AuditSubject;

AuditSubject audit_subject_of_sandbox(const SandboxRow *row);
/* Of an approval that may not be known to the manager yet. */
AuditSubject audit_subject_of_approval(const Manager *m, const ApprovalRow *row);

/* Writes the "begin" row; the effect may happen only when this returned 0. `object` is a bus path
 * or "", and tells the subject where there is such an object. Ownership of `detail` (may be NULL)
 * passes: arguments, never content, input or environment. */
int audit_begin(Manager *m, Caller *caller, const char *kind, const char *object, Json *detail,
                AuditEntry **ret, Fault *f);
/* The same about something that is not there yet. */
int audit_begin_about(Manager *m, Caller *caller, const char *kind, const char *object,
                      const AuditSubject *subject, Json *detail, AuditEntry **ret, Fault *f);

/* What came of it, for the "done" or "failed" row: sizes and states, never content. Takes
 * `detail`; of several the last counts. NULL is allowed. */
void audit_set_result(AuditEntry *entry, Json *detail);

/* Writes the "done" (r >= 0) or "failed" row, as part of the transaction that is open: the entry is
 * freed by audit_discard() when that was committed, else ended by audit_end(). NULL is allowed. */
int audit_write_end(AuditEntry *entry, int r, const Fault *f, Fault *ret_fault);

/* Writes the "done" (r >= 0) or "failed" row and frees the entry. NULL is allowed. Returns NULL. */
AuditEntry *audit_end(AuditEntry *entry, int r, const Fault *f);

/* Takes up a call whose "begin" row an earlier process has written and not ended: its end is
 * fluid-hostd's. NULL where there is none, or it was sealed meanwhile. */
AuditEntry *audit_resume(Manager *m, const char *kind, const char *object);

/* Frees the entry without a row: its "begin" was rolled back, or its end written. NULL is allowed.
 */
AuditEntry *audit_discard(AuditEntry *entry);

/* Ends what an earlier process has begun and nobody takes up: as failed with Cancelled. Those that
 * are taken up later, when libvirt answers, are left. */
void audit_end_interrupted(Manager *m);
/* One of those, where it turned out that there is nothing to take up. */
void audit_abandon(Manager *m, const char *kind, const char *object);

/* Writes the only row of a call that was turned down before it began; nothing where the call has a
 * "begin" row already. */
void audit_refuse(Manager *m, Caller *caller, const char *kind, const char *object, const Fault *f);

/* Writes the only row, "done", of what has happened to `object` by itself, or by way of something
 * else that was called. Joins an open transaction. Takes `detail`. */
int audit_note(Manager *m, const Caller *caller, const char *kind, const char *object, Json *detail,
               Fault *f);

/* -- the journal (core/audit-journal.c) -------------------------------------------------------- */

/* Every row that is on disk becomes an entry of the journal, where this daemon cannot change it:
 * FLUID_AUDIT_SEQ, FLUID_AUDIT_HASH (the head of the chain as of then), FLUID_KIND, FLUID_PHASE,
 * FLUID_OBJECT, FLUID_ERROR, FLUID_SANDBOX, FLUID_SANDBOX_NAME, FLUID_AGENT,
 * FLUID_CALLER, FLUID_CALLER_UID and MESSAGE_ID. The head is written at the start and every hour,
 * too. */
#define AUDIT_ROW_MESSAGE_ID  "3f1c7a0d9e5b4c62a1d8e47b90c6f253"
#define AUDIT_HEAD_MESSAGE_ID "b86d2f4e17a94d0c8c35f0a2e96b714d"
void audit_watch_rows(Manager *m);
void audit_tell_head(Manager *m);

/* -- reading (core/audit-trail.c) ----------------------------------------------------------------
 */

/* NULL and 0: any. For callers that are not admins also limited to what they called or own. */
typedef struct AuditQuery {
        const char *object, *kind, *sandbox, *agent, *phase, *error;
        bool has_caller_uid;
        uint32_t caller_uid;
        uint64_t since_usec, until_usec;
        uint64_t before_seq; /* only what was before that row */
        uint64_t limit;      /* the newest so many */
        bool is_newest_first;
} AuditQuery;

/* How many may be under way for one user; of all. */
#define AUDIT_READERS_PER_UID_MAX 4
#define AUDIT_READERS_MAX         16

/* `fd` is borrowed. */
typedef void (*AuditExportDone)(int fd, int r, const Fault *f, void *userdata);

/* The trail as JSON lines in an unlinked file, oldest first, files of sealed rows included. The
 * database is read a few milliseconds at a time; all else is done by workers. Keys as in AuditRow.
 * FAULT_DENIED, FAULT_INVALID_ARGUMENT, FAULT_LIMITS_EXCEEDED; in done() FAULT_IO, FAULT_NO_SPACE.
 */
int audit_export(Manager *m, const Caller *caller, const AuditQuery *query, AuditExportDone done,
                 void *userdata, Fault *f);

/* `detail`: as of store_verify_audit(). */
typedef void (*AuditVerifyDone)(bool is_intact, uint64_t rows, const char *detail, int r,
                                const Fault *f, void *userdata);

#define AUDIT_HEADS_MAX 65536

/* Computes the chain anew, sealed rows included, and compares it with what the database knows, and
 * with `heads` (borrowed; may be empty) that were written down elsewhere. FAULT_INVALID_ARGUMENT,
 * FAULT_LIMITS_EXCEEDED; in done() FAULT_IO. */
int audit_verify(Manager *m, const Caller *caller, const AuditHead *heads, size_t n_heads,
                 AuditVerifyDone done, void *userdata, Fault *f);

/* -- sealing (core/audit-seal.c) ------------------------------------------------------------------
 */

/* Rows that are older than audit_keep, or more than audit_rows_kept_max, leave the database for
 * files "FIRST-LAST.jsonl" in the state directory's audit/: written, synced and read back before
 * the database says so, and only then deleted there. A trail that is not intact is left as it is.
 * Looks now and then from now on. */
void audit_seal_begin(Manager *m);
/* Looks now; for the tests, too. */
void audit_seal_tend(Manager *m);
