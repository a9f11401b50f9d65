/* SPDX-License-Identifier: MIT */
#include "diff/names.h"

#include "base/cleanup.h"
#include "diff/references.h"
#include "diff/tables.h"

#include <string.h>

#define ENTRY_HEADER_SIZE 8
#define BLOCK_SIZE_64K    65536

typedef struct Search {
        Filesystem *fs;
        References *references;
        GHashTable *wanted; /* inode → how many of its names are not found yet */
        GHashTable *suspects;
        GHashTable *read;     /* directories whose entries were looked at */
        GArray *found;        /* directories that became suspects */
        uint8_t *block;       /* of a directory */
        uint64_t blocks_left; /* of directories, in all: they can be read more than once */
        bool known;
        Fault *fault;
        int result;
} Search;

typedef struct RawEntry {
        uint32_t inode;
        unsigned length, name_length;
        const uint8_t *name;
} RawEntry;

static unsigned wanted_names(const Search *s, uint32_t ino)
{
        return GPOINTER_TO_UINT(g_hash_table_lookup(s->wanted, GUINT_TO_POINTER(ino)));
}

static void want(Search *s, uint32_t ino, unsigned n_names)
{
        (void) g_hash_table_replace(s->wanted, GUINT_TO_POINTER(ino), GUINT_TO_POINTER(n_names));
}

static void add_suspect(Search *s, uint32_t directory)
{
        if (g_hash_table_add(s->suspects, GUINT_TO_POINTER(directory)))
                g_array_append_val(s->found, directory);
}

/* ---- entries ---- */

/* The entry at `offset`; false where it is not whole. */
static bool parse_entry(const Search *s, const uint8_t *block, uint32_t offset, RawEntry *ret)
{
        uint32_t size = s->fs->block_size;
        const uint8_t *bytes = block + offset;

        if (size - offset < ENTRY_HEADER_SIZE)
                return false;
        ret->inode = (uint32_t) bytes[0] | (uint32_t) bytes[1] << 8 | (uint32_t) bytes[2] << 16 |
                     (uint32_t) bytes[3] << 24;
        ret->length = (unsigned) bytes[4] | (unsigned) bytes[5] << 8;
        ret->name_length = bytes[6];
        ret->name = bytes + ENTRY_HEADER_SIZE;
        if (size == BLOCK_SIZE_64K && (ret->length == 0 || ret->length == UINT16_MAX))
                ret->length = BLOCK_SIZE_64K;
        return ret->length >= ENTRY_HEADER_SIZE && ret->length % 4 == 0 &&
               ret->length <= size - offset && ret->name_length + ENTRY_HEADER_SIZE <= ret->length;
}

static bool is_dot(const RawEntry *entry)
{
        return (entry->name_length == 1 && entry->name[0] == '.') ||
               (entry->name_length == 2 && entry->name[0] == '.' && entry->name[1] == '.');
}

/* An entry of `directory`, or of several at once. */
static void see_name(Search *s, uint32_t directory, uint32_t ino)
{
        unsigned n = wanted_names(s, ino);

        if (n == 0)
                return;
        want(s, ino, n - 1);
        add_suspect(s, directory);
}

typedef struct Reading {
        Search *search;
        uint32_t directory;
} Reading;

static bool read_block(Search *s, uint64_t block)
{
        if (s->blocks_left == 0)
                s->known = false;
        if (!s->known)
                return false;
        s->blocks_left--;
        s->result = view_read(s->fs->view, block * s->fs->block_size, s->block, s->fs->block_size,
                              s->fault);
        return s->result == 0;
}

static bool see_blocks(void *data, ReferenceKind kind, uint64_t block, uint64_t count)
{
        Reading *reading = data;
        Search *s = reading->search;
        RawEntry entry;

        for (uint64_t i = 0; kind == REFERENCE_DATA && i < count; i++) {
                if (!read_block(s, block + i))
                        return false;
                for (uint32_t at = 0; at < s->fs->block_size; at += entry.length) {
                        if (!parse_entry(s, s->block, at, &entry)) {
                                s->known = false;
                                return false;
                        }
                        if (entry.inode != 0 && !is_dot(&entry))
                                see_name(s, reading->directory, entry.inode);
                }
        }
        return true;
}

static int see_inline(Search *s, uint32_t ino, Fault *f)
{
        g_autoptr(Directory) directory = NULL;

        int r = filesystem_read_directory(s->fs, ino, &directory, f);
        if (r < 0)
                return r;
        for (unsigned i = 0; i < directory->entries->len; i++)
                see_name(s, ino, directory_entry(directory, i)->inode);
        return 0;
}

