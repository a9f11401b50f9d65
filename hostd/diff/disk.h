/* SPDX-License-Identifier: MIT */
#pragma once

/* All disks of a guest at two points: every file system that can be read is compared, and whatever
 * else differs is named. */

#include "diff/chain.h"
#include "diff/compare.h"
#include "diff/report.h"
#include "diff/stand-in.h"

/* One disk at both points. `name` ("vda") is how the guest's fstab may call it. */
typedef struct DiskPair {
        const char *name;
        Chain *old, *new;
} DiskPair;

/* `from` and `to` name the two points in messages; `ins` has what stands in for places of each, and
 * may be NULL. FAULT_DIFF_FAILED, IMAGE_REFUSED, IO.
 *
 * Where the root's file system, or what is compared before it, is damaged, that is a fault; of any
 * other it is said in the report that its comparison ended early. */
int disks_compare(const DiskPair *disks, unsigned n_disks, const char *from, const char *to,
                  const StandIns *ins, CompareMode mode, Report *report, Fault *f);
