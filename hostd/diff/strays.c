/* SPDX-License-Identifier: MIT */
#include "diff/strays.h"

#include "base/cleanup.h"
#include "diff/references.h"
#include "diff/tables.h"

#include <string.h>

#define BLOCKS_AT_ONCE 16
#define STRAYS_MAX     (1U << 20) /* 4 GiB of blocks of 4 KiB; then all is compared anyway */

/* A block of attributes begins with this and the number of its owners. */
#define XATTR_MAGIC UINT32_C(0xea020000)

/* What comes after the inode number in an entry ".": 12 bytes long, a name of one byte. */
#define DOT_ENTRY UINT32_C(0x01000c)

typedef struct Run {
        uint64_t start, end; /* blocks */
} Run;

typedef struct Stray {
        uint64_t block;
        bool is_owned;
} Stray;

typedef struct Search {
        Filesystem *old, *new;
        const Delta *delta;
        const GArray *changed;
        GArray *explained; /* of Run, by start, apart from each other */
        unsigned next_explained;
        GArray *strays; /* of Stray, by block */
        unsigned n_owned;
        bool may_be_shared; /* a stray may have several owners */
        dgrp_t bitmap_group;
        uint8_t *bitmap; /* of that group in the old file system */
        bool known;
} Search;

static bool may_differ(const Search *s, uint64_t block, uint64_t count)
{
        uint64_t size = s->old->block_size;

        return delta_may_differ(s->delta, block * size, count * size);
}

/* ---- blocks that need no look ---- */

static void explain(Search *s, uint64_t block, uint64_t count)
{
        Run run = {block, block + count};

        if (count > 0 && may_differ(s, block, count))
                g_array_append_val(s->explained, run);
}

static uint32_t xattr_owners(Filesystem *fs, uint64_t block)
{
        uint32_t header[2];

        if (view_read(fs->view, block * fs->block_size, header, sizeof(header), NULL) < 0 ||
            GUINT32_FROM_LE(header[0]) != XATTR_MAGIC)
                return 0;
        return GUINT32_FROM_LE(header[1]);
}

static bool explain_reference(void *data, ReferenceKind kind, uint64_t block, uint64_t count)
{
        Search *s = data;

        if (kind != REFERENCE_XATTRS || !may_differ(s, block, 1) || xattr_owners(s->old, block) < 2)
                explain(s, block, count);
        return true;
}

/* What the inode owned. */
static int explain_inode(Search *s, References *references, uint32_t ino, Fault *f)
{
        uint8_t inode[INODE_SIZE_MAX];
        uint64_t offset;

        if (!filesystem_find_inode(s->old, ino, &offset))
                return 0;
        int r = view_read(s->old->view, offset, inode, s->old->inode_size, f);
        if (r < 0 || raw_inode_mode(inode) == 0)
                return r;
        bool is_reserved = ino < EXT2_FIRST_INO(s->old->ext2->super);
        if (is_reserved || raw_inode_links(inode) > 0)
                (void) references_visit(references, inode, explain_reference, s);
        return 0;
}

static void explain_group(Search *s, dgrp_t group)
{
        ext2_filsys fs = s->old->ext2;
        struct ext2_super_block *super = fs->super;
        blk64_t at, old_descriptors, new_descriptors;
        uint64_t n = fs->desc_blocks + (uint64_t) super->s_reserved_gdt_blocks;

        (void) ext2fs_super_and_bgd_loc2(fs, group, &at, &old_descriptors, &new_descriptors, NULL);
        if (ext2fs_has_feature_meta_bg(super))
                n = super->s_first_meta_bg;
        if (at || group == 0)
                explain(s, at, 1);
        if (old_descriptors)
                explain(s, old_descriptors, n);
        if (new_descriptors)
                explain(s, new_descriptors, 1);
        explain(s, ext2fs_block_bitmap_loc(fs, group), 1);
        explain(s, ext2fs_inode_bitmap_loc(fs, group), 1);
        explain(s, ext2fs_inode_table_loc(fs, group), fs->inode_blocks_per_group);
}

static int compare_runs(gconstpointer a, gconstpointer b)
{
        const Run *x = a, *y = b;

        return x->start < y->start ? -1 : x->start > y->start;
}

static void join_runs(GArray *runs)
{
        unsigned n = 0;

        g_array_sort(runs, compare_runs);
        for (unsigned i = 0; i < runs->len; i++) {
                const Run *run = &g_array_index(runs, Run, i);
                Run *last = n > 0 ? &g_array_index(runs, Run, n - 1) : NULL;

                if (last && run->start <= last->end)
                        last->end = MAX(last->end, run->end);
                else
                        g_array_index(runs, Run, n++) = *run;
        }
        g_array_set_size(runs, n);
}

