/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/file.h"
#include "diff/delta.h"
#include "tests/tap.h"

#include <sys/mman.h>
#include <unistd.h>

#define MIB       (UINT64_C(1) << 20)
#define DISK_SIZE (8 * MIB)

/* A raw disk, every MiB of which is filled with its number and the disk's. */
static Chain *make_disk(uint8_t first)
{
        autofd fd = memfd_create("disk", MFD_CLOEXEC);
        g_autofree uint8_t *bytes = g_malloc(MIB);
        DiskFormat format = DISK_RAW;
        Chain *chain = NULL;

        for (unsigned i = 0; fd >= 0 && i < DISK_SIZE / MIB; i++) {
                memset(bytes, (int) (first + i), MIB);
                if (write_all(fd, bytes, MIB) < 0)
                        tap_bail_out("cannot make a disk");
        }
        if (chain_open_fds(&fd, &format, 1, NULL, &chain, NULL) < 0)
                tap_bail_out("cannot open a disk");
        return chain;
}

static void test_pieces(const Volume *a, const Volume *b)
{
        g_autoptr(Volume) volume = volume_new();
        uint8_t bytes[4];

        tap_ok(volume_append(volume, a, 2 * MIB, MIB) && volume_append(volume, a, 3 * MIB, MIB) &&
                       volume_append(volume, b, 0, 2 * MIB),
               "pieces of two disks are put together");
        tap_ok(volume_piece(volume, 1) && !volume_piece(volume, 2),
               "what follows on a disk is one piece");
        tap_is_int((int64_t) volume_size(volume), (int64_t) (4 * MIB), "its size is that of all");
        tap_ok(volume_read(volume, 2 * MIB - 2, bytes, 4, NULL) == 0 && bytes[1] == 3 &&
                       bytes[2] == 100,
               "reading goes on from one piece to the next");
        tap_ok(volume_read(volume, 4 * MIB - 2, bytes, 4, NULL) == 0 && bytes[1] == 101 &&
                       bytes[2] == 0 && bytes[3] == 0,
               "and reads zeros beyond the end");
        tap_ok(volume_read(volume, UINT64_MAX - 1, bytes, 4, NULL) == 0 && bytes[0] == 0,
               "however far beyond");
        tap_ok(!volume_append(volume, a, DISK_SIZE, 1) && !volume_append(volume, a, 1, DISK_SIZE) &&
                       !volume_append(volume, a, UINT64_MAX, 2) && volume_size(volume) == 4 * MIB,
               "what is not on the disk is not appended");
        g_autoptr(Volume) part = volume_new_part(volume, MIB, 100 * MIB);
        tap_is_int((int64_t) volume_size(part), (int64_t) (3 * MIB), "a part is cut at the end");
        g_autoptr(Volume) none = volume_new_part(volume, 100 * MIB, MIB);
        tap_ok(volume_size(none) == 0 && !volume_piece(none, 0), "or empty");
}

static bool may_differ(const Volume *old, const Volume *new, Delta *const *disks, uint64_t at,
                       uint64_t length)
{
        g_autoptr(Delta) delta = NULL;

        if (delta_new_volume(old, new, disks, &delta, NULL) < 0)
                tap_bail_out("no delta");
        return delta_may_differ(delta, at, length);
}

/* Of the first disk only the MiB 5 differs, of the second nothing. */
static void test_delta(Chain *one, Chain *two, const Volume *a, const Volume *b)
{
        g_autoptr(Volume) was = volume_new(), moved = volume_new(), grown = volume_new();
        Delta *disks[2] = {NULL, NULL};

        if (delta_new(one, one, &disks[0], NULL) < 0 || delta_new(two, two, &disks[1], NULL) < 0)
                tap_bail_out("no delta");
        delta_mark(disks[0], 5 * MIB, MIB);
        tap_ok(volume_append(was, b, 0, MIB) && volume_append(was, a, 4 * MIB, 2 * MIB),
               "a volume of two pieces");
        tap_ok(!may_differ(was, was, disks, 0, 2 * MIB) &&
                       may_differ(was, was, disks, 2 * MIB, MIB),
               "has its disks' delta at its own places");
        tap_ok(volume_append(moved, b, 1 * MIB, MIB) && volume_append(moved, a, 4 * MIB, 2 * MIB),
               "the same with a piece that moved");
        tap_ok(may_differ(was, moved, disks, 0, MIB) && !may_differ(was, moved, disks, MIB, MIB),
               "may differ there, and not where it did not");
        tap_ok(volume_append(grown, b, 0, MIB) && volume_append(grown, a, 4 * MIB, 3 * MIB),
               "one that grew");
        tap_ok(!may_differ(was, grown, disks, 0, 2 * MIB) &&
                       may_differ(was, grown, disks, 3 * MIB, MIB) &&
                       may_differ(grown, was, disks, 3 * MIB, MIB),
               "may differ in what is only in one");
        (void) delta_free(disks[0]);
        (void) delta_free(disks[1]);
}

int main(void)
{
        g_autoptr(Chain) one = make_disk(0), two = make_disk(100);
        g_autoptr(Volume) a = volume_new_disk(0, one), b = volume_new_disk(1, two);

        test_pieces(a, b);
        test_delta(one, two, a, b);
        return tap_done();
}
