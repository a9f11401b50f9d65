/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of diffs know of each other. */

#include "core/diff.h"
#include "core/internal.h"

/* One disk at one point: the files of its chain, the top first. */
typedef struct SideDisk {
        char *target; /* "vda" */
        GPtrArray *paths;
        GArray *formats; /* of ImageFormat */
} SideDisk;

typedef struct Side {
        char *name;       /* of the point; NULL where there is but one */
        GPtrArray *disks; /* of SideDisk */
        Id snapshot_id;   /* whose reader count is held, or empty */
} Side;

typedef enum DiffKind { DIFF_COMPARE, DIFF_CONTENT, DIFF_ARCHIVE, DIFF_JOB } DiffKind;

typedef struct Diff {
        Manager *manager;
        DiffKind kind;
        char *path;    /* of the file, but for DIFF_COMPARE */
        bool contents; /* of what is compared */
        DiffJob job;   /* of DIFF_JOB; its texts are not looked at any more */
        char **options;
        uint64_t size_max;
        Side from, to; /* the first without a name for DIFF_CONTENT and DIFF_ARCHIVE */
        Id hidden_id;
        Sandbox *held; /* whose operation is held, or NULL */
        int document_fd;
        AuditEntry *entry;
        DiffDone done;
        void *userdata;
        int result;
        Fault fault;
} Diff;

/* What the worker sees. */
typedef struct DiffRequest {
        Diff *diff; /* what it reads of it does not change while it runs */
        uint64_t deadline_usec;
        uint64_t guestfs_deadline_usec; /* where fluid-diff-guestfs has to do it */
        bool emulates;                  /* the host's guests run without KVM, and so does that */
} DiffRequest;

/* In a worker: runs fluid-diff, and fluid-diff-guestfs where there is something to read that only
 * that can (core/diff-program.c). */
int diff_run(void *request, Fault *f);
