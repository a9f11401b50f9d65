/* SPDX-License-Identifier: MIT */
#pragma once

/* What a file holds: a run of blocks after another, holes between them, or bytes in the inode. */

#include "base/file.h"
#include "diff/delta.h"
#include "diff/filesystem.h"

typedef struct Content Content;

/* The inode must be a regular file, a directory or a symbolic link. Borrows the file system.
 * Extents, block maps, inline data, and the target of a short symbolic link. FAULT_DIFF_FAILED. */
int content_open(Filesystem *fs, uint32_t ino, const Inode *inode, Content **ret, Fault *f);
Content *content_free(Content *content);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Content, content_free)

uint64_t content_size(const Content *content);

/* Holes and unwritten extents read as zeros. The range must be within the size. */
int content_read(Content *content, uint64_t offset, void *buffer, size_t size, Fault *f);

/* All of it, with a NUL behind; that its size is bounded is for the caller to see to, who frees it.
 */
int content_load(Content *content, char **ret, size_t *ret_size, Fault *f);

/* The block of the file system that holds block `logical` of the file; 0 for a hole. */
uint64_t content_physical(const Content *content, uint64_t logical);

/* Whether equal inodes in both file systems mean equal content: all is known from the inode alone
 * (no block of extents or block numbers between), and nothing that it points to may differ. */
bool content_is_unchanged(const Content *content, const Delta *delta);

/* Compares byte for byte; skips where both refer to the same place that does not differ. `delta` is
 * NULL where nothing is known. */
int content_equal(Content *old, Content *new, const Delta *delta, bool *ret, Fault *f);

/* Of at most CONTENT_HASHED_MAX bytes: a file of holes can be larger than can ever be read, and is
 * made in no time. A fuzzer has less time. */
#ifndef CONTENT_HASHED_MAX
#define CONTENT_HASHED_MAX (UINT64_C(16) << 30)
#endif
int content_sha256(Content *content, char ret_hex[static SHA256_HEX_SIZE], Fault *f);
