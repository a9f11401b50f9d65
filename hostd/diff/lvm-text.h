/* SPDX-License-Identifier: MIT */
#pragma once

/* The text that describes a volume group of LVM2: what its logical volumes are made of.
 *
 * A bounded reader of hostile text (lvm2's lib/format_text; lvm.conf(5) has the grammar). Names
 * that LVM would not give are refused. */

#include "base/fault.h"

#include <glib.h>
#include <stdint.h>

#define LVM_TEXT_MAX (UINT32_C(8) << 20)
#define LVM_ID_SIZE  33 /* 32 letters and digits, the dashes left out */

typedef struct LvmPhysical {
        char *key; /* what segments call it: "pv0" */
        char id[LVM_ID_SIZE];
        uint64_t start;     /* of its first extent, bytes */
        uint64_t n_extents; /* at most 2^32 */
} LvmPhysical;

/* A run of extents of a logical volume that are on one physical volume. */
typedef struct LvmSegment {
        uint64_t start, count; /* extents */
        unsigned physical;     /* its number in the group */
        uint64_t first;        /* extent of the physical volume */
} LvmSegment;

typedef struct LvmLogical {
        char *name;
        bool is_visible;  /* else a part of another one */
        char *reason;     /* why it is not linear; NULL where it is */
        GArray *segments; /* of LvmSegment, sorted, without gaps; empty where it is not linear */
} LvmLogical;

typedef struct LvmGroup {
        char *name;
        char id[LVM_ID_SIZE];
        uint64_t seqno;
        uint64_t extent_size; /* bytes; at most 2^40 */
        GPtrArray *physicals; /* of LvmPhysical */
        GPtrArray *logicals;  /* of LvmLogical */
} LvmGroup;

/* The text need not end with NUL. FAULT_DIFF_FAILED. */
int lvm_group_parse(const char *text, size_t size, LvmGroup **ret, Fault *f);
LvmGroup *lvm_group_free(LvmGroup *group);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmGroup, lvm_group_free)

/* Makes 32 letters and digits of an id with or without dashes; false if it is none. */
bool lvm_id_parse(const char *text, size_t size, char ret[static LVM_ID_SIZE]);
