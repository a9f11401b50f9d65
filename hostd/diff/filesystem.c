/* SPDX-License-Identifier: MIT */
#include "diff/filesystem.h"

#include "base/cleanup.h"
#include "diff/journal.h"

#include <string.h>

#define SUPERBLOCK_OFFSET 1024
#define BLOCK_SIZE_MAX    65536

/* libext2fs opens an io_manager by name only: this is the view that the name means. */
static View *view_to_open;

static View *channel_view(io_channel channel)
{
        return channel->private_data;
}

static struct struct_io_manager view_io_manager;

static errcode_t view_io_open(const char *name, int flags, io_channel *ret)
{
        if (!view_to_open)
                return EXT2_ET_BAD_DEVICE_NAME;
        if (flags & IO_FLAG_RW)
                return EXT2_ET_RO_FILSYS;
        io_channel channel = g_new0(struct struct_io_channel, 1);
        channel->magic = EXT2_ET_MAGIC_IO_CHANNEL;
        channel->manager = &view_io_manager;
        channel->name = g_strdup(name);
        channel->block_size = SUPERBLOCK_OFFSET;
        channel->refcount = 1;
        channel->private_data = view_to_open;
        *ret = channel;
        return 0;
}

static errcode_t view_io_close(io_channel channel)
{
        if (--channel->refcount > 0)
                return 0;
        g_free(channel->name);
        g_free(channel);
        return 0;
}

static errcode_t view_io_set_blksize(io_channel channel, int block_size)
{
        if (block_size < SUPERBLOCK_OFFSET || block_size > BLOCK_SIZE_MAX)
                return EXT2_ET_INVALID_ARGUMENT;
        channel->block_size = block_size;
        return 0;
}

/* A negative count is in bytes. */
static errcode_t view_io_read64(io_channel channel, unsigned long long block, int count, void *data)
{
        View *view = channel_view(channel);
        uint64_t block_size = (uint64_t) channel->block_size;
        uint64_t size = count < 0 ? (uint64_t) - (int64_t) count : (uint64_t) count * block_size;

        if (block > view_length(view) / block_size || size > SIZE_MAX)
                return EXT2_ET_SHORT_READ;
        return view_read(view, block * block_size, data, (size_t) size, view_fault(view)) < 0
                       ? EXT2_ET_SHORT_READ
                       : 0;
}

static errcode_t view_io_read(io_channel channel, unsigned long block, int count, void *data)
{
        return view_io_read64(channel, block, count, data);
}

static errcode_t view_io_write64(io_channel channel, unsigned long long block, int count,
                                 const void *data)
{
        (void) channel, (void) block, (void) count, (void) data;
        return EXT2_ET_RO_FILSYS;
}

static errcode_t view_io_write(io_channel channel, unsigned long block, int count, const void *data)
{
        return view_io_write64(channel, block, count, data);
}

static errcode_t view_io_flush(io_channel channel)
{
        (void) channel;
        return 0;
}

static struct struct_io_manager view_io_manager = {
        .magic = EXT2_ET_MAGIC_IO_MANAGER,
        .name = "fluid view",
        .open = view_io_open,
        .close = view_io_close,
        .set_blksize = view_io_set_blksize,
        .read_blk = view_io_read,
        .write_blk = view_io_write,
        .flush = view_io_flush,
        .read_blk64 = view_io_read64,
        .write_blk64 = view_io_write64,
};

/* What libext2fs has in its cache of inodes is forgotten: an inode that it refuses to read, it has
 * read into the place of another, which it would go on to give under that one's number. */
int filesystem_fault(const Filesystem *fs, errcode_t error, const char *what, uint32_t ino,
                     Fault *f)
{
        (void) ext2fs_flush_icache(fs->ext2);
        if (error == EXT2_ET_NO_MEMORY)
                return fault_set(f, FAULT_NO_MEMORY, "the file system of %s needs too much memory",
                                 fs->name);
        return fault_set(f, FAULT_DIFF_FAILED,
                         "the file system of %s is damaged: %s of inode %u: %s", fs->name, what,
                         ino, error_message(error));
}