/* All names in a directory, of which these are the inode's bytes. */
static int see_directory(Search *s, uint32_t ino, const uint8_t *inode, Fault *f)
{
        Reading reading = {s, ino};

        (void) g_hash_table_add(s->read, GUINT_TO_POINTER(ino));
        if (raw_inode_flags(inode) & EXT4_INLINE_DATA_FL)
                return see_inline(s, ino, f);
        s->fault = f;
        s->result = 0;
        if (!references_visit(s->references, inode, see_blocks, &reading))
                s->known = false;
        return s->result;
}

static int read_inode(Search *s, uint32_t ino, uint8_t *inode, Fault *f)
{
        uint64_t offset;

        s->known = s->known && filesystem_find_inode(s->fs, ino, &offset);
        return s->known ? view_read(s->fs->view, offset, inode, s->fs->inode_size, f) : 0;
}

static bool is_directory(const uint8_t *inode)
{
        return LINUX_S_ISDIR(raw_inode_mode(inode)) && raw_inode_links(inode) > 0;
}

/* ---- files: by directories that are near ---- */

static int see_piece(Search *s, TablePiece *piece, uint32_t number, uint8_t *seen, Fault *f)
{
        if (seen[number / 8] >> (number % 8) & 1)
                return 0;
        seen[number / 8] |= (uint8_t) (1U << (number % 8));
        int r = table_piece_read(piece, s->fs, number, f);
        for (uint32_t i = 0; i < piece->n && r == 0 && s->known; i++) {
                const uint8_t *inode = piece->bytes + (size_t) i * s->fs->inode_size;

                if (is_directory(inode) &&
                    !g_hash_table_contains(s->read, GUINT_TO_POINTER(piece->first + i)))
                        r = see_directory(s, piece->first + i, inode, f);
        }
        return r;
}

/* The number of the step-th piece: back to the begin of the group of inode `ino`, then on to the
 * end of the group; then through all from the begin of the flexible group. */
static uint32_t nth_piece(const Filesystem *fs, uint32_t ino, uint32_t step)
{
        uint32_t own = table_piece_of_inode(fs, ino), per_group = table_piece_per_group(fs);
        uint32_t group = own / per_group, before = own % per_group;

        if (step <= before)
                return own - step;
        if (step < per_group)
                return own + (step - before);
        group -= group % table_groups_per_flex(fs);
        return (uint32_t) (((uint64_t) group * per_group + (step - per_group)) %
                           table_piece_count(fs));
}

static int search_files(Search *s, const GArray *files, Fault *f)
{
        uint32_t n_steps = table_piece_per_group(s->fs) + table_piece_count(s->fs);
        g_autofree uint8_t *seen = g_malloc0(table_piece_count(s->fs) / 8 + 1);
        bool all_seen = false;
        TablePiece piece;
        int r = 0;

        table_piece_init(&piece);
        for (unsigned i = 0; i < files->len && r == 0 && !all_seen; i++) {
                uint32_t ino = g_array_index(files, uint32_t, i), step = 0;

                for (; step < n_steps && r == 0 && s->known && wanted_names(s, ino) > 0; step++)
                        r = see_piece(s, &piece, nth_piece(s->fs, ino, step), seen, f);
                all_seen = step == n_steps || !s->known;
        }
        table_piece_done(&piece);
        return r;
}

/* ---- directories: by their parents ---- */

static bool take_first_block(void *data, ReferenceKind kind, uint64_t block, uint64_t count)
{
        uint64_t *first = data;

        (void) count;
        if (kind != REFERENCE_DATA)
                return true;
        *first = block;
        return false;
}

/* The inode that the directory's entry ".." names: the second of its first block. */
static int read_parent(Search *s, const uint8_t *inode, uint32_t *ret, Fault *f)
{
        uint64_t first = 0;
        uint32_t word;
        RawEntry entry;

        *ret = 0;
        if (raw_inode_flags(inode) & EXT4_INLINE_DATA_FL) {
                memcpy(&word, inode + offsetof(struct ext2_inode, i_block), sizeof(word));
                *ret = GUINT32_FROM_LE(word);
                return 0;
        }
        s->fault = f;
        s->result = 0;
        (void) references_visit(s->references, inode, take_first_block, &first);
        if (first == 0 || !read_block(s, first))
                return s->result;
        if (parse_entry(s, s->block, 0, &entry) && is_dot(&entry) &&
            entry.length < s->fs->block_size && parse_entry(s, s->block, entry.length, &entry) &&
            is_dot(&entry))
                *ret = entry.inode;
        return 0;
}

