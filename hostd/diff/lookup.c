/* SPDX-License-Identifier: MIT */
#include "diff/lookup.h"

#include "base/cleanup.h"

#include <string.h>

/* How far a search got. What is left of the path is behind `at`; a link's target is put there. */
typedef struct Search {
        Filesystem *root;
        const GArray *mounts; /* of LookupMount, or NULL */
        Filesystem *fs;       /* that `directory` is on */
        const char *path;     /* as it was asked for */
        size_t path_size;
        GByteArray *rest;
        size_t at;
        uint32_t directory;
        unsigned n_links;
} Search;

static int not_found(const Search *search, const char *why, Fault *f)
{
        return fault_set(f, FAULT_NOT_FOUND, "'%.*s' of %s %s",
                         (int) MIN(search->path_size, FAULT_MESSAGE_MAX), search->path,
                         search->fs->name, why);
}

int lookup_inode(Filesystem *fs, uint32_t ino, LookupFile *ret, Fault *f)
{
        LookupFile file = {.ino = ino};

        int r = filesystem_read_inode(fs, ino, &file.inode, f);
        if (r < 0)
                return r;
        if (!attributes_from_inode(&file.inode, &file.attributes))
                return filesystem_fault(fs, EXT2_ET_BAD_INODE_NUM, "the type", ino, f);
        *ret = file;
        return 0;
}

int lookup_open(Filesystem *fs, const LookupFile *file, Content **ret, Fault *f)
{
        FileKind kind = file->attributes.kind;

        if (file->inode.base.i_flags & EXT4_ENCRYPT_FL)
                return fault_set(f, FAULT_DIFF_FAILED, "inode %u of %s is encrypted", file->ino,
                                 fs->name);
        if (kind != KIND_FILE && kind != KIND_SYMLINK)
                return fault_set(f, FAULT_DIFF_FAILED, "inode %u of %s is a %s, not a file",
                                 file->ino, fs->name, file_kind_to_string(kind));
        return content_open(fs, file->ino, &file->inode, ret, f);
}

/* The next component, without the slashes around it; false at the end. */
static bool next_component(Search *search, const char **ret, size_t *ret_size)
{
        const char *bytes = (const char *) search->rest->data;
        size_t size = search->rest->len, start = search->at, end;

        while (start < size && bytes[start] == '/')
                start++;
        for (end = start; end < size && bytes[end] != '/';)
                end++;
        *ret = bytes + start;
        *ret_size = end - start;
        search->at = end;
        return end > start;
}

static bool is_last(const Search *search)
{
        for (size_t i = search->at; i < search->rest->len; i++)
                if (search->rest->data[i] != '/')
                        return false;
        return true;
}

/* Puts the target in front of what is left of the path. */
static int follow_link(Search *search, const LookupFile *link, Fault *f)
{
        g_autoptr(Content) content = NULL;
        size_t left = search->rest->len - search->at;
        char target[LOOKUP_PATH_MAX];

        if (++search->n_links > LOOKUP_LINKS_MAX)
                return not_found(search, "leads through too many symbolic links", f);
        int r = lookup_open(search->fs, link, &content, f);
        if (r < 0)
                return r;
        uint64_t size = content_size(content);
        if (size == 0 || size > sizeof(target) - left)
                return not_found(search, "leads to a path that is empty or too long", f);
        r = content_read(content, 0, target, (size_t) size, f);
        if (r < 0)
                return r;
        if (memchr(target, '\0', (size_t) size))
                return filesystem_fault(search->fs, EXT2_ET_INODE_CORRUPTED, "the target",
                                        link->ino, f);
        if (target[0] == '/') {
                search->directory = EXT2_ROOT_INO;
                search->fs = search->root;
        }
        g_byte_array_remove_range(search->rest, 0, (guint) search->at);
        g_byte_array_prepend(search->rest, (const guint8 *) target, (guint) size);
        search->at = 0;
        return 0;
}

Filesystem *lookup_mounted_on(const GArray *mounts, const Filesystem *fs, uint32_t ino)
{
        for (unsigned i = mounts ? mounts->len : 0; i > 0; i--) {
                const LookupMount *mount = &g_array_index(mounts, LookupMount, i - 1);

                if (mount->on == fs && mount->ino == ino)
                        return mount->fs;
        }
        return NULL;
}

