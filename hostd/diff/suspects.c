/* SPDX-License-Identifier: MIT */
#include "diff/suspects.h"

#include "base/cleanup.h"
#include "diff/names.h"
#include "diff/references.h"
#include "diff/strays.h"
#include "diff/tables.h"

/* Where more than one in so many bytes is marked, a walk is as fast. */
#define SHARE_MAX 2

struct Suspects {
        GHashTable *inodes; /* GUINT_TO_POINTER */
};

/* Clusters of blocks have another bitmap; a walk names every encrypted directory. */
static bool is_supported(const Filesystem *fs)
{
        struct ext2_super_block *super = fs->ext2->super;

        return !ext2fs_has_feature_bigalloc(super) && !ext2fs_has_feature_encrypt(super) &&
               !ext2fs_has_feature_journal_dev(super);
}

static bool is_small(const Filesystem *fs, const Delta *delta)
{
        uint64_t size = ext2fs_blocks_count(fs->ext2->super) * fs->block_size;
        uint64_t at = 0, marked = 0, length;

        while (delta_next(delta, at, size, &at, &length)) {
                marked += length;
                at += length;
        }
        return marked <= size / SHARE_MAX;
}

/* Whether it is in use, and what for. */
typedef struct State {
        bool is_used, is_directory, is_value;
} State;

static int read_state(Filesystem *fs, uint32_t ino, State *ret, Fault *f)
{
        uint8_t inode[INODE_SIZE_MAX];
        uint64_t offset;

        *ret = (State){0};
        if (!filesystem_find_inode(fs, ino, &offset))
                return 0;
        int r = view_read(fs->view, offset, inode, fs->inode_size, f);
        if (r < 0)
                return r;
        ret->is_used = raw_inode_mode(inode) != 0 && raw_inode_links(inode) > 0;
        ret->is_directory = ret->is_used && LINUX_S_ISDIR(raw_inode_mode(inode));
        ret->is_value = ret->is_used && raw_inode_flags(inode) & EXT4_EA_INODE_FL;
        return 0;
}

typedef struct Sorting {
        GArray *files, *directories; /* that were there before */
        bool known;
} Sorting;

/* The owners of a value of an extended attribute that is kept in an inode are not searched. */
static int sort_inode(Filesystem *old, uint32_t ino, Sorting *sorting, Fault *f)
{
        State was;

        int r = read_state(old, ino, &was, f);
        if (r < 0)
                return r;
        if (was.is_value)
                sorting->known = false;
        if (ino < EXT2_FIRST_INO(old->ext2->super) && ino != EXT2_ROOT_INO)
                return 0;
        if (was.is_directory)
                g_array_append_val(sorting->directories, ino);
        else if (was.is_used)
                g_array_append_val(sorting->files, ino);
        return 0;
}

static int find_names(Filesystem *old, const GArray *numbers, GHashTable *inodes, bool *ret_known,
                      Fault *f)
{
        g_autoptr(GArray) files = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        g_autoptr(GArray) directories = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        Sorting sorting = {files, directories, true};
        int r = 0;

        for (unsigned i = 0; i < numbers->len && r == 0; i++)
                if (g_hash_table_add(inodes, GUINT_TO_POINTER(g_array_index(numbers, uint32_t, i))))
                        r = sort_inode(old, g_array_index(numbers, uint32_t, i), &sorting, f);
        *ret_known = sorting.known;
        return r == 0 && sorting.known ? names_find(old, files, directories, inodes, ret_known, f)
                                       : r;
}

static int compare_numbers(gconstpointer a, gconstpointer b)
{
        uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

        return x < y ? -1 : x > y;
}

static int find_all(Filesystem *old, Filesystem *new, const Delta *delta, GHashTable *inodes,
                    bool *ret_known, Fault *f)
{
        g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        g_autoptr(GArray) owners = g_array_new(FALSE, FALSE, sizeof(uint32_t));

        int r = tables_find_changed(old, new, delta, numbers, f);
        if (r == 0)
                r = strays_find_owners(old, new, delta, numbers, owners, ret_known, f);
        if (r < 0 || !*ret_known)
                return r;
        if (owners->len > 0)
                g_array_append_vals(numbers, owners->data, owners->len);
        g_array_sort(numbers, compare_numbers);
        r = find_names(old, numbers, inodes, ret_known, f);
        (void) g_hash_table_add(inodes, GUINT_TO_POINTER(EXT2_ROOT_INO));
        return r;
}

Suspects *suspects_find(Filesystem *old, Filesystem *new, const Delta *delta)
{
        g_autoptr(Suspects) suspects = g_new0(Suspects, 1);
        bool known = false;

        if (!tables_match(old, new) || !is_supported(new) || !is_small(new, delta))
                return NULL;
        suspects->inodes = g_hash_table_new(g_direct_hash, g_direct_equal);
        int r = find_all(old, new, delta, suspects->inodes, &known, NULL);
        return r == 0 && known ? TAKE_PTR(suspects) : NULL;
}

Suspects *suspects_free(Suspects *suspects)
{
        if (!suspects)
                return NULL;
        if (suspects->inodes)
                g_hash_table_unref(suspects->inodes);
        g_free(suspects);
        return NULL;
}

bool suspects_has(const Suspects *suspects, uint32_t ino)
{
        return g_hash_table_contains(suspects->inodes, GUINT_TO_POINTER(ino));
}
