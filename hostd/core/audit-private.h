/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of the audit trail know of each other. */

#include "core/internal.h"

/* Of the manager; made with it. */
struct AuditKeeper {
        GHashTable *readers; /* uid → how many walks of its are under way */
        unsigned n_readers;
        GHashTable *resumed; /* seqs of rows that an earlier process began and this one ends */
        GQueue waiting;      /* of walks (core/audit-trail.c), for their next piece */
        sd_event_source *turn;
        sd_event_source *seal_timer, *head_timer;
        struct Seal *seal; /* core/audit-seal.c: rows of the next file, while they are read */
        bool is_sealing;   /* a worker writes it */
};

char *audit_directory(const Manager *m);
char *audit_segment_path(const Manager *m, const AuditSegment *segment);

void audit_seal_free(struct Seal *seal);
