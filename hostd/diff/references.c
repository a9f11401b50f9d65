/* SPDX-License-Identifier: MIT */
#include "diff/references.h"

#include "base/cleanup.h"
#include "diff/bytes.h"

#include <string.h>

#define EXTENT_MAGIC      0xf30a
#define EXTENT_LENGTH_MAX 32768 /* longer ones are unwritten: by that much */
#define EXTENT_ENTRY_SIZE 12
#define DEPTH_MAX         5

struct References {
        Filesystem *fs;
        uint64_t n_blocks;
        uint64_t n_index_left;
        uint8_t *blocks[DEPTH_MAX]; /* one index block of each depth */
        ReferenceVisit visit;
        void *data;
        bool enough; /* says visit() */
};

References *references_new(Filesystem *fs)
{
        References *references = g_new0(References, 1);

        references->fs = fs;
        references->n_blocks = ext2fs_blocks_count(fs->ext2->super);
        references->n_index_left = references->n_blocks;
        for (unsigned i = 0; i < DEPTH_MAX; i++)
                references->blocks[i] = g_malloc(fs->block_size);
        return references;
}

References *references_free(References *references)
{
        if (!references)
                return NULL;
        for (unsigned i = 0; i < DEPTH_MAX; i++)
                g_free(references->blocks[i]);
        g_free(references);
        return NULL;
}

uint16_t raw_inode_mode(const uint8_t *inode)
{
        return get_le16(inode + offsetof(struct ext2_inode, i_mode));
}

uint16_t raw_inode_links(const uint8_t *inode)
{
        return get_le16(inode + offsetof(struct ext2_inode, i_links_count));
}

uint32_t raw_inode_flags(const uint8_t *inode)
{
        return get_le32(inode + offsetof(struct ext2_inode, i_flags));
}

static bool visit(References *r, ReferenceKind kind, uint64_t block, uint64_t count)
{
        if (block >= r->n_blocks || count > r->n_blocks - block)
                return false;
        r->enough = r->enough || (count > 0 && !r->visit(r->data, kind, block, count));
        return true;
}

/* An index block below `depth` others. */
static bool load_index(References *r, uint64_t block, unsigned depth, const uint8_t **ret)
{
        uint64_t size = r->fs->block_size;

        if (r->n_index_left == 0 || depth >= DEPTH_MAX || !visit(r, REFERENCE_INDEX, block, 1))
                return false;
        r->n_index_left--;
        *ret = r->blocks[depth];
        return r->enough || view_read(r->fs->view, block * size, r->blocks[depth], size, NULL) == 0;
}

/* A node of `size` bytes with `height` levels below it; the recursion ends with the height. */
static bool visit_extents(References *r, const uint8_t *node, size_t size, unsigned height)
{
        unsigned n = get_le16(node + 2);

        if (get_le16(node) != EXTENT_MAGIC || get_le16(node + 6) != height ||
            n > size / EXTENT_ENTRY_SIZE - 1)
                return false;
        for (unsigned i = 0; i < n && !r->enough; i++) {
                const uint8_t *entry = node + (size_t) (i + 1) * EXTENT_ENTRY_SIZE;
                const uint8_t *child;

                if (height == 0) {
                        uint64_t block = get_le32(entry + 8) | (uint64_t) get_le16(entry + 6) << 32;
                        unsigned length = get_le16(entry + 4);

                        if (length > EXTENT_LENGTH_MAX)
                                length -= EXTENT_LENGTH_MAX;
                        if (!visit(r, REFERENCE_DATA, block, length))
                                return false;
                        continue;
                }
                uint64_t block = get_le32(entry + 4) | (uint64_t) get_le16(entry + 8) << 32;
                if (!load_index(r, block, height - 1, &child) ||
                    (!r->enough && !visit_extents(r, child, r->fs->block_size, height - 1)))
                        return false;
        }
        return true;
}

/* `n` block numbers, each with `height` levels below it. */
static bool visit_numbers(References *r, const uint8_t *numbers, size_t n, unsigned height)
{
        for (size_t i = 0; i < n && !r->enough; i++) {
                uint64_t block = get_le32(numbers + i * sizeof(uint32_t));
                const uint8_t *child;

                if (block == 0)
                        continue;
                if (height == 0) {
                        if (!visit(r, REFERENCE_DATA, block, 1))
                                return false;
                        continue;
                }
                if (!load_index(r, block, height - 1, &child) ||
                    (!r->enough &&
                     !visit_numbers(r, child, r->fs->block_size / sizeof(uint32_t), height - 1)))
                        return false;
        }
        return true;
}

static bool visit_content(References *r, const uint8_t *inode)
{
        uint16_t mode = raw_inode_mode(inode);
        uint32_t flags = raw_inode_flags(inode);
        const uint8_t *root = inode + offsetof(struct ext2_inode, i_block);
        uint64_t size = get_le32(inode + offsetof(struct ext2_inode, i_size)) |
                        (uint64_t) get_le32(inode + offsetof(struct ext2_inode, i_size_high)) << 32;

        if ((!LINUX_S_ISREG(mode) && !LINUX_S_ISDIR(mode) && !LINUX_S_ISLNK(mode)) ||
            flags & EXT4_INLINE_DATA_FL)
                return true;
        if (LINUX_S_ISLNK(mode) && size > 0 && size < EXT2_N_BLOCKS * sizeof(uint32_t))
                return true;
        if (flags & EXT4_EXTENTS_FL) {
                unsigned height = get_le16(root + 6);

                return height <= DEPTH_MAX &&
                       visit_extents(r, root, EXT2_N_BLOCKS * sizeof(uint32_t), height);
        }
        if (!visit_numbers(r, root, EXT2_NDIR_BLOCKS, 0))
                return false;
        for (unsigned i = EXT2_IND_BLOCK; i < EXT2_N_BLOCKS; i++)
                if (!visit_numbers(r, root + i * sizeof(uint32_t), 1, i - EXT2_IND_BLOCK + 1))
                        return false;
        return true;
}

bool references_visit(References *references, const uint8_t *inode, ReferenceVisit visitor,
                      void *data)
{
        uint64_t xattrs = get_le32(inode + offsetof(struct ext2_inode, i_file_acl)) |
                          (uint64_t) get_le16(inode + offsetof(struct ext2_inode,
                                                               osd2.linux2.l_i_file_acl_high))
                                  << 32;

        references->visit = visitor;
        references->data = data;
        references->enough = false;
        if (!ext2fs_has_feature_64bit(references->fs->ext2->super))
                xattrs &= UINT32_MAX;
        if (xattrs != 0 && !visit(references, REFERENCE_XATTRS, xattrs, 1))
                return false;
        return references->enough || visit_content(references, inode);
}