static int explain_all(Search *s, Fault *f)
{
        struct ext2_super_block *super = s->old->ext2->super;
        uint32_t nameless[] = {super->s_prj_quota_inum, super->s_orphan_file_inum};
        /* The kernel mounts one whose first free inode is beyond its last. */
        uint32_t end = MIN(EXT2_FIRST_INO(super), super->s_inodes_count);
        g_autoptr(References) references = references_new(s->old);
        int r = 0;

        for (dgrp_t group = 0; group < s->old->ext2->group_desc_count; group++)
                explain_group(s, group);
        if (super->s_mmp_block < ext2fs_blocks_count(super))
                explain(s, super->s_mmp_block, super->s_mmp_block != 0);
        for (uint32_t ino = 1; ino < end && r == 0; ino++)
                if (ino != EXT2_ROOT_INO && ino != EXT2_RESIZE_INO) /* see explain_group() */
                        r = explain_inode(s, references, ino, f);
        for (unsigned i = 0; i < G_N_ELEMENTS(nameless) && r == 0; i++)
                r = explain_inode(s, references, nameless[i], f);
        for (unsigned i = 0; i < s->changed->len && r == 0; i++)
                r = explain_inode(s, references, g_array_index(s->changed, uint32_t, i), f);
        join_runs(s->explained);
        return r;
}

/* For ascending blocks. */
static bool is_explained(Search *s, uint64_t block)
{
        const GArray *runs = s->explained;

        while (s->next_explained < runs->len &&
               g_array_index(runs, Run, s->next_explained).end <= block)
                s->next_explained++;
        return s->next_explained < runs->len &&
               g_array_index(runs, Run, s->next_explained).start <= block;
}

static int was_allocated(Search *s, uint64_t block, bool *ret, Fault *f)
{
        ext2_filsys fs = s->old->ext2;
        uint64_t in_all = block - fs->super->s_first_data_block;
        dgrp_t group = (dgrp_t) (in_all / fs->super->s_blocks_per_group);
        uint32_t bit = (uint32_t) (in_all % fs->super->s_blocks_per_group);
        int r = 0;

        *ret = false;
        if (ext2fs_bg_flags_test(fs, group, EXT2_BG_BLOCK_UNINIT))
                return 0;
        if (s->bitmap_group != group) {
                r = view_read(s->old->view, ext2fs_block_bitmap_loc(fs, group) * s->old->block_size,
                              s->bitmap, s->old->block_size, f);
                s->bitmap_group = group;
        }
        *ret = s->bitmap[bit / 8] >> (bit % 8) & 1;
        return r;
}

/* ---- blocks that differ ---- */

static void add_stray(Search *s, uint64_t block)
{
        Stray stray = {block, false};

        if (s->strays->len >= STRAYS_MAX)
                s->known = false;
        else
                g_array_append_val(s->strays, stray);
        s->may_be_shared = s->may_be_shared || xattr_owners(s->old, block) > 1;
}

static int compare_blocks(Search *s, uint64_t first, unsigned n, uint8_t *buffers, Fault *f)
{
        size_t block_size = s->old->block_size, size = n * block_size;
        uint8_t *a = buffers, *b = buffers + BLOCKS_AT_ONCE * block_size;

        int r = view_read(s->old->view, first * block_size, a, size, f);
        if (r == 0)
                r = view_read(s->new->view, first * block_size, b, size, f);
        if (r < 0 || memcmp(a, b, size) == 0)
                return r;
        for (unsigned i = 0; i < n; i++)
                if (memcmp(a + i * block_size, b + i * block_size, block_size) != 0)
                        add_stray(s, first + i);
        return 0;
}

static int find_strays_of_run(Search *s, uint64_t first, uint64_t end, uint8_t *buffers, Fault *f)
{
        unsigned n = 0; /* blocks before this one that are still to be compared */
        int r = 0;

        for (uint64_t block = first; block < end && r == 0; block++) {
                bool suspicious = false;

                if (!is_explained(s, block))
                        r = was_allocated(s, block, &suspicious, f);
                if (r == 0 && n > 0 && (!suspicious || n == BLOCKS_AT_ONCE)) {
                        r = compare_blocks(s, block - n, n, buffers, f);
                        n = 0;
                }
                n += suspicious;
        }
        return r == 0 && n > 0 ? compare_blocks(s, end - n, n, buffers, f) : r;
}

static int find_strays(Search *s, Fault *f)
{
        uint64_t size = s->old->block_size, at, length;
        uint64_t n_blocks = ext2fs_blocks_count(s->old->ext2->super);
        uint64_t next = s->old->ext2->super->s_first_data_block;
        g_autofree uint8_t *buffers = g_malloc(2 * BLOCKS_AT_ONCE * size);
        int r = 0;

        while (r == 0 && s->known &&
               delta_next(s->delta, next * size, n_blocks * size, &at, &length)) {
                uint64_t first = MAX(next, at / size);

                next = MIN((at + length + size - 1) / size, n_blocks);
                r = find_strays_of_run(s, first, next, buffers, f);
        }
        return r;
}

