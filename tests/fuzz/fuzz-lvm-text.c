/* SPDX-License-Identifier: MIT */

/* Any bytes as LVM's metadata: what is made of them keeps its promises. */

#include "diff/lvm-text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const LvmGroup *group, const LvmLogical *logical)
{
        uint64_t end = 0;

        g_assert(logical->name && *logical->name);
        g_assert(!logical->reason || logical->segments->len == 0);
        g_assert(logical->reason || logical->segments->len > 0);
        for (unsigned i = 0; i < logical->segments->len; i++) {
                const LvmSegment *segment = &g_array_index(logical->segments, LvmSegment, i);

                g_assert(segment->start == end && segment->count > 0);
                g_assert(segment->physical < group->physicals->len);
                const LvmPhysical *physical = group->physicals->pdata[segment->physical];
                g_assert(segment->first + segment->count <= physical->n_extents);
                end += segment->count;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        g_autoptr(LvmGroup) group = NULL;

        if (lvm_group_parse((const char *) data, size, &group, NULL) < 0)
                return 0;
        g_assert(group->extent_size > 0);
        for (unsigned i = 0; i < group->logicals->len; i++)
                check(group, group->logicals->pdata[i]);
        return 0;
}
