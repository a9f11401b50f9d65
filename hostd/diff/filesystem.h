/* SPDX-License-Identifier: MIT */
#pragma once

/* An ext2, ext3 or ext4 file system on a view: its inodes and directories, by libext2fs.
 *
 * Never written, never mounted. An unclean journal is replayed in the view (diff/journal.h). What
 * libext2fs finds damaged is FAULT_DIFF_FAILED with its reason. */

#include "diff/view.h"

#include <ext2fs/ext2fs.h>

typedef struct Filesystem {
        View *view;
        ext2_filsys ext2;
        const char *name; /* for messages: which of the two points */
        uint32_t block_size;
        uint32_t inode_size;
} Filesystem;

#define INODE_SIZE_MAX 4096

typedef union Inode {
        struct ext2_inode base;
        struct ext2_inode_large large;
        uint8_t bytes[INODE_SIZE_MAX];
} Inode;

typedef struct Entry {
        uint32_t inode;
        uint32_t name_offset;
        uint8_t name_length;
} Entry;

/* The entries of one directory without "." and "..", sorted by the bytes of their names. */
typedef struct Directory {
        GArray *entries; /* of Entry */
        GByteArray *names;
} Directory;

/* Borrows `view` and `name`. */
int filesystem_open(View *view, const char *name, Filesystem **ret, Fault *f);
Filesystem *filesystem_free(Filesystem *fs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Filesystem, filesystem_free)

/* FAULT_DIFF_FAILED: `what`, the inode, and libext2fs's reason. */
int filesystem_fault(const Filesystem *fs, errcode_t error, const char *what, uint32_t ino,
                     Fault *f);

/* Bytes beyond the file system's inode size, up to the size of ext2_inode_large, are zero. */
int filesystem_read_inode(Filesystem *fs, uint32_t ino, Inode *ret, Fault *f);

/* Where the inode is kept: its offset in the view; false if there is no such inode. */
bool filesystem_find_inode(const Filesystem *fs, uint32_t ino, uint64_t *ret_offset);

int filesystem_read_directory(Filesystem *fs, uint32_t ino, Directory **ret, Fault *f);

/* Of the entries only those whose inodes are wanted. */
typedef bool (*InodeWanted)(const void *data, uint32_t ino);
int filesystem_search_directory(Filesystem *fs, uint32_t ino, InodeWanted wanted, const void *data,
                                Directory **ret, Fault *f);

Directory *directory_free(Directory *directory);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Directory, directory_free)
const Entry *directory_entry(const Directory *directory, unsigned i); /* NULL at the end */
const Entry *directory_find(const Directory *directory, const char *name,
                            size_t size);                                   /* or NULL */
const char *directory_name(const Directory *directory, const Entry *entry); /* no NUL */
