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

/* One that goes through the trail, for an export or to verify it: core/audit-trail.c. */
typedef struct AuditWalk {
        Manager *manager;
        AuditFilter filter; /* narrowed to the table; with strings of its own: */
        char *strings[6];
        AuditFilter whole; /* as asked for, for files */
        uint64_t left;     /* rows that are still wanted */
        uint64_t cursor, window;
        GArray *segments; /* of AuditSegment, oldest first */
        GPtrArray *paths;
        AuditBatch *batch;
        /* Exports: */
        GString *lines;
        GArray *ends; /* of uint64_t: where each line ends */
        uint64_t written;
        AuditExportDone export_done;
        /* Verifications: */
        AuditHead last, head;
        GArray *heads; /* of AuditHead, by seq */
        char *wrong;
        AuditVerifyDone verify_done;
        void *userdata;
        uid_t uid;
        guint segments_done, heads_done;
        int fd, turned_fd;
        bool verifies, has_begun;
        bool is_descending, is_table_done;
        bool is_turned; /* found newest first, wanted oldest first */
} AuditWalk;

/* core/audit-walk.c, each a piece of it in a worker: the rows of its batch; its next segment; what
 * is left to do when all rows were there. `walk` is an AuditWalk. */
int audit_run_batch(void *walk, Fault *f);
int audit_run_segment(void *walk, Fault *f);
int audit_run_end(void *walk, Fault *f);
/* No more rows are wanted. */
bool audit_walk_is_over(const AuditWalk *w);
