/* SPDX-License-Identifier: MIT */
#pragma once

/* Two file systems, path by path: every change of type, content and metadata, and nothing else.
 *
 * Files are compared by path, so a rename is a removal and an addition; the number of links, atime
 * and ctime are no change, nor is the size of a directory. Rewritten with equal content is no
 * change.
 *
 * What is known to be equal from the delta (diff/suspects.h) is not looked at; where that is not to
 * be had, all directories are walked. Both ways give the same report. A file is read only where
 * neither the delta proves it equal nor its size proves it different. Nothing recurses: depth,
 * circles and names of a damaged file system end in FAULT_DIFF_FAILED. */

#include "diff/delta.h"
#include "diff/report.h"

#define COMPARE_DEPTH_MAX 4096

typedef enum CompareMode {
        COMPARE_CHANGED,
        COMPARE_WALK, /* all directories, whatever the delta says: the reference for the other */
} CompareMode;

/* `delta` is of the volumes that both are on. `old` is NULL for a file system that is new, `new`
 * for one that is gone: all in the other is then added or removed, its root, too. */
int compare_filesystems(Filesystem *old, Filesystem *new, const Delta *delta, CompareMode mode,
                        Report *report, Fault *f);
