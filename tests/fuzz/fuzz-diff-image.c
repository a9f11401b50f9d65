/* SPDX-License-Identifier: MIT */

/* Any bytes as a disk: read as qcow2 and as raw, all of the walk, the comparison and the archive,
 * without a crash, a leak or a hang. The disk is compared with a changed copy of itself, so that
 * both the quick ways and the slow ones are taken. */

#include "base/cleanup.h"
#include "base/file.h"
#include "diff/archive.h"
#include "diff/chain.h"
#include "diff/disk.h"
#include "diff/report.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE_MIN           512
#define SIZE_MAX_OF_DISK   (4 << 20)
#define SIZE_MAX_OF_OUTPUT (16 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int make_file(const uint8_t *data, size_t size, bool changed)
{
        int fd = memfd_create("disk", MFD_CLOEXEC);

        g_assert(fd >= 0 && write_all(fd, data, size) == 0);
        for (size_t at = 4096; changed && at < size; at += 4096) {
                uint8_t byte = (uint8_t) (data[at] ^ (at % 3 == 0));
                g_assert(pwrite(fd, &byte, 1, (off_t) at) == 1);
        }
        return fd;
}

static void compare(int old_fd, int new_fd, DiskFormat format, int out)
{
        g_autoptr(Chain) old = NULL, new = NULL;
        Fault fault = {0};

        if (chain_open_fds(&old_fd, &format, 1, NULL, &old, &fault) < 0 ||
            chain_open_fds(&new_fd, &format, 1, old, &new, &fault) < 0)
                return;
        const DiskPair pair = {"vda", old, new};
        g_autoptr(Report) report = report_new(out, UINT64_MAX, true, "old", "new");
        report_set_contents(report);
        if (disks_compare(&pair, 1, "old", "new", NULL, COMPARE_CHANGED, report, &fault) == 0)
                (void) report_end(report, &fault);
}

static void archive(int fd, DiskFormat format, int out)
{
        const char *name = "vda";
        g_autoptr(Chain) chain = NULL;
        g_autoptr(Tree) tree = NULL;
        Fault fault = {0};

        if (chain_open_fds(&fd, &format, 1, NULL, &chain, &fault) < 0 ||
            tree_new("old", &chain, &name, 1, NULL, &tree, &fault) < 0)
                return;
        g_autoptr(Output) content = output_new(out, SIZE_MAX_OF_OUTPUT);
        (void) archive_write_content(tree, "/etc/fstab", content, NULL);
        g_autoptr(Output) output = output_new(out, SIZE_MAX_OF_OUTPUT);
        (void) archive_write(tree, "/", output, &fault);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < SIZE_MIN || size > SIZE_MAX_OF_DISK)
                return 0;
        autofd old = make_file(data, size, false), new = make_file(data, size, true);
        autofd out = open("/dev/null", O_WRONLY | O_CLOEXEC);
        for (DiskFormat format = DISK_RAW; format <= DISK_QCOW2; format++) {
                compare(old, new, format, out);
                compare(old, old, format, out);
                archive(old, format, out);
        }
        return 0;
}
