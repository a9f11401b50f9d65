/* SPDX-License-Identifier: MIT */

/* Any bytes as the beginning of a disk of 1 GiB: partitions lie within it. */

#include "diff/partition.h"
#include "tests/fuzz/disk.h"

#define DISK_SIZE (1 << 30)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static Partition partitions[PARTITIONS_MAX];
        int fd = disk_of(data, size, DISK_SIZE);
        DiskFormat format = DISK_RAW;
        g_autoptr(Chain) chain = NULL;
        g_autoptr(Volume) disk = NULL;
        unsigned n = 0;

        g_assert(chain_open_fds(&fd, &format, 1, NULL, &chain, NULL) == 0);
        disk = volume_new_disk(0, chain);
        if (partitions_read(disk, partitions, &n, NULL) < 0)
                return 0;
        g_assert(n >= 1 && n <= PARTITIONS_MAX);
        for (unsigned i = 0; i < n; i++)
                g_assert(partitions[i].start <= DISK_SIZE &&
                         partitions[i].length <= DISK_SIZE - partitions[i].start);
        return 0;
}
