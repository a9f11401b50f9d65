/* SPDX-License-Identifier: MIT */

/* Any bytes as an fstab: targets are absolute and never lead upwards. */

#include "diff/mounts.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const MountNames names[] = {
                {.uuid = "01234567-89ab-cdef-0123-456789abcdef",
                 .label = "data",
                 .disk = "vda",
                 .partition = 1,
                 .partition_uuid = "12345678-01",
                 .partition_name = "root"},
                {.disk = "nvme0n1", .partition = 2},
                {.disk = "vdb", .volume = "vg-1/lv"},
                {0},
        };
        g_autoptr(GPtrArray) mounts = mounts_parse((const char *) data, size);

        g_assert(mounts->len <= MOUNTS_MAX);
        for (unsigned i = 0; i < mounts->len; i++) {
                const Mount *mount = mounts->pdata[i];
                size_t n = strlen(mount->target);

                g_assert(mount->target[0] == '/' && !strstr(mount->target, "//") &&
                         !strstr(mount->target, "/../") && (n == 1 || mount->target[n - 1] != '/'));
                n = mount->subvolume ? strlen(mount->subvolume) : 0;
                g_assert(n == 0 || (mount->subvolume[0] != '/' && mount->subvolume[n - 1] != '/'));
                for (size_t j = 0; j < G_N_ELEMENTS(names); j++)
                        (void) mount_is_of(mount, &names[j]);
        }
        return 0;
}
