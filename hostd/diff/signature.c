/* SPDX-License-Identifier: MIT */
#include "diff/signature.h"

#include <ext2fs/ext2_fs.h>
#include <stddef.h>
#include <string.h>

#define SUPERBLOCK_OFFSET 1024
#define MARK_MAX          16

/* Most marks are in the first bytes, which are read once for all. */
#define HEAD_BYTES 8192

typedef struct Head {
        const Volume *volume;
        uint8_t bytes[HEAD_BYTES];
} Head;

typedef struct Mark {
        const char *type;
        uint32_t offset, length;
        const char *bytes;
} Mark;

static const Mark marks[] = {
        {"ext", SUPERBLOCK_OFFSET + 56, 2, "\x53\xef"},
        {"xfs", 0, 4, "XFSB"},
        {"btrfs", 65536 + 64, 8, "_BHRfS_M"},
        {"LVM2_member", 24, 8, "LVM2 001"},
        {"LVM2_member", 512 + 24, 8, "LVM2 001"},
        {"LVM2_member", 1024 + 24, 8, "LVM2 001"},
        {"LVM2_member", 1536 + 24, 8, "LVM2 001"},
        {"crypto_LUKS", 0, 6, "LUKS\xba\xbe"},
        {"swap", 4096 - 10, 10, "SWAPSPACE2"},
        {"ntfs", 3, 8, "NTFS    "},
        {"exfat", 3, 8, "EXFAT   "},
        {"vfat", 54, 3, "FAT"},
        {"vfat", 82, 5, "FAT32"},
        {"f2fs", 1024, 4, "\x10\x20\xf5\xf2"},
        {"squashfs", 0, 4, "hsqs"},
        {"erofs", 1024, 4, "\xe2\xe1\xf5\xe0"},
        {"linux_raid_member", 0, 4, "\xfc\x4e\x2b\xa9"},
        {"linux_raid_member", 4096, 4, "\xfc\x4e\x2b\xa9"},
        {"bcachefs", 4096 + 24, 4, "\xc6\x85\x73\xf6"},
        {"iso9660", 32769, 5, "CD001"},
};

static int is_marked(const Head *head, const Mark *mark, bool *ret, Fault *f)
{
        uint8_t bytes[MARK_MAX];

        *ret = false;
        if (volume_size(head->volume) < mark->offset + mark->length)
                return 0;
        if (mark->offset + mark->length <= HEAD_BYTES) {
                *ret = memcmp(head->bytes + mark->offset, mark->bytes, mark->length) == 0;
                return 0;
        }
        int r = volume_read(head->volume, mark->offset, bytes, mark->length, f);
        if (r == 0)
                *ret = memcmp(bytes, mark->bytes, mark->length) == 0;
        return r;
}

/* As blkid tells them apart. A device for an external journal has the same mark. */
static const char *name_ext(const Head *head)
{
        static const uint32_t of_ext3_incompat = EXT2_FEATURE_INCOMPAT_FILETYPE |
                                                 EXT3_FEATURE_INCOMPAT_RECOVER |
                                                 EXT2_FEATURE_INCOMPAT_META_BG;
        static const uint32_t of_ext3_ro =
                EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER | EXT2_FEATURE_RO_COMPAT_LARGE_FILE;
        struct ext2_super_block super;

        memcpy(&super, head->bytes + SUPERBLOCK_OFFSET, sizeof(super));
        uint32_t compat = GUINT32_FROM_LE(super.s_feature_compat);
        uint32_t incompat = GUINT32_FROM_LE(super.s_feature_incompat);
        uint32_t ro_compat = GUINT32_FROM_LE(super.s_feature_ro_compat);
        if (incompat & EXT3_FEATURE_INCOMPAT_JOURNAL_DEV)
                return "jbd";
        if ((incompat & ~of_ext3_incompat) || (ro_compat & ~of_ext3_ro))
                return "ext4";
        return compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL ? "ext3" : "ext2";
}

int signature_read(const Volume *volume, Signature *ret, Fault *f)
{
        Signature signature = {0};
        Head head = {.volume = volume};

        int r = volume_read(volume, 0, head.bytes, sizeof(head.bytes), f);
        if (r < 0)
                return r;
        for (size_t i = 0; i < G_N_ELEMENTS(marks) && !signature.also; i++) {
                bool found = false;

                r = is_marked(&head, &marks[i], &found, f);
                if (r < 0)
                        return r;
                if (!found)
                        continue;
                if (!signature.type)
                        signature.type = marks[i].type;
                else if (strcmp(signature.type, marks[i].type) != 0)
                        signature.also = marks[i].type;
        }
        if (!signature.type)
                signature.type = "unknown";
        if (strcmp(signature.type, "ext") == 0)
                signature.type = name_ext(&head);
        *ret = signature;
        return 0;
}

bool signature_is_ext(const Signature *signature)
{
        return strncmp(signature->type, "ext", 3) == 0;
}
