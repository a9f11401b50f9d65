/* SPDX-License-Identifier: MIT */
#pragma once

/* Which place of the older point is which of the newer one. */

#include "diff/delta.h"
#include "diff/report.h"
#include "diff/storage.h"

typedef enum PairChange {
        PAIR_SAME,
        PAIR_MOVED,  /* the same file system, at another place */
        PAIR_REMADE, /* another file system at the same place */
        PAIR_ADDED,
        PAIR_REMOVED,
} PairChange;

typedef struct Pair {
        Place *old, *new; /* one may be NULL */
        PairChange change;
} Pair;

/* "moved" and so on; NULL for PAIR_SAME. */
const char *pair_change_to_string(PairChange change);

/* The place at the same place: the same partition by its beginning, the same volume by its name. */
Place *pair_find_at(const Storage *storage, const Place *of);

/* All readable file systems of both: that of the newer point's root first, and those that are gone
 * last. By UUID and place; then by UUID; then by place. Makes the roots known to both storages
 * (storage_set_root()), and leaves them open. FAULT_DIFF_FAILED where one has none. */
int pairs_find(Storage *old, Storage *new, GArray **ret, Fault *f);
