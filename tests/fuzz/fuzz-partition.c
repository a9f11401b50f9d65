/* SPDX-License-Identifier: MIT */

/* Any bytes as the beginning of a disk of 1 GiB: partitions lie within it. */

#include "base/cleanup.h"
#include "base/file.h"
#include "diff/partition.h"

#include <sys/mman.h>
#include <unistd.h>

#define DISK_SIZE (1 << 30)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static Partition partitions[PARTITIONS_MAX];
        autofd fd = memfd_create("disk", MFD_CLOEXEC);
        DiskFormat format = DISK_RAW;
        g_autoptr(Chain) chain = NULL;
        unsigned n = 0;

        g_assert(fd >= 0 && write_all(fd, data, size) == 0 && ftruncate(fd, DISK_SIZE) == 0);
        g_assert(chain_open_fds(&fd, &format, 1, NULL, &chain, NULL) == 0);
        if (partitions_read(chain, partitions, &n, NULL) < 0)
                return 0;
        g_assert(n >= 1 && n <= PARTITIONS_MAX);
        for (unsigned i = 0; i < n; i++)
                g_assert(partitions[i].start <= DISK_SIZE &&
                         partitions[i].length <= DISK_SIZE - partitions[i].start);
        return 0;
}
