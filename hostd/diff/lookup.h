/* SPDX-License-Identifier: MIT */
#pragma once

/* A file by its path, as a program would find it whose root is that of a file system, with what is
 * mounted below it or without.
 *
 * Paths are counted from the root, with or without a leading '/'. Symbolic links are followed
 * within what there is (an absolute target begins at the root), at most LOOKUP_LINKS_MAX of them,
 * and ".." ends at the root. Nothing recurses. */

#include "diff/attributes.h"

#define LOOKUP_LINKS_MAX 40
#define LOOKUP_PATH_MAX  4096 /* bytes, of a path and of what a link makes of it */

typedef struct LookupFile {
        uint32_t ino;
        Inode inode;
        Attributes attributes;
} LookupFile;

/* A file system on a directory of another one. */
typedef struct LookupMount {
        Filesystem *on;
        uint32_t ino;
        Filesystem *fs;
} LookupMount;

/* `follow`: also a symbolic link that is the last component. FAULT_NOT_FOUND where there is no such
 * file, or a link leads nowhere or in a circle; FAULT_DIFF_FAILED where the file system is damaged,
 * or a name on the way is encrypted. */
int lookup_find(Filesystem *fs, const char *path, size_t path_size, bool follow, LookupFile *ret,
                Fault *f);

/* The same with LookupMounts; `*ret_fs` is the file system that the file is on. */
int lookup_find_mounted(Filesystem *root, const GArray *mounts, const char *path, size_t path_size,
                        bool follow, Filesystem **ret_fs, LookupFile *ret, Fault *f);

/* What is mounted on that directory, or NULL; `mounts` may be NULL. */
Filesystem *lookup_mounted_on(const GArray *mounts, const Filesystem *fs, uint32_t ino);

/* The same from a directory's own entry: one that filesystem_read_directory() gave. */
int lookup_inode(Filesystem *fs, uint32_t ino, LookupFile *ret, Fault *f);

/* The content of a regular file or symbolic link; as content_open(). An encrypted one is
 * FAULT_DIFF_FAILED, as is what is neither. */
int lookup_open(Filesystem *fs, const LookupFile *file, Content **ret, Fault *f);

/* All bytes of a regular file of at most `max` bytes, links followed, with a NUL behind them that
 * is not counted; g_free() them. FAULT_NOT_FOUND, and DIFF_FAILED where it is larger or not a
 * regular file. */
int lookup_read(Filesystem *fs, const char *path, size_t max, char **ret_bytes, size_t *ret_size,
                Fault *f);
