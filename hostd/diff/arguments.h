/* SPDX-License-Identifier: MIT */
#pragma once

/* What fluid-diff was asked for on its command line. */

#include "diff/chain.h"
#include "diff/compare.h"
#include "diff/stand-in.h"

typedef enum DiffMode {
        MODE_COMPARE,
        MODE_CAT,
        MODE_EXTRACT,
        MODE_PLAYBOOK,
        MODE_RESIDUAL,
} DiffMode;

/* Whether it takes two images for each disk. */
static inline bool mode_has_pairs(DiffMode mode)
{
        return mode == MODE_COMPARE || mode == MODE_PLAYBOOK || mode == MODE_RESIDUAL;
}

/* One disk at one point: a path, or descriptors as text. */
typedef struct DiskSource {
        char name[DISK_NAME_MAX + 1];
        const char *path; /* NULL: descriptors */
        const char *fds;  /* "3:qcow2,4:raw" */
} DiskSource;

typedef struct DiskSources {
        DiskSource list[DISKS_MAX];
        unsigned n;
} DiskSources;

typedef struct Arguments {
        DiffMode mode;
        const char *path; /* of the file, for --cat and --extract */
        bool json, contents;
        CompareMode compare;               /* --walk, which only tests and benches need */
        bool allow_secrets, allow_setuid;  /* in a playbook */
        int archive_fd;                    /* of --residual; -1: none */
        int document_fd, summary_fd;       /* where a playbook's are kept; 0: nowhere */
        int history_fd;                    /* a text that goes into a playbook; 0: none */
        bool defer;                        /* to fluid-diff-guestfs, where that can read more */
        StandIns ins[2];                   /* of both points */
        const char *from, *to;             /* names of the points */
        DiskSources old, new;              /* the latter alone for --cat and --extract */
        DiskFormat old_format, new_format; /* of paths */
        uint64_t max_memory_bytes;
        uint64_t max_output_bytes;
        uint64_t deadline_usec;
} Arguments;

/* Ends the program for --help and --version. FAULT_INVALID_ARGUMENT. */
int arguments_parse(int argc, char **argv, Arguments *ret, Fault *f);

/* Opens a disk; `known` is a chain of the same disk, or NULL. */
int disk_source_open(const DiskSource *source, DiskFormat format, const Chain *known, Chain **ret,
                     Fault *f);
