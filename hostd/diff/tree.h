/* SPDX-License-Identifier: MIT */
#pragma once

/* The guest's files at one point as one tree: its root, and on it what its /etc/fstab mounts.
 *
 * A file system that is mounted where there is no directory is left out, as is one that cannot be
 * read; below an empty directory there is then nothing to find. */

#include "diff/lookup.h"
#include "diff/stand-in.h"

typedef struct Tree {
        Storage *storage;
        bool is_borrowed; /* the storage */
        GArray *mounts;   /* of LookupMount */
} Tree;

/* As storage_new() and, where `ins` is not NULL, stand_ins_use(); and FAULT_DIFF_FAILED where there
 * is no root that can be read. */
int tree_new(const char *name, Chain *const *chains, const char *const *disk_names,
             unsigned n_disks, const StandIns *ins, Tree **ret, Fault *f);

/* Of a storage whose root is set; borrows it, and opens what is mounted. */
Tree *tree_of(Storage *storage);
Tree *tree_free(Tree *tree);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tree, tree_free)

/* As lookup_find_mounted(). */
int tree_find(const Tree *tree, const char *path, bool follow, Filesystem **ret_fs, LookupFile *ret,
              Fault *f);