/* ---- their owners ---- */

typedef struct Visit {
        Search *search;
        bool owns;
} Visit;

static unsigned find_stray(const Search *s, uint64_t block)
{
        unsigned low = 0, high = s->strays->len;

        while (low < high) {
                unsigned middle = low + (high - low) / 2;

                if (g_array_index(s->strays, Stray, middle).block < block)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static bool own_strays(void *data, ReferenceKind kind, uint64_t block, uint64_t count)
{
        Visit *visit = data;
        Search *s = visit->search;

        (void) kind;
        for (unsigned i = find_stray(s, block); i < s->strays->len; i++) {
                Stray *stray = &g_array_index(s->strays, Stray, i);

                if (stray->block - block >= count)
                        break;
                s->n_owned += !stray->is_owned;
                stray->is_owned = true;
                visit->owns = true;
        }
        return true;
}

/* An inode that is not whole cannot be told from one that owns a stray. */
static void examine_inode(Search *s, References *references, const uint8_t *inode, uint32_t ino,
                          GArray *owners)
{
        Visit visit = {s, false};

        if (raw_inode_mode(inode) == 0 || raw_inode_links(inode) == 0)
                return;
        if (!references_visit(references, inode, own_strays, &visit))
                s->known = false;
        if (visit.owns)
                g_array_append_val(owners, ino);
}

static bool all_are_owned(const Search *s)
{
        return !s->may_be_shared && s->n_owned == s->strays->len;
}

/* The first block of a directory begins with the directory's own number. */
static int examine_named(Search *s, References *references, uint64_t block, GArray *owners,
                         Fault *f)
{
        uint8_t inode[INODE_SIZE_MAX];
        uint32_t words[3];
        uint64_t offset;

        int r = view_read(s->old->view, block * s->old->block_size, words, sizeof(words), f);
        if (r < 0 || (GUINT32_FROM_LE(words[1]) & 0xffffff) != DOT_ENTRY)
                return r;
        uint32_t ino = GUINT32_FROM_LE(words[0]);
        if (!filesystem_find_inode(s->old, ino, &offset))
                return 0;
        r = view_read(s->old->view, offset, inode, s->old->inode_size, f);
        if (r == 0 && LINUX_S_ISDIR(raw_inode_mode(inode)))
                examine_inode(s, references, inode, ino, owners);
        return r;
}

static int search_owners(Search *s, GArray *owners, Fault *f)
{
        g_autoptr(References) references = references_new(s->old);
        uint32_t n_pieces = table_piece_count(s->old), first;
        const Stray *stray = &g_array_index(s->strays, Stray, 0);
        TablePiece piece;
        int r = 0;

        for (unsigned i = 0; i < s->strays->len && r == 0; i++)
                r = examine_named(s, references, g_array_index(s->strays, Stray, i).block, owners,
                                  f);
        /* An inode and its blocks are in one group, or in one flexible group. */
        first = ext2fs_group_of_blk2(s->old->ext2, stray->block);
        first -= first % table_groups_per_flex(s->old);
        first *= table_piece_per_group(s->old);
        table_piece_init(&piece);
        for (uint32_t i = 0; i < n_pieces && r == 0 && s->known && !all_are_owned(s); i++) {
                r = table_piece_read(&piece, s->old, (first + i) % n_pieces, f);
                for (uint32_t j = 0; j < piece.n && r == 0; j++)
                        examine_inode(s, references, piece.bytes + (size_t) j * s->old->inode_size,
                                      piece.first + j, owners);
        }
        table_piece_done(&piece);
        return r;
}

int strays_find_owners(Filesystem *old, Filesystem *new, const Delta *delta, const GArray *changed,
                       GArray *owners, bool *ret_known, Fault *f)
{
        g_autoptr(GArray) explained = g_array_new(FALSE, FALSE, sizeof(Run));
        g_autoptr(GArray) strays = g_array_new(FALSE, FALSE, sizeof(Stray));
        g_autofree uint8_t *bitmap = g_malloc(old->block_size);
        Search s = {
                .old = old,
                .new = new,
                .delta = delta,
                .changed = changed,
                .explained = explained,
                .strays = strays,
                .bitmap_group = old->ext2->group_desc_count,
                .bitmap = bitmap,
                .known = true,
        };

        int r = explain_all(&s, f);
        if (r == 0)
                r = find_strays(&s, f);
        if (r == 0 && s.known && strays->len > 0)
                r = search_owners(&s, owners, f);
        *ret_known = s.known;
        return r;
}
