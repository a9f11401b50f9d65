/* SPDX-License-Identifier: MIT */
#pragma once

/* What is equal in both file systems for certain, without comparing: because it is at the same
 * place, and the delta says that the place did not change.
 *
 * All answers are one-sided: false means "look at it". A damaged or hostile file system can make
 * them false, never wrong. */

#include "diff/delta.h"
#include "diff/filesystem.h"

typedef struct Sameness {
        Filesystem *old, *new;
        const Delta *delta; /* NULL: nothing is known */
        bool ea_inodes;     /* values of attributes may be in inodes of their own */
} Sameness;

/* `delta` is of the volumes that both are on. One of the two may be NULL: then nothing is the same.
 */
Sameness sameness_of(Filesystem *old, Filesystem *new, const Delta *delta);

/* A range of the view, in bytes. */
bool same_range(const Sameness *same, uint64_t offset, uint64_t length);

/* The inode itself: it is at the same place in both. */
bool same_inode(const Sameness *same, uint32_t ino);

/* Of equal inodes: the block of extended attributes that they name. */
bool same_xattrs(const Sameness *same, const Inode *inode);

/* The inode, its attributes, and its content: a quick answer for most files of a file system, from
 * one look at the inode's bytes. Never for directories. */
bool same_file(const Sameness *same, uint32_t ino);
