/* SPDX-License-Identifier: MIT */
#pragma once

/* The directories by which inodes that may differ are reached.
 *
 * A path of a file is found by its name in a directory. Where that directory is not known, those
 * are read that are near: an inode is in the group of its directory, as a rule behind it; at last
 * all are read. The search for a file ends with as many names as it has links. The entry ".." of a
 * directory is believed only where the entry in its parent agrees. */

#include "diff/filesystem.h"

/* Adds to `suspects` (a set of inode numbers, GUINT_TO_POINTER) all directories that lead from the
 * root to the inodes in `files` and `directories` (arrays of uint32_t).
 *
 * `fs` is the old file system: what has the same path in both has it there. `files` are no
 * directories; `directories`, which changed themselves, are looked at for their names first.
 * *ret_known is false where a name or a directory is not as it should be. */
int names_find(Filesystem *fs, const GArray *files, const GArray *directories, GHashTable *suspects,
               bool *ret_known, Fault *f);