/* Into what is mounted there, and what is mounted on that. */
static int load(Search *search, uint32_t ino, LookupFile *ret, Fault *f)
{
        for (Filesystem *fs; (fs = lookup_mounted_on(search->mounts, search->fs, ino)) != NULL;) {
                search->fs = fs;
                ino = EXT2_ROOT_INO;
        }
        return lookup_inode(search->fs, ino, ret, f);
}

/* From the root of what is mounted, ".." goes on from the directory that it is on. */
static void leave_mounts(Search *search)
{
        for (unsigned i = search->mounts ? search->mounts->len : 0;
             i > 0 && search->directory == EXT2_ROOT_INO; i--) {
                const LookupMount *mount = &g_array_index(search->mounts, LookupMount, i - 1);

                if (mount->fs == search->fs) {
                        search->fs = mount->on;
                        search->directory = mount->ino;
                }
        }
}

static int step(Search *search, const char *name, size_t size, LookupFile *ret, Fault *f)
{
        ext2_ino_t ino;

        if (size > EXT2_NAME_LEN)
                return not_found(search, "does not exist", f);
        if (size == 2 && memcmp(name, "..", 2) == 0)
                leave_mounts(search);
        errcode_t error =
                ext2fs_lookup(search->fs->ext2, search->directory, name, (int) size, NULL, &ino);
        if (error == EXT2_ET_FILE_NOT_FOUND)
                return not_found(search, "does not exist", f);
        if (error)
                return filesystem_fault(search->fs, error, "the entries", search->directory, f);
        return load(search, ino, ret, f);
}

static int search_all(Search *search, bool follow, LookupFile *ret, Fault *f)
{
        const char *name;
        size_t size;

        int r = load(search, EXT2_ROOT_INO, ret, f);
        while (r == 0 && next_component(search, &name, &size)) {
                if (ret->attributes.kind != KIND_DIRECTORY)
                        return not_found(search, "does not exist", f);
                if (ret->inode.base.i_flags & EXT4_ENCRYPT_FL)
                        return fault_set(f, FAULT_DIFF_FAILED, "inode %u of %s is encrypted",
                                         ret->ino, search->fs->name);
                if (size == 1 && name[0] == '.')
                        continue;
                search->directory = ret->ino;
                r = step(search, name, size, ret, f);
                if (r == 0 && ret->attributes.kind == KIND_SYMLINK &&
                    (follow || !is_last(search))) {
                        r = follow_link(search, ret, f);
                        if (r == 0)
                                r = lookup_inode(search->fs, search->directory, ret, f);
                }
        }
        return r;
}

int lookup_find_mounted(Filesystem *root, const GArray *mounts, const char *path, size_t path_size,
                        bool follow, Filesystem **ret_fs, LookupFile *ret, Fault *f)
{
        Search search = {
                .root = root, .mounts = mounts, .fs = root, .path = path, .path_size = path_size};
        LookupFile file = {0};

        if (path_size > LOOKUP_PATH_MAX || memchr(path, '\0', path_size))
                return not_found(&search, "is not a path", f);
        search.rest = g_byte_array_new();
        g_byte_array_append(search.rest, (const guint8 *) path, (guint) path_size);
        int r = search_all(&search, follow, &file, f);
        g_byte_array_unref(search.rest);
        if (r == 0) {
                *ret = file;
                *ret_fs = search.fs;
        }
        return r;
}

int lookup_find(Filesystem *fs, const char *path, size_t path_size, bool follow, LookupFile *ret,
                Fault *f)
{
        Filesystem *on;

        return lookup_find_mounted(fs, NULL, path, path_size, follow, &on, ret, f);
}

int lookup_read(Filesystem *fs, const char *path, size_t max, char **ret_bytes, size_t *ret_size,
                Fault *f)
{
        g_autoptr(Content) content = NULL;
        LookupFile file = {0};

        int r = lookup_find(fs, path, strlen(path), true, &file, f);
        if (r == 0)
                r = lookup_open(fs, &file, &content, f);
        if (r < 0)
                return r;
        uint64_t size = content_size(content);
        if (size > max)
                return fault_set(f, FAULT_DIFF_FAILED,
                                 "'%s' of %s has %" G_GUINT64_FORMAT " bytes; at most %zu are read",
                                 path, fs->name, size, max);
        return content_load(content, ret_bytes, ret_size, f);
}
