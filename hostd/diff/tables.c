/* SPDX-License-Identifier: MIT */
#include "diff/tables.h"

#include "base/cleanup.h"

#include <string.h>

#define PIECE_BYTES 16384

/* What is compared at once: a cluster of a usual image. */
#define RUN_BYTES 65536

static uint64_t table_bytes(const Filesystem *fs)
{
        return (uint64_t) fs->ext2->super->s_inodes_per_group * fs->inode_size;
}

bool tables_match(const Filesystem *old, const Filesystem *new)
{
        const struct ext2_super_block *a = old->ext2->super, *b = new->ext2->super;

        if (old->block_size != new->block_size || old->inode_size != new->inode_size ||
            ext2fs_blocks_count(old->ext2->super) != ext2fs_blocks_count(new->ext2->super) ||
            a->s_inodes_count != b->s_inodes_count ||
            a->s_inodes_per_group != b->s_inodes_per_group ||
            a->s_blocks_per_group != b->s_blocks_per_group ||
            a->s_blocks_per_group > 8 * old->block_size ||
            a->s_first_data_block != b->s_first_data_block || a->s_rev_level != b->s_rev_level ||
            a->s_log_groups_per_flex != b->s_log_groups_per_flex ||
            a->s_creator_os != b->s_creator_os || a->s_feature_compat != b->s_feature_compat ||
            a->s_feature_incompat != b->s_feature_incompat ||
            a->s_feature_ro_compat != b->s_feature_ro_compat ||
            a->s_inodes_count / a->s_inodes_per_group != old->ext2->group_desc_count ||
            a->s_inodes_count % a->s_inodes_per_group != 0)
                return false;
        uint64_t n_blocks = ext2fs_blocks_count(old->ext2->super);
        uint64_t n_table = (table_bytes(old) + old->block_size - 1) / old->block_size;
        for (dgrp_t group = 0; group < old->ext2->group_desc_count; group++) {
                uint64_t table = ext2fs_inode_table_loc(old->ext2, group);

                if (table != ext2fs_inode_table_loc(new->ext2, group) || table >= n_blocks ||
                    n_table > n_blocks - table)
                        return false;
        }
        return true;
}

/* Both tables' bytes of inodes from `first` on. */
static int compare_run(Filesystem *old, Filesystem *new, uint32_t first, uint32_t n,
                       uint8_t *buffers, GArray *inodes, Fault *f)
{
        size_t size = (size_t) n * old->inode_size;
        uint8_t *a = buffers, *b = buffers + size;
        uint64_t offset;

        if (!filesystem_find_inode(old, first, &offset))
                return 0;
        int r = view_read(old->view, offset, a, size, f);
        if (r == 0)
                r = view_read(new->view, offset, b, size, f);
        if (r < 0 || memcmp(a, b, size) == 0)
                return r;
        for (uint32_t i = 0; i < n; i++) {
                size_t at = (size_t) i * old->inode_size;
                uint32_t ino = first + i;

                if (memcmp(a + at, b + at, old->inode_size) != 0)
                        g_array_append_val(inodes, ino);
        }
        return 0;
}

int tables_find_changed(Filesystem *old, Filesystem *new, const Delta *delta, GArray *inodes,
                        Fault *f)
{
        uint32_t per_group = old->ext2->super->s_inodes_per_group, size = old->inode_size;
        uint32_t step = MIN(RUN_BYTES / size, per_group);
        g_autofree uint8_t *buffers = g_malloc(2 * (size_t) step * size);

        for (dgrp_t group = 0; group < old->ext2->group_desc_count; group++) {
                uint64_t table = ext2fs_inode_table_loc(old->ext2, group) * old->block_size;
                uint64_t end = table + table_bytes(old), at = table, length;
                uint32_t next = 0;

                while (delta_next(delta, at, end, &at, &length)) {
                        uint32_t last = (uint32_t) ((at + length - 1 - table) / size);

                        next = MAX(next, (uint32_t) ((at - table) / size));
                        for (; next <= last; next += MIN(step, last - next + 1)) {
                                int r = compare_run(old, new, group * per_group + next + 1,
                                                    MIN(step, last - next + 1), buffers, inodes, f);
                                if (r < 0)
                                        return r;
                        }
                        at += length;
                }
        }
        return 0;
}

static uint32_t inodes_per_piece(const Filesystem *fs)
{
        return PIECE_BYTES / fs->inode_size;
}

void table_piece_init(TablePiece *piece)
{
        *piece = (TablePiece){.bytes = g_malloc(PIECE_BYTES)};
}

void table_piece_done(TablePiece *piece)
{
        g_free(piece->bytes);
        piece->bytes = NULL;
}

uint32_t table_piece_per_group(const Filesystem *fs)
{
        uint32_t n = inodes_per_piece(fs);

        return (fs->ext2->super->s_inodes_per_group + n - 1) / n;
}

uint32_t table_groups_per_flex(const Filesystem *fs)
{
        unsigned log = fs->ext2->super->s_log_groups_per_flex;

        return ext2fs_has_feature_flex_bg(fs->ext2->super) && log < 32 ? UINT32_C(1) << log : 1;
}

uint32_t table_piece_count(const Filesystem *fs)
{
        return fs->ext2->group_desc_count * table_piece_per_group(fs);
}

uint32_t table_piece_of_inode(const Filesystem *fs, uint32_t ino)
{
        uint32_t per_group = fs->ext2->super->s_inodes_per_group;

        return (ino - 1) / per_group * table_piece_per_group(fs) +
               (ino - 1) % per_group / inodes_per_piece(fs);
}

int table_piece_read(TablePiece *piece, Filesystem *fs, uint32_t number, Fault *f)
{
        uint32_t per_group = fs->ext2->super->s_inodes_per_group;
        uint32_t group = number / table_piece_per_group(fs);
        uint32_t in_group = number % table_piece_per_group(fs) * inodes_per_piece(fs);
        uint64_t offset;

        piece->first = group * per_group + in_group + 1;
        piece->n = MIN(inodes_per_piece(fs), per_group - in_group);
        size_t size = (size_t) piece->n * fs->inode_size;
        if (!filesystem_find_inode(fs, piece->first, &offset) ||
            view_is_hole(fs->view, offset, size)) {
                piece->n = 0;
                return 0;
        }
        return view_read(fs->view, offset, piece->bytes, size, f);
}
