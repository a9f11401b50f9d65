/* SPDX-License-Identifier: MIT */
#pragma once

/* An export of the audit trail, verified by itself: the chain is computed from its rows alone, by
 * what the daemon computes it with (base/audit-row.h). */

#include "base/audit-row.h"
#include "base/fault.h"

#include <glib.h>

typedef struct AuditFileEnd {
        bool is_intact;
        uint64_t rows;  /* before the first that is wrong */
        uint64_t first; /* the number of the first one; 0: there is none */
        bool is_loose;  /* nothing says what the first one follows, so that it is as it is */
        AuditHead last;
        char *wrong; /* the row or line, and how; NULL where it is intact */
} AuditFileEnd;

void audit_file_end_done(AuditFileEnd *end);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AuditFileEnd, audit_file_end_done)

/* Lines of JSON as Manager.Audit() gives them out, oldest first and without a gap, from any row on.
 * `heads` are of AuditHead, written down elsewhere: also of the row before the first one, and with
 * the number 0 of the last one. FAULT_NOT_FOUND, IO. */
int audit_file_verify(const char *path, const GArray *heads, AuditFileEnd *ret, Fault *f);
