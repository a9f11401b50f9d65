/* SPDX-License-Identifier: MIT */
#pragma once

/* File systems that are not read here, but by fluid-diff-guestfs: xfs and btrfs. Of them only the
 * superblock is looked at, for their UUID and label. */

#include "diff/chain.h"
#include "diff/delta.h"
#include "diff/storage.h"

/* Whether it has one, with or without what stands in for it. */
bool place_is_foreign(const Place *place);

/* Whether any place has one. */
bool foreign_is_in(const Storage *storage);

/* Sets the place's UUID and label. FAULT_IMAGE_REFUSED, IO. */
int foreign_read_superblock(Place *place, Fault *f);

/* One that has to be copied before the points can be compared, or files taken out of `new`. */
typedef struct ForeignPlace {
        bool of_new;
        unsigned place; /* its number */
} ForeignPlace;

/* All of `new` and, where it is not NULL, `old`, but for those that `deltas` proves equal. Where no
 * root of an operating system can be read otherwise, equal ones are needed, too: one may be it. An
 * array of ForeignPlace, the old ones first; g_array_unref() it. FAULT_NO_MEMORY. */
int foreign_find(const Storage *old, const Storage *new, Delta *const *deltas, GArray **ret,
                 Fault *f);

/* Whether a file of `new` may be on one: where there is no other root, or the path leads there, or
 * what is below it, by /etc/fstab. Sets the storage's root. */
bool foreign_has_path(Storage *new, const char *path);

/* "xfs (partition 1 of vda)": for messages; g_free() it. */
char *foreign_to_string(const Storage *old, const Storage *new, const GArray *places);
