/* SPDX-License-Identifier: MIT */
#pragma once

/* Blocks that changed under inodes that did not: data written in place without a trace in the inode
 * (through a mapping, or with the times set back), directories, blocks of extents or attributes.
 *
 * A marked block needs no look where the old file system had it free (what refers to it now, has
 * changed), where it is metadata of the file system itself, or where it belonged to an inode that
 * changed. What is left is compared, and owners of what differs are searched in the inode tables.
 * The old block bitmap is believed: in a file system that was consistent, an inode refers to no
 * block that is free, and to none of another. */

#include "diff/delta.h"
#include "diff/filesystem.h"

/* `changed` are the inodes (uint32_t, ascending) whose bytes differ; appends to `owners` the
 * others that refer to a block that differs, in any order, some more than once. The file systems
 * match (tables_match()). *ret_known is false where it cannot be told. */
int strays_find_owners(Filesystem *old, Filesystem *new, const Delta *delta, const GArray *changed,
                       GArray *owners, bool *ret_known, Fault *f);
