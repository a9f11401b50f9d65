/* SPDX-License-Identifier: MIT */
#pragma once

/* The inodes at which two file systems can differ: what a comparison has to look at, found in
 * proportion to the change.
 *
 * From the delta: inodes whose bytes differ (diff/tables.h), inodes whose blocks changed under them
 * (diff/strays.h), and the directories on the way to all these (diff/names.h). Where an entry of a
 * directory names the same inode in both and the inode is none of them, all that is below is equal.
 *
 * All but the bytes that differ is asked of the old file system alone, so this holds whatever the
 * new one is like, if the old one was consistent, as e2fsck understands it: its block bitmap and
 * its counts of links say what need not be searched. A guest that wrote to its own disk past its
 * kernel before the old point can hide a later change from it; from a walk it cannot. */

#include "diff/delta.h"
#include "diff/filesystem.h"

typedef struct Suspects Suspects;

/* NULL where it cannot be told, or would be no faster: then all has to be walked, which also says
 * what may be damaged. */
Suspects *suspects_find(Filesystem *old, Filesystem *new, const Delta *delta);
Suspects *suspects_free(Suspects *suspects);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Suspects, suspects_free)

bool suspects_has(const Suspects *suspects, uint32_t ino);
