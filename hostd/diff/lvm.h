/* SPDX-License-Identifier: MIT */
#pragma once

/* Physical volumes of LVM2, and the logical volumes that they make up.
 *
 * Read as lvm2 does (lib/format_text/layout.h, lib/label/label.h): a label in one of the first four
 * sectors, metadata areas that it points to, and in them the newest text. Linear volumes become
 * Volumes, of as many segments and physical volumes as they have; all others have a reason. Nothing
 * asks the kernel's device mapper. All bytes are hostile; what checksums do not fit is damaged. */

#include "diff/lvm-text.h"
#include "diff/volume.h"

/* One physical volume. */
typedef struct LvmMember {
        Volume *volume;
        char id[LVM_ID_SIZE];
        LvmGroup *group; /* as its newest text describes it; NULL where it has none */
} LvmMember;

/* Takes the volume when it succeeds. FAULT_DIFF_FAILED where label or metadata are damaged;
 * IMAGE_REFUSED, IO. */
int lvm_member_read(Volume *volume, LvmMember **ret, Fault *f);
LvmMember *lvm_member_free(LvmMember *member);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmMember, lvm_member_free)

typedef struct LvmVolume {
        char *name;     /* "vg/lv" */
        Volume *volume; /* NULL where it cannot be read */
        char *reason;   /* why not */
} LvmVolume;

void lvm_volume_free(LvmVolume *volume);

/* The visible volumes of all groups, each as the newest of its members' texts has it. `members` are
 * of LvmMember; returns LvmVolumes. */
GPtrArray *lvm_assemble(const GPtrArray *members);

/* The newest text of the group that the member belongs to; NULL for none. */
const LvmGroup *lvm_newest(const GPtrArray *members, const LvmMember *member);

/* Where on the member's volume the extents of its group begin and how many bytes they have, as the
 * newest text says; false where it does not. */
bool lvm_member_extents(const GPtrArray *members, const LvmMember *member, uint64_t *ret_start,
                        uint64_t *ret_length);
