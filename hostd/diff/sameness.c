/* SPDX-License-Identifier: MIT */
#include "diff/sameness.h"

#include <string.h>

/* In the bytes of an inode, and of the root of its tree of extents. */
#define EXTENT_MAGIC       0xf30a
#define EXTENTS_IN_INODE   4
#define EXTENT_LENGTH_MAX  32768
#define INODE_PREFIX_BYTES 128

Sameness sameness_of(Filesystem *old, Filesystem *new, const Delta *delta)
{
        bool aligned = old && new && old->block_size == new->block_size &&
                       old->inode_size == new->inode_size;

        return (Sameness){
                .old = old,
                .new = new,
                .delta = aligned ? delta : NULL,
                .ea_inodes = (old && ext2fs_has_feature_ea_inode(old->ext2->super)) ||
                             (new &&ext2fs_has_feature_ea_inode(new->ext2->super)),
        };
}

bool same_range(const Sameness *same, uint64_t offset, uint64_t length)
{
        return same->delta && !delta_may_differ(same->delta, offset, length);
}

static bool same_blocks(const Sameness *same, uint64_t block, uint64_t count)
{
        uint64_t n_blocks = ext2fs_blocks_count(same->new->ext2->super);
        uint64_t size = same->new->block_size;

        return block < n_blocks && count <= n_blocks - block &&
               same_range(same, block * size, count * size);
}

static bool find_same_inode(const Sameness *same, uint32_t ino, uint64_t *ret_offset)
{
        uint64_t old;

        return same->delta && filesystem_find_inode(same->old, ino, &old) &&
               filesystem_find_inode(same->new, ino, ret_offset) && old == *ret_offset &&
               same_range(same, old, same->new->inode_size);
}

bool same_inode(const Sameness *same, uint32_t ino)
{
        uint64_t offset;

        return find_same_inode(same, ino, &offset);
}

bool same_xattrs(const Sameness *same, const Inode *inode)
{
        uint64_t block = ext2fs_file_acl_block(same->new->ext2, &inode->base);

        return same->delta && !same->ea_inodes && (block == 0 || same_blocks(same, block, 1));
}

/* A tree that has its leaves in the inode, as that of most files. */
static bool same_extents(const Sameness *same, const struct ext2_inode *inode)
{
        struct ext3_extent_header header;
        struct ext3_extent extents[EXTENTS_IN_INODE];

        memcpy(&header, inode->i_block, sizeof(header));
        memcpy(extents, (const uint8_t *) inode->i_block + sizeof(header), sizeof(extents));
        unsigned n = GUINT16_FROM_LE(header.eh_entries);
        if (GUINT16_FROM_LE(header.eh_magic) != EXTENT_MAGIC || header.eh_depth != 0 ||
            n > EXTENTS_IN_INODE)
                return false;
        for (unsigned i = 0; i < n; i++) {
                uint64_t block = GUINT32_FROM_LE(extents[i].ee_start) |
                                 (uint64_t) GUINT16_FROM_LE(extents[i].ee_start_hi) << 32;
                uint32_t length = GUINT16_FROM_LE(extents[i].ee_len);

                /* Longer ones are unwritten: their blocks are not read. */
                if (length <= EXTENT_LENGTH_MAX && !same_blocks(same, block, length))
                        return false;
        }
        return true;
}

/* No indirect blocks. */
static bool same_block_numbers(const Sameness *same, const struct ext2_inode *inode)
{
        for (unsigned i = 0; i < EXT2_N_BLOCKS; i++) {
                uint32_t block = GUINT32_FROM_LE(inode->i_block[i]);

                if (block != 0 && (i >= EXT2_IND_BLOCK || !same_blocks(same, block, 1)))
                        return false;
        }
        return true;
}

bool same_file(const Sameness *same, uint32_t ino)
{
        struct ext2_inode inode;
        uint64_t offset;

        if (!find_same_inode(same, ino, &offset) ||
            view_read(same->new->view, offset, &inode, INODE_PREFIX_BYTES, NULL) < 0)
                return false;
        uint32_t flags = GUINT32_FROM_LE(inode.i_flags);
        uint16_t mode = GUINT16_FROM_LE(inode.i_mode);
        uint64_t xattrs = GUINT32_FROM_LE(inode.i_file_acl) |
                          (uint64_t) GUINT16_FROM_LE(inode.osd2.linux2.l_i_file_acl_high) << 32;
        if (same->ea_inodes || (xattrs != 0 && !same_blocks(same, xattrs, 1)))
                return false;
        if (LINUX_S_ISCHR(mode) || LINUX_S_ISBLK(mode) || LINUX_S_ISFIFO(mode) ||
            LINUX_S_ISSOCK(mode))
                return true;
        if (!LINUX_S_ISREG(mode) && !LINUX_S_ISLNK(mode))
                return false;
        if (flags & EXT4_INLINE_DATA_FL)
                return true;
        if (flags & EXT4_EXTENTS_FL)
                return same_extents(same, &inode);
        /* The target of a short symbolic link looks like block numbers; then this may be false. */
        return same_block_numbers(same, &inode);
}
