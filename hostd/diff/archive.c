/* SPDX-License-Identifier: MIT */
#include "diff/archive.h"

#include "base/cleanup.h"
#include "diff/pax.h"

#include <string.h>

#define CHUNK 131072

static int check_path(const char *path, Fault *f)
{
        return path[0] == '/'
                       ? 0
                       : fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' is not an absolute path", path);
}

static int write_content(Output *output, Content *content, Fault *f)
{
        uint64_t size = content_size(content);
        g_autofree uint8_t *buffer = g_malloc(CHUNK);

        int r = output_reserve(output, size, f);
        for (uint64_t at = 0; r == 0 && at < size;) {
                size_t n = (size_t) MIN(size - at, CHUNK);

                r = content_read(content, at, buffer, n, f);
                if (r == 0)
                        r = output_write(output, buffer, n, f);
                at += n;
        }
        return r;
}

int archive_write_content(const Tree *tree, const char *path, Output *output, Fault *f)
{
        g_autoptr(Content) content = NULL;
        Filesystem *fs = NULL;
        LookupFile file;

        int r = check_path(path, f);
        if (r == 0)
                r = tree_find(tree, path, true, &fs, &file, f);
        if (r < 0)
                return r;
        if (file.attributes.kind != KIND_FILE)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' of %s is a %s, not a file", path,
                                 fs->name, file_kind_to_string(file.attributes.kind));
        r = lookup_open(fs, &file, &content, f);
        if (r == 0)
                r = write_content(output, content, f);
        return r < 0 ? r : output_end(output, f);
}

/* A directory, half done. */
typedef struct Frame {
        Filesystem *fs;
        Directory *entries;
        unsigned next;
        size_t name_size; /* with its '/' */
} Frame;

/* Identifies an inode among all file systems. */
typedef struct FileId {
        const Filesystem *fs;
        uint32_t ino;
} FileId;

typedef struct Archive {
        const Tree *tree;
        Output *output;
        GArray *frames;
        GByteArray *name;
        GHashTable *directories; /* of FileId: those that were entered */
        GHashTable *links;       /* FileId to GBytes: the name that it is in the archive by */
} Archive;

static guint hash_id(gconstpointer key)
{
        const FileId *id = key;

        return g_direct_hash(id->fs) ^ id->ino * 2654435761U;
}

static gboolean equal_id(gconstpointer a, gconstpointer b)
{
        const FileId *x = a, *y = b;

        return x->fs == y->fs && x->ino == y->ino;
}

static void free_bytes(gpointer bytes)
{
        g_bytes_unref(bytes);
}

static FileId *new_id(const Filesystem *fs, uint32_t ino)
{
        FileId *id = g_new(FileId, 1);

        *id = (FileId){fs, ino};
        return id;
}

/* The name of the first link to this file, or NULL; this one is then the first. */
static GBytes *find_link(const Archive *archive, Filesystem *fs, const LookupFile *file)
{
        const FileId id = {fs, file->ino};

        if (file->attributes.kind == KIND_DIRECTORY || file->inode.base.i_links_count < 2)
                return NULL;
        GBytes *first = g_hash_table_lookup(archive->links, &id);
        if (!first)
                (void) g_hash_table_insert(archive->links, new_id(fs, file->ino),
                                           g_bytes_new(archive->name->data, archive->name->len));
        return first;
}

static int write_link(const Archive *archive, PaxMember *member, GBytes *first, Fault *f)
{
        member->target = g_bytes_get_data(first, &member->target_size);
        member->is_hard_link = true;
        return pax_write_header(archive->output, member, f);
}

static int write_symlink(const Archive *archive, Filesystem *fs, const LookupFile *file,
                         PaxMember *member, Fault *f)
{
        g_autoptr(Content) content = NULL;
        g_autofree char *target = NULL;

        int r = lookup_open(fs, file, &content, f);
        if (r < 0)
                return r;
        uint64_t size = content_size(content);
        if (size > LOOKUP_PATH_MAX)
                return filesystem_fault(fs, EXT2_ET_INODE_CORRUPTED, "the target", file->ino, f);
        target = g_malloc((size_t) size + 1);
        r = content_read(content, 0, target, (size_t) size, f);
        member->target = target;
        member->target_size = (size_t) size;
        return r < 0 ? r : pax_write_header(archive->output, member, f);
}

static int write_file(const Archive *archive, Filesystem *fs, const LookupFile *file,
                      const PaxMember *member, Fault *f)
{
        g_autoptr(Content) content = NULL;

        int r = lookup_open(fs, file, &content, f);
        if (r == 0)
                r = output_reserve(archive->output, content_size(content), f);
        if (r == 0)
                r = pax_write_header(archive->output, member, f);
        if (r == 0)
                r = write_content(archive->output, content, f);
        return r < 0 ? r : pax_write_padding(archive->output, f);
}