/* Wants the names of the directories in s->found, and collects their parents. */
static int find_parents(Search *s, const GArray *directories, GHashTable *parents, Fault *f)
{
        uint8_t inode[INODE_SIZE_MAX];
        int r = 0;

        for (unsigned i = 0; i < directories->len && r == 0 && s->known; i++) {
                uint32_t ino = g_array_index(directories, uint32_t, i), parent = 0;

                if (ino == EXT2_ROOT_INO)
                        continue;
                r = read_inode(s, ino, inode, f);
                if (r == 0 && s->known)
                        r = read_parent(s, inode, &parent, f);
                want(s, ino, 1);
                (void) g_hash_table_add(parents, GUINT_TO_POINTER(parent));
        }
        return r;
}

static int see_parents(Search *s, GHashTable *parents, Fault *f)
{
        uint8_t inode[INODE_SIZE_MAX];
        GHashTableIter iter;
        gpointer key;
        int r = 0;

        g_hash_table_iter_init(&iter, parents);
        while (r == 0 && s->known && g_hash_table_iter_next(&iter, &key, NULL)) {
                uint32_t ino = GPOINTER_TO_UINT(key);

                r = read_inode(s, ino, inode, f);
                if (r < 0 || !s->known)
                        break;
                s->known = is_directory(inode);
                if (s->known)
                        r = see_directory(s, ino, inode, f);
        }
        return r;
}

/* One step up for all of s->found; the parents that are not known yet become the new s->found. */
static int climb(Search *s, Fault *f)
{
        g_autoptr(GHashTable) parents = g_hash_table_new(g_direct_hash, g_direct_equal);
        g_autoptr(GArray) directories = s->found;

        s->found = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        int r = find_parents(s, directories, parents, f);
        if (r == 0)
                r = see_parents(s, parents, f);
        for (unsigned i = 0; i < directories->len && r == 0 && s->known; i++)
                s->known = wanted_names(s, g_array_index(directories, uint32_t, i)) == 0;
        return r;
}

/* ---- all ---- */

static int see_changed(Search *s, const GArray *directories, Fault *f)
{
        uint8_t inode[INODE_SIZE_MAX];
        int r = 0;

        for (unsigned i = 0; i < directories->len && r == 0 && s->known; i++) {
                uint32_t ino = g_array_index(directories, uint32_t, i);

                r = read_inode(s, ino, inode, f);
                if (r == 0 && s->known && is_directory(inode))
                        r = see_directory(s, ino, inode, f);
                if (s->known && is_directory(inode))
                        g_array_append_val(s->found, ino);
        }
        return r;
}

static int want_files(Search *s, const GArray *files, Fault *f)
{
        uint8_t inode[INODE_SIZE_MAX];
        int r = 0;

        for (unsigned i = 0; i < files->len && r == 0 && s->known; i++) {
                uint32_t ino = g_array_index(files, uint32_t, i);

                r = read_inode(s, ino, inode, f);
                if (r == 0 && s->known)
                        want(s, ino, raw_inode_links(inode));
        }
        return r;
}

static int find_all(Search *s, const GArray *files, const GArray *directories, Fault *f)
{
        int r = want_files(s, files, f);

        if (r == 0)
                r = see_changed(s, directories, f);
        if (r == 0 && s->known)
                r = search_files(s, files, f);
        g_hash_table_remove_all(s->wanted);
        while (r == 0 && s->known && s->found->len > 0)
                r = climb(s, f);
        return r;
}

int names_find(Filesystem *fs, const GArray *files, const GArray *directories, GHashTable *suspects,
               bool *ret_known, Fault *f)
{
        g_autofree uint8_t *block = g_malloc(fs->block_size);
        g_autoptr(References) references = references_new(fs);
        Search s = {
                .fs = fs,
                .references = references,
                .wanted = g_hash_table_new(g_direct_hash, g_direct_equal),
                .suspects = suspects,
                .read = g_hash_table_new(g_direct_hash, g_direct_equal),
                .found = g_array_new(FALSE, FALSE, sizeof(uint32_t)),
                .block = block,
                .blocks_left = 4 * ext2fs_blocks_count(fs->ext2->super),
                .known = true,
        };

        int r = find_all(&s, files, directories, f);
        *ret_known = s.known;
        g_array_unref(s.found);
        g_hash_table_unref(s.read);
        g_hash_table_unref(s.wanted);
        return r;
}
