/* SPDX-License-Identifier: MIT */
#pragma once

/* The blocks that an inode refers to, from its bytes as they are in the inode table.
 *
 * For the questions "whose block is this" and "where are the entries of this directory", which are
 * asked of very many inodes: nothing is allocated, no checksum is verified. What is preallocated or
 * lies beyond the end of a file counts. */

#include "diff/filesystem.h"

typedef struct References References;

typedef enum ReferenceKind {
        REFERENCE_DATA,
        REFERENCE_INDEX, /* of extents, or of block numbers */
        REFERENCE_XATTRS,
} ReferenceKind;

/* Blocks [block, block + count), which are within the file system. False: no more is wanted. */
typedef bool (*ReferenceVisit)(void *data, ReferenceKind kind, uint64_t block, uint64_t count);

/* Borrows the file system. */
References *references_new(Filesystem *fs);
References *references_free(References *references);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(References, references_free)

/* `inode` has the inode size of the file system. False where the inode is damaged, or where all
 * calls together have met more index blocks than there can be: what was visited is right then, but
 * not all. */
bool references_visit(References *references, const uint8_t *inode, ReferenceVisit visit,
                      void *data);

/* Of the bytes of an inode. */
uint16_t raw_inode_mode(const uint8_t *inode);
uint16_t raw_inode_links(const uint8_t *inode);
uint32_t raw_inode_flags(const uint8_t *inode);
