/* SPDX-License-Identifier: MIT */
#pragma once

/* What can be known of a file besides its content. */

#include "diff/content.h"

typedef enum FileKind {
        KIND_FILE,
        KIND_DIRECTORY,
        KIND_SYMLINK,
        KIND_CHAR,
        KIND_BLOCK,
        KIND_FIFO,
        KIND_SOCKET,
} FileKind;

typedef struct Attributes {
        FileKind kind;
        uint32_t mode; /* 07777 */
        uint32_t uid, gid;
        uint64_t size; /* bytes */
        int64_t mtime_sec;
        uint32_t mtime_nsec;
        uint32_t major, minor; /* of devices; else 0 */
} Attributes;

/* One extended attribute as getxattr(2) shows it: access control lists in their portable form. */
typedef struct Xattr {
        char *name;
        uint8_t *value;
        size_t size;
} Xattr;

/* "file", "directory", and so on. */
const char *file_kind_to_string(FileKind kind);

/* False for a type of file that does not exist. */
bool attributes_from_inode(const Inode *inode, Attributes *ret);

/* Whether mode, owner, group and modification time are equal. */
bool attributes_equal(const Attributes *a, const Attributes *b);

/* All extended attributes, sorted by name; NULL where there are none. FAULT_DIFF_FAILED. */
int xattrs_read(Filesystem *fs, uint32_t ino, const Inode *inode, GPtrArray **ret, Fault *f);
bool xattrs_equal(const GPtrArray *a, const GPtrArray *b);
