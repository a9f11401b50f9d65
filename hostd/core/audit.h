/* SPDX-License-Identifier: MIT */
#pragma once

/* The record of every call that changed something: a row before the effect, a row after it. */

#include "base/fault.h"
#include "base/json.h"
#include "core/caller.h"
#include "core/manager.h"

typedef struct AuditEntry AuditEntry;

/* Writes the "begin" row; the effect may happen only when this returned 0. `object` is a bus path
 * or
 * "". Ownership of `detail` (may be NULL) passes: arguments, never content, input or environment.
 */
int audit_begin(Manager *m, Caller *caller, const char *kind, const char *object, Json *detail,
                AuditEntry **ret, Fault *f);

/* Writes the "done" (r >= 0) or "failed" row, as part of the transaction that is open: the entry is
 * freed by audit_discard() when that was committed, else ended by audit_end(). NULL is allowed. */
int audit_write_end(AuditEntry *entry, int r, const Fault *f, Fault *ret_fault);

/* Writes the "done" (r >= 0) or "failed" row and frees the entry. NULL is allowed. Returns NULL. */
AuditEntry *audit_end(AuditEntry *entry, int r, const Fault *f);

/* Takes up a call whose "begin" row an earlier process has written and not ended: its end is
 * fluid-hostd's. NULL where there is none. */
AuditEntry *audit_resume(Manager *m, const char *kind, const char *object);

/* Frees the entry without a row: its "begin" was rolled back, or its end written. NULL is allowed.
 */
AuditEntry *audit_discard(AuditEntry *entry);

/* Writes the only row of a call that was turned down before it began; nothing where the call has a
 * "begin" row already. */
void audit_refuse(Manager *m, Caller *caller, const char *kind, const char *object, const Fault *f);

/* The trail as JSON lines into a new unlinked file, read from its start; rows of other callers are
 * left out unless the caller is an admin. Keys as in AuditRow. */
typedef struct AuditQuery {
        const char *object, *kind; /* NULL: any */
        bool has_caller_uid;
        uint32_t caller_uid;
        uint64_t since_usec, until_usec, limit;
} AuditQuery;
int audit_export(Manager *m, const Caller *caller, const AuditQuery *query, int *ret_fd, Fault *f);

int audit_verify(Manager *m, bool *ret_intact, uint64_t *ret_rows, char **ret_detail, Fault *f);