/* What the kernel would not mount either, and numbers that would cost memory. */
static int check_geometry(const Filesystem *fs, Fault *f)
{
        uint64_t n_blocks = ext2fs_blocks_count(fs->ext2->super);

        if (n_blocks > view_length(fs->view) / fs->block_size)
                return fault_set(f, FAULT_DIFF_FAILED,
                                 "the file system of %s is larger than its partition", fs->name);
        if (fs->inode_size > INODE_SIZE_MAX)
                return fault_set(f, FAULT_DIFF_FAILED,
                                 "the file system of %s has inodes of %u bytes; at most %d are "
                                 "supported",
                                 fs->name, fs->inode_size, INODE_SIZE_MAX);
        return 0;
}

/* The size is known from the superblock before libext2fs allocates group descriptors for it. */
static int check_superblock(Filesystem *fs, Fault *f)
{
        struct ext2_super_block super;

        int r = view_read(fs->view, SUPERBLOCK_OFFSET, &super, sizeof(super), f);
        if (r < 0)
                return r;
        uint64_t n_blocks = GUINT32_FROM_LE(super.s_blocks_count);
        uint32_t log_size = GUINT32_FROM_LE(super.s_log_block_size);
        if (GUINT32_FROM_LE(super.s_feature_incompat) & EXT4_FEATURE_INCOMPAT_64BIT)
                n_blocks |= (uint64_t) GUINT32_FROM_LE(super.s_blocks_count_hi) << 32;
        if (log_size > 6 || n_blocks > view_length(fs->view) >> (10 + log_size))
                return fault_set(f, FAULT_DIFF_FAILED,
                                 "the file system of %s is larger than its partition", fs->name);
        return 0;
}

static int open_ext2(Filesystem *fs, Fault *f)
{
        int r = check_superblock(fs, f);

        if (r < 0)
                return r;
        initialize_ext2_error_table();
        view_to_open = fs->view;
        errcode_t error =
                ext2fs_open2("view", NULL, EXT2_FLAG_64BITS, 0, 0, &view_io_manager, &fs->ext2);
        view_to_open = NULL;
        if (error == EXT2_ET_NO_MEMORY)
                return fault_set(f, FAULT_NO_MEMORY, "the file system of %s needs too much memory",
                                 fs->name);
        if (error)
                return fault_set(f, FAULT_DIFF_FAILED, "cannot read the file system of %s: %s",
                                 fs->name,
                                 fault_is_set(view_fault(fs->view)) ? view_fault(fs->view)->message
                                                                    : error_message(error));
        fs->block_size = fs->ext2->blocksize;
        fs->inode_size = EXT2_INODE_SIZE(fs->ext2->super);
        return check_geometry(fs, f);
}

static void close_ext2(Filesystem *fs)
{
        if (fs->ext2)
                ext2fs_free(fs->ext2);
        fs->ext2 = NULL;
}

