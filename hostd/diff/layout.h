/* SPDX-License-Identifier: MIT */
#pragma once

/* What differs between the disks of two points besides the files that are compared: how disks are
 * divided, what is in places that cannot be read, and what belongs to no place. None of it is
 * hidden. */

#include "diff/delta.h"
#include "diff/report.h"
#include "diff/storage.h"

/* `deltas` has one of each disk, by its number. FAULT_IMAGE_REFUSED, IO, NO_MEMORY. */
int layout_compare(const Storage *old, const Storage *new, Delta *const *deltas, Report *report,
                   Fault *f);
