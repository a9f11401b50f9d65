/* SPDX-License-Identifier: MIT */

/* Bytes that are changed in a small file system: what the comparison finds from the delta, against
 * what its walk finds. Each record of 4 bytes is a place (3 bytes, of which the upper six bits say
 * in which point: the new one, else the base of both) and a value.
 *
 * A base with damage shows only that nothing crashes or hangs. With the base as it was made, the
 * new point can be anything: where the walk comes to an end, both reports have to be equal. */

#include "base/cleanup.h"
#include "base/file.h"
#include "diff/chain.h"
#include "diff/disk.h"
#include "diff/report.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BASE         "tests/fuzz/diff-change.qcow2"
#define SIZE         393216
#define CLUSTER      4096
#define N_CLUSTERS   (SIZE / CLUSTER)
#define USED         92160 /* where the base has anything */
#define RECORD       4
#define RECORDS_MAX  64
#define OVERLAY_SIZE ((3 + N_CLUSTERS + 1) * CLUSTER)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load_base(uint8_t *bytes)
{
        static uint8_t base[SIZE];
        static bool is_loaded;
        g_autoptr(Chain) chain = NULL;
        Fault fault = {0};

        if (!is_loaded) {
                int r = chain_open_path(BASE, DISK_QCOW2, NULL, &chain, &fault);
                if (r == 0)
                        r = chain_read(chain, 0, base, SIZE, &fault);
                if (r < 0)
                        g_error("%s; run this where tests/ is", fault.message);
                is_loaded = true;
        }
        memcpy(bytes, base, SIZE);
}

static void put_u32(uint8_t *bytes, uint32_t value)
{
        value = GUINT32_TO_BE(value);
        memcpy(bytes, &value, sizeof(value));
}

static void put_u64(uint8_t *bytes, uint64_t value)
{
        value = GUINT64_TO_BE(value);
        memcpy(bytes, &value, sizeof(value));
}

/* A qcow2 image that holds the clusters in which the disks differ; its L2 table is cluster 2. */
static size_t make_overlay(const uint8_t *old, const uint8_t *new, uint8_t *image)
{
        size_t next = 3;

        memset(image, 0, OVERLAY_SIZE);
        put_u32(image, 0x514649fb);
        put_u32(image + 4, 3);
        put_u64(image + 8, 512);
        put_u32(image + 16, 4);
        put_u32(image + 20, 12);
        put_u64(image + 24, SIZE);
        put_u32(image + 36, 1);
        put_u64(image + 40, CLUSTER);
        put_u32(image + 56, 1);
        put_u32(image + 96, 4);
        put_u32(image + 100, 104);
        memcpy(image + 512, "base", 4);
        put_u64(image + CLUSTER, 2 * CLUSTER | UINT64_C(1) << 63);
        for (size_t i = 0; i < N_CLUSTERS; i++) {
                if (memcmp(old + i * CLUSTER, new + i *CLUSTER, CLUSTER) == 0)
                        continue;
                put_u64(image + 2 * CLUSTER + i * 8, next * CLUSTER | UINT64_C(1) << 63);
                memcpy(image + next++ * CLUSTER, new + i *CLUSTER, CLUSTER);
        }
        put_u64(image + 48, next * CLUSTER);
        return (next + 1) * CLUSTER;
}

static int make_file(const uint8_t *data, size_t size)
{
        int fd = memfd_create("disk", MFD_CLOEXEC);

        g_assert(fd >= 0 && write_all(fd, data, size) == 0);
        return fd;
}

/* The report in a file, or -1. */
static int compare(const int *fds, CompareMode mode)
{
        static const DiskFormat formats[] = {DISK_QCOW2, DISK_RAW};
        g_autoptr(Chain) old = NULL, new = NULL;
        autofd out = memfd_create("report", MFD_CLOEXEC);
        Fault fault = {0};

        g_assert(out >= 0);
        int r = chain_open_fds(fds + 1, formats + 1, 1, NULL, &old, &fault);
        if (r == 0)
                r = chain_open_fds(fds, formats, 2, old, &new, &fault);
        if (r < 0)
                g_error("%s", fault.message);
        g_autoptr(Report) report = report_new(out, UINT64_MAX, true, "old", "new");
        const DiskPair pair = {"vda", old, new};
        if (disks_compare(&pair, 1, "old", "new", NULL, mode, report, &fault) < 0 ||
            report_end(report, &fault) < 0)
                return -1;
        return TAKE_FD(out);
}

static bool equal(int a, int b)
{
        off_t size = lseek(a, 0, SEEK_END);

        if (lseek(b, 0, SEEK_END) != size)
                return false;
        g_autofree uint8_t *x = g_malloc((size_t) size), *y = g_malloc((size_t) size);
        return pread_all(a, x, (size_t) size, 0) == 0 && pread_all(b, y, (size_t) size, 0) == 0 &&
               memcmp(x, y, (size_t) size) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static uint8_t old[SIZE], new[SIZE], image[OVERLAY_SIZE];
        bool base_is_whole = true;

        load_base(old);
        for (size_t at = 0; at + RECORD <= MIN(size, RECORD * RECORDS_MAX); at += RECORD) {
                size_t place = (data[at] | (size_t) data[at + 1] << 8 |
                                (size_t) (data[at + 2] & 3) << 16) %
                               USED;

                if (data[at + 2] >> 2 == 0) {
                        old[place] = data[at + 3];
                        base_is_whole = false;
                }
        }
        memcpy(new, old, SIZE);
        for (size_t at = 0; at + RECORD <= MIN(size, RECORD * RECORDS_MAX); at += RECORD) {
                size_t place = (data[at] | (size_t) data[at + 1] << 8 |
                                (size_t) (data[at + 2] & 3) << 16) %
                               USED;

                if (data[at + 2] >> 2 != 0)
                        new[place] = data[at + 3];
        }
        autofd base = make_file(old, SIZE);
        autofd overlay = make_file(image, make_overlay(old, new, image));
        int fds[] = {overlay, base};
        autofd changed = compare(fds, COMPARE_CHANGED);
        autofd walked = base_is_whole ? compare(fds, COMPARE_WALK) : -1;
        if (walked >= 0 && (changed < 0 || !equal(changed, walked)))
                g_error("the two ways differ");
        return 0;
}