int filesystem_open(View *view, const char *name, Filesystem **ret, Fault *f)
{
        g_autoptr(Filesystem) fs = g_new0(Filesystem, 1);

        fs->view = view;
        fs->name = name;
        int r = open_ext2(fs, f);
        if (r < 0)
                return r;
        if (ext2fs_has_feature_journal_needs_recovery(fs->ext2->super)) {
                r = journal_replay(fs, f);
                if (r < 0)
                        return r;
                close_ext2(fs);
                r = open_ext2(fs, f);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(fs);
        return 0;
}

Filesystem *filesystem_free(Filesystem *fs)
{
        if (!fs)
                return NULL;
        close_ext2(fs);
        g_free(fs);
        return NULL;
}

int filesystem_read_inode(Filesystem *fs, uint32_t ino, Inode *ret, Fault *f)
{
        memset(ret, 0, sizeof(ret->large));
        errcode_t error = ext2fs_read_inode_full(fs->ext2, ino, &ret->base, (int) fs->inode_size);
        return error ? filesystem_fault(fs, error, "reading", ino, f) : 0;
}

bool filesystem_find_inode(const Filesystem *fs, uint32_t ino, uint64_t *ret_offset)
{
        const struct ext2_super_block *super = fs->ext2->super;

        if (ino == 0 || ino > super->s_inodes_count)
                return false;
        dgrp_t group = (ino - 1) / super->s_inodes_per_group;
        uint64_t in_table = (uint64_t) ((ino - 1) % super->s_inodes_per_group) * fs->inode_size;
        uint64_t table = ext2fs_inode_table_loc(fs->ext2, group);
        if (table >= view_length(fs->view) / fs->block_size)
                return false;
        *ret_offset = table * fs->block_size + in_table;
        return true;
}

typedef struct Listing {
        Filesystem *fs;
        uint32_t ino;
        Directory *directory;
        InodeWanted wanted; /* NULL: all are */
        const void *data;
        Fault *fault;
        int result;
} Listing;

static int list_entry(ext2_ino_t dir, int what, struct ext2_dir_entry *dirent, int offset,
                      int block_size, char *buffer, void *data)
{
        Listing *listing = data;
        Directory *directory = listing->directory;
        unsigned length = (unsigned) ext2fs_dirent_name_len(dirent) & 0xff;
        const char *name = dirent->name;

        (void) dir, (void) offset, (void) block_size, (void) buffer;
        if (what == DIRENT_DOT_FILE || what == DIRENT_DOT_DOT_FILE || dirent->inode == 0)
                return 0;
        if (length == 0 || memchr(name, '/', length) || memchr(name, '\0', length) ||
            dirent->inode > listing->fs->ext2->super->s_inodes_count ||
            directory->names->len > UINT32_MAX - length) {
                listing->result = filesystem_fault(listing->fs, EXT2_ET_DIR_CORRUPTED, "an entry",
                                                   listing->ino, listing->fault);
                return DIRENT_ABORT;
        }
        if ((length == 1 && name[0] == '.') || (length == 2 && memcmp(name, "..", 2) == 0))
                return 0;
        if (listing->wanted && !listing->wanted(listing->data, dirent->inode))
                return 0;
        Entry entry = {dirent->inode, directory->names->len, (uint8_t) length};
        g_byte_array_append(directory->names, (const guint8 *) name, length);
        g_array_append_val(directory->entries, entry);
        return 0;
}

static int compare_entries(gconstpointer a, gconstpointer b, gpointer data)
{
        const Directory *directory = data;
        const Entry *x = a, *y = b;

        int order = memcmp(directory_name(directory, x), directory_name(directory, y),
                           MIN(x->name_length, y->name_length));
        return order ? order : (int) x->name_length - (int) y->name_length;
}

static int check_unique(const Filesystem *fs, Directory *directory, uint32_t ino, Fault *f)
{
        for (unsigned i = 1; i < directory->entries->len; i++)
                if (compare_entries(directory_entry(directory, i - 1),
                                    directory_entry(directory, i), directory) == 0)
                        return filesystem_fault(fs, EXT2_ET_DIR_CORRUPTED, "two equal names", ino,
                                                f);
        return 0;
}

int filesystem_search_directory(Filesystem *fs, uint32_t ino, InodeWanted wanted, const void *data,
                                Directory **ret, Fault *f)
{
        g_autoptr(Directory) directory = g_new0(Directory, 1);
        Listing listing = {fs, ino, directory, wanted, data, f, 0};

        directory->entries = g_array_new(FALSE, FALSE, sizeof(Entry));
        directory->names = g_byte_array_new();
        errcode_t error = ext2fs_dir_iterate2(fs->ext2, ino, 0, NULL, list_entry, &listing);
        if (listing.result < 0)
                return listing.result;
        if (error)
                return filesystem_fault(fs, error, "the entries", ino, f);
        g_array_sort_with_data(directory->entries, compare_entries, directory);
        int r = check_unique(fs, directory, ino, f);
        if (r == 0)
                *ret = TAKE_PTR(directory);
        return r;
}

int filesystem_read_directory(Filesystem *fs, uint32_t ino, Directory **ret, Fault *f)
{
        return filesystem_search_directory(fs, ino, NULL, NULL, ret, f);
}

Directory *directory_free(Directory *directory)
{
        if (!directory)
                return NULL;
        g_array_unref(directory->entries);
        g_byte_array_unref(directory->names);
        g_free(directory);
        return NULL;
}

const Entry *directory_entry(const Directory *directory, unsigned i)
{
        return i < directory->entries->len ? &g_array_index(directory->entries, Entry, i) : NULL;
}

const char *directory_name(const Directory *directory, const Entry *entry)
{
        return (const char *) directory->names->data + entry->name_offset;
}

const Entry *directory_find(const Directory *directory, const char *name, size_t size)
{
        unsigned low = 0, high = directory->entries->len;

        while (low < high) {
                unsigned middle = low + (high - low) / 2;
                const Entry *entry = directory_entry(directory, middle);
                int order = memcmp(directory_name(directory, entry), name,
                                   MIN(entry->name_length, size));

                if (order == 0 && entry->name_length == size)
                        return entry;
                if (order < 0 || (order == 0 && entry->name_length < size))
                        low = middle + 1;
                else
                        high = middle;
        }
        return NULL;
}