static int write_member(const Archive *archive, Filesystem *fs, const LookupFile *file, Fault *f)
{
        g_autoptr(GPtrArray) xattrs = NULL;
        PaxMember member = {
                .name = (const char *) archive->name->data,
                .name_size = archive->name->len,
                .attributes = &file->attributes,
        };
        GBytes *first;

        if (file->attributes.kind == KIND_SOCKET)
                return 0;
        first = find_link(archive, fs, file);
        if (first)
                return write_link(archive, &member, first, f);
        int r = xattrs_read(fs, file->ino, &file->inode, &xattrs, f);
        if (r < 0)
                return r;
        member.xattrs = xattrs;
        if (file->attributes.kind == KIND_SYMLINK)
                return write_symlink(archive, fs, file, &member, f);
        if (file->attributes.kind == KIND_FILE)
                return write_file(archive, fs, file, &member, f);
        return pax_write_header(archive->output, &member, f);
}

static int enter(const Archive *archive, Filesystem *fs, const LookupFile *file, Fault *f)
{
        Frame frame = {.fs = fs, .name_size = archive->name->len};

        if (archive->frames->len >= ARCHIVE_DEPTH_MAX)
                return fault_set(f, FAULT_DIFF_FAILED, "directories are nested deeper than %d",
                                 ARCHIVE_DEPTH_MAX);
        if (file->inode.base.i_flags & EXT4_ENCRYPT_FL)
                return fault_set(f, FAULT_DIFF_FAILED, "the directory '%.*s' is encrypted",
                                 (int) MIN(archive->name->len, FAULT_MESSAGE_MAX),
                                 (const char *) archive->name->data);
        if (!g_hash_table_add(archive->directories, new_id(fs, file->ino)))
                return filesystem_fault(fs, EXT2_ET_DIR_CORRUPTED, "a second path", file->ino, f);
        int r = filesystem_read_directory(fs, file->ino, &frame.entries, f);
        if (r == 0)
                g_array_append_val(archive->frames, frame);
        return r;
}

/* The file that archive->name names; its attributes are those of what is mounted on it. */
static int add(const Archive *archive, Filesystem *fs, uint32_t ino, Fault *f)
{
        LookupFile file;

        for (Filesystem *on; (on = lookup_mounted_on(archive->tree->mounts, fs, ino)) != NULL;) {
                fs = on;
                ino = EXT2_ROOT_INO;
        }
        int r = lookup_inode(fs, ino, &file, f);
        if (r < 0)
                return r;
        bool is_directory = file.attributes.kind == KIND_DIRECTORY;
        if (is_directory)
                g_byte_array_append(archive->name, (const guint8 *) "/", 1);
        r = write_member(archive, fs, &file, f);
        return r < 0 || !is_directory ? r : enter(archive, fs, &file, f);
}

static int walk(const Archive *archive, Fault *f)
{
        int r = 0;

        while (r == 0 && archive->frames->len > 0) {
                Frame *frame = &g_array_index(archive->frames, Frame, archive->frames->len - 1);
                const Entry *entry = directory_entry(frame->entries, frame->next++);

                if (!entry) {
                        (void) directory_free(frame->entries);
                        g_array_set_size(archive->frames, archive->frames->len - 1);
                        continue;
                }
                g_byte_array_set_size(archive->name, (guint) frame->name_size);
                g_byte_array_append(archive->name,
                                    (const guint8 *) directory_name(frame->entries, entry),
                                    entry->name_length);
                r = add(archive, frame->fs, entry->inode, f);
        }
        for (unsigned i = 0; i < archive->frames->len; i++)
                (void) directory_free(g_array_index(archive->frames, Frame, i).entries);
        return r;
}

/* The last component that names something; "." where none does. */
static void set_first_name(GByteArray *name, const char *path)
{
        size_t end = strlen(path), start;

        while (end > 0 && path[end - 1] == '/')
                end--;
        for (start = end; start > 0 && path[start - 1] != '/';)
                start--;
        g_autofree char *last = g_strndup(path + start, end - start);
        bool is_name = *last && strcmp(last, "..") != 0;
        g_byte_array_append(name, (const guint8 *) (is_name ? last : "."),
                            (guint) (is_name ? end - start : 1));
}

int archive_write(const Tree *tree, const char *path, Output *output, Fault *f)
{
        Archive archive = {.tree = tree, .output = output};
        Filesystem *fs = NULL;
        LookupFile file;

        int r = check_path(path, f);
        if (r == 0)
                r = tree_find(tree, path, g_str_has_suffix(path, "/"), &fs, &file, f);
        if (r < 0)
                return r;
        if (file.attributes.kind == KIND_SOCKET)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' of %s is a socket", path,
                                 fs->name);
        archive.frames = g_array_new(FALSE, FALSE, sizeof(Frame));
        archive.name = g_byte_array_new();
        archive.directories = g_hash_table_new_full(hash_id, equal_id, g_free, NULL);
        archive.links = g_hash_table_new_full(hash_id, equal_id, g_free, free_bytes);
        set_first_name(archive.name, path);
        r = add(&archive, fs, file.ino, f);
        if (r == 0)
                r = walk(&archive, f);
        if (r == 0)
                r = pax_write_end(output, f);
        if (r == 0)
                r = output_end(output, f);
        g_hash_table_unref(archive.links);
        g_hash_table_unref(archive.directories);
        g_byte_array_unref(archive.name);
        g_array_unref(archive.frames);
        return r;
}
