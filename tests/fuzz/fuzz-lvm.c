/* SPDX-License-Identifier: MIT */

/* Any bytes as the beginning of two physical volumes of LVM: what is made of them lies on them. The
 * second one begins in the middle of the bytes. */

#include "diff/lvm.h"
#include "tests/fuzz/disk.h"

#define DISK_SIZE (256 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const LvmVolume *volume)
{
        uint64_t total = 0;
        const VolumePiece *piece;
        uint8_t byte;

        g_assert(volume->name && !volume->volume == !!volume->reason);
        if (!volume->volume)
                return;
        for (unsigned i = 0; (piece = volume_piece(volume->volume, i)) != NULL; i++) {
                g_assert(piece->length > 0 && piece->offset <= DISK_SIZE &&
                         piece->length <= DISK_SIZE - piece->offset);
                total += piece->length;
        }
        g_assert(total == volume_size(volume->volume) && total > 0);
        g_assert(volume_read(volume->volume, total - 1, &byte, 1, NULL) == 0);
}

static void free_member(gpointer member)
{
        (void) lvm_member_free(member);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        int fd = disk_of(data, size, DISK_SIZE);
        g_autoptr(GPtrArray) members = g_ptr_array_new_with_free_func(free_member);
        DiskFormat format = DISK_RAW;
        g_autoptr(Chain) chain = NULL;
        uint64_t start, length;

        g_assert(chain_open_fds(&fd, &format, 1, NULL, &chain, NULL) == 0);
        g_autoptr(Volume) disk = volume_new_disk(0, chain);
        for (unsigned i = 0; i < 2; i++) {
                Volume *volume = volume_new_part(disk, i * (size / 2), DISK_SIZE);
                LvmMember *member;

                if (lvm_member_read(volume, &member, NULL) == 0)
                        g_ptr_array_add(members, member);
                else
                        (void) volume_free(volume);
        }
        g_autoptr(GPtrArray) volumes = lvm_assemble(members);
        for (unsigned i = 0; i < volumes->len; i++)
                check(volumes->pdata[i]);
        for (unsigned i = 0; i < members->len; i++) {
                const LvmMember *member = members->pdata[i];

                if (lvm_member_extents(members, member, &start, &length))
                        g_assert(start <= volume_size(member->volume) &&
                                 length <= volume_size(member->volume) - start);
        }
        return 0;
}
