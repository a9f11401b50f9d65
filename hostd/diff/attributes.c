/* SPDX-License-Identifier: MIT */
#include "diff/attributes.h"

#include "base/cleanup.h"

#include <string.h>

const char *file_kind_to_string(FileKind kind)
{
        switch (kind) {
        case KIND_FILE:
                return "file";
        case KIND_DIRECTORY:
                return "directory";
        case KIND_SYMLINK:
                return "symlink";
        case KIND_CHAR:
                return "char";
        case KIND_BLOCK:
                return "block";
        case KIND_FIFO:
                return "fifo";
        case KIND_SOCKET:
                return "socket";
        }
        g_assert_not_reached();
}

static bool kind_from_mode(uint32_t mode, FileKind *ret)
{
        static const struct {
                uint32_t type;
                FileKind kind;
        } kinds[] = {
                {LINUX_S_IFREG, KIND_FILE},    {LINUX_S_IFDIR, KIND_DIRECTORY},
                {LINUX_S_IFLNK, KIND_SYMLINK}, {LINUX_S_IFCHR, KIND_CHAR},
                {LINUX_S_IFBLK, KIND_BLOCK},   {LINUX_S_IFIFO, KIND_FIFO},
                {LINUX_S_IFSOCK, KIND_SOCKET},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                if ((mode & LINUX_S_IFMT) == kinds[i].type) {
                        *ret = kinds[i].kind;
                        return true;
                }
        return false;
}

/* As the kernel decodes them: the second word where the first is 0 (fs/ext4/inode.c). */
static void decode_device(const Inode *inode, Attributes *ret)
{
        uint32_t old = inode->base.i_block[0], new = inode->base.i_block[1];

        if (old) {
                ret->major = old >> 8 & 0xff;
                ret->minor = old & 0xff;
        } else {
                ret->major = (new & 0xfff00) >> 8;
                ret->minor = (new & 0xff) | (new >> 12 & 0xfff00);
        }
}

/* The extra word holds two more bits of the seconds, and the nanoseconds. */
static void decode_mtime(const Inode *inode, Attributes *ret)
{
        const struct ext2_inode_large *large = &inode->large;
        size_t reach = EXT2_GOOD_OLD_INODE_SIZE + (size_t) large->i_extra_isize;

        ret->mtime_sec = (int32_t) inode->base.i_mtime;
        if (reach >=
            offsetof(struct ext2_inode_large, i_mtime_extra) + sizeof(large->i_mtime_extra)) {
                ret->mtime_sec += (int64_t) (large->i_mtime_extra & 3) << 32;
                ret->mtime_nsec = large->i_mtime_extra >> 2;
        }
}

bool attributes_from_inode(const Inode *inode, Attributes *ret)
{
        Attributes a = {0};

        if (!kind_from_mode(inode->base.i_mode, &a.kind))
                return false;
        a.mode = inode->base.i_mode & 07777;
        a.uid = inode_uid(inode->base);
        a.gid = inode_gid(inode->base);
        a.size = a.kind == KIND_FILE || a.kind == KIND_DIRECTORY || a.kind == KIND_SYMLINK
                         ? EXT2_I_SIZE(&inode->base)
                         : 0;
        if (a.kind == KIND_CHAR || a.kind == KIND_BLOCK)
                decode_device(inode, &a);
        decode_mtime(inode, &a);
        *ret = a;
        return true;
}

bool attributes_equal(const Attributes *a, const Attributes *b)
{
        return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
               a->mtime_sec == b->mtime_sec && a->mtime_nsec == b->mtime_nsec;
}

static void xattr_free(void *data)
{
        Xattr *xattr = data;

        g_free(xattr->name);
        g_free(xattr->value);
        g_free(xattr);
}

static int collect_xattr(char *name, char *value, size_t size, void *data)
{
        GPtrArray *xattrs = data;

        /* Where inline data goes on: part of the content. */
        if (strcmp(name, "system.data") == 0)
                return 0;
        Xattr *xattr = g_new0(Xattr, 1);
        xattr->name = g_strdup(name);
        xattr->value = g_memdup2(value, size);
        xattr->size = size;
        g_ptr_array_add(xattrs, xattr);
        return 0;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
        const Xattr *x = *(Xattr *const *) a, *y = *(Xattr *const *) b;

        return strcmp(x->name, y->name);
}

static bool may_have_xattrs(const Filesystem *fs, const Inode *inode)
{
        size_t used = EXT2_GOOD_OLD_INODE_SIZE + (size_t) inode->large.i_extra_isize;
        uint32_t magic;

        if (ext2fs_file_acl_block(fs->ext2, &inode->base) != 0)
                return true;
        if (fs->inode_size <= EXT2_GOOD_OLD_INODE_SIZE || used > fs->inode_size - sizeof(magic))
                return false;
        memcpy(&magic, inode->bytes + used, sizeof(magic));
        return magic == EXT2_EXT_ATTR_MAGIC;
}

int xattrs_read(Filesystem *fs, uint32_t ino, const Inode *inode, GPtrArray **ret, Fault *f)
{
        struct ext2_xattr_handle *handle;

        *ret = NULL;
        if (!may_have_xattrs(fs, inode))
                return 0;
        errcode_t error = ext2fs_xattrs_open(fs->ext2, ino, &handle);
        if (error)
                return filesystem_fault(fs, error, "the extended attributes", ino, f);
        g_autoptr(GPtrArray) xattrs = g_ptr_array_new_with_free_func(xattr_free);
        error = ext2fs_xattrs_read(handle);
        if (!error)
                error = ext2fs_xattrs_iterate(handle, collect_xattr, xattrs);
        (void) ext2fs_xattrs_close(&handle);
        if (error)
                return filesystem_fault(fs, error, "the extended attributes", ino, f);
        g_ptr_array_sort(xattrs, compare_names);
        if (xattrs->len > 0)
                *ret = TAKE_PTR(xattrs);
        return 0;
}

bool xattrs_equal(const GPtrArray *a, const GPtrArray *b)
{
        unsigned n = a ? a->len : 0;

        if (n != (b ? b->len : 0))
                return false;
        for (unsigned i = 0; i < n; i++) {
                const Xattr *x = a->pdata[i], *y = b->pdata[i];

                if (strcmp(x->name, y->name) != 0 || x->size != y->size ||
                    (x->size > 0 && memcmp(x->value, y->value, x->size) != 0))
                        return false;
        }
        return true;
}
