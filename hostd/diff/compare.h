/* SPDX-License-Identifier: MIT */
#pragma once

/* Two file systems, path by path: every change of type, content and metadata, and nothing else.
 *
 * Files are compared by path, so a rename is a removal and an addition; the number of links, atime
 * and ctime are no change, nor is the size of a directory. Rewritten with equal content is no
 * change.
 *
 * All directories are walked; a file is read only where neither the delta proves it equal nor its
 * size proves it different. Nothing recurses: depth, circles and names of a damaged file system end
 * in FAULT_DIFF_FAILED. */

#include "diff/delta.h"
#include "diff/report.h"

#define COMPARE_DEPTH_MAX 4096

/* `delta` covers the disks that both views are on. */
int compare_filesystems(Filesystem *old, Filesystem *new, const Delta *delta, Report *report,
                        Fault *f);
