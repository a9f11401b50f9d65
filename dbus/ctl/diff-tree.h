/* SPDX-License-Identifier: MIT */
#pragma once

/* The changes of a diff as a tree of directories with counts.
 *
 * Directories with very many changes are one line, and so are those that lead to another directory
 * and nowhere else. It is drawn in two passes over the document, with memory for each directory
 * that is shown. */

#include "dbus/ctl/digest.h"

/* A directory is folded that has more entries to show than DIFF_TREE_ENTRIES_MAX, or, below the
 * first level, would take more than DIFF_TREE_LINES_MAX lines with what is folded in it. */
#define DIFF_TREE_ENTRIES_MAX 32
#define DIFF_TREE_LINES_MAX   64

typedef struct DiffTree DiffTree;

/* The first pass. Shown are the changes that belong to no package and are no noise, or with `all`
 * every one, and nothing is folded. `base` (may be NULL) is the path that the document was filtered
 * by: its levels do not count. Paths that the digest wants are kept there. */
DiffTree *diff_tree_new(int fd, Digest *digest, bool all, const char *base, Fault *f);
DiffTree *diff_tree_free(DiffTree *t);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DiffTree, diff_tree_free)

/* How many changes are shown. */
uint64_t diff_tree_n_changes(const DiffTree *t);

/* The second pass, on stdout. */
int diff_tree_print(DiffTree *t, int fd, Fault *f);
