/* SPDX-License-Identifier: MIT */
#include "diff/compare.h"

#include "base/cleanup.h"
#include "diff/sameness.h"
#include "diff/suspects.h"

#include <string.h>

/* One of the two sides of a path; absent where the inode is 0. */
typedef struct Side {
        Filesystem *fs;
        uint32_t ino;
        Inode inode;
        Attributes attributes;
} Side;

/* A pair of directories with the same path, half done. `new_entries` may be the same object as
 * `old_entries`: both directories are then known to be equal. */
typedef struct Frame {
        Directory *old_entries, *new_entries;
        unsigned old_next, new_next;
        size_t path_size;
} Frame;

typedef struct Comparison {
        Filesystem *fs[2]; /* old, new */
        Sameness same;
        Suspects *suspects; /* NULL: all are */
        Report *report;
        GArray *frames;
        GByteArray *path;
        GHashTable *visited[2]; /* inode numbers of directories */
        Side old, new;
} Comparison;

static int load_side(Side *side, Fault *f)
{
        int r = filesystem_read_inode(side->fs, side->ino, &side->inode, f);

        if (r < 0)
                return r;
        if (!attributes_from_inode(&side->inode, &side->attributes))
                return filesystem_fault(side->fs, EXT2_ET_BAD_INODE_NUM, "the type", side->ino, f);
        return 0;
}

/* Loads both sides; `*ret_same` where the inodes are the same, byte for byte. */
static int load_sides(Comparison *c, uint32_t old_ino, uint32_t new_ino, bool *ret_same, Fault *f)
{
        int r = 0;

        c->old.ino = old_ino;
        c->new.ino = new_ino;
        *ret_same = false;
        if (new_ino)
                r = load_side(&c->new, f);
        if (r < 0 || !old_ino)
                return r;
        if (old_ino == new_ino && same_inode(&c->same, old_ino)) {
                memcpy(&c->old.inode, &c->new.inode,
                       MAX(c->fs[1]->inode_size, sizeof(c->new.inode.large)));
                c->old.attributes = c->new.attributes;
                *ret_same = true;
                return 0;
        }
        r = load_side(&c->old, f);
        if (r < 0 || !new_ino)
                return r;
        size_t size = c->fs[1]->inode_size;
        *ret_same = c->same.delta && old_ino == new_ino && c->fs[0]->inode_size == size &&
                    memcmp(&c->old.inode, &c->new.inode, size) == 0;
        return r;
}

static bool has_content(const Side *side)
{
        return side->attributes.kind == KIND_FILE || side->attributes.kind == KIND_SYMLINK;
}

static int open_content(const Side *side, Content **ret, Fault *f)
{
        return content_open(side->fs, side->ino, &side->inode, ret, f);
}

/* Content, target or device number; both sides are of one kind. The contents stay open for the
 * report where they had to be. */
static int compare_content(Comparison *c, bool same, Content **old, Content **new, bool *ret_equal,
                           Fault *f)
{
        *ret_equal = c->old.attributes.major == c->new.attributes.major &&
                     c->old.attributes.minor == c->new.attributes.minor;
        if (!has_content(&c->new))
                return 0;
        *ret_equal = c->old.attributes.size == c->new.attributes.size;
        if (!*ret_equal)
                return 0;
        int r = open_content(&c->new, new, f);
        if (r < 0 || (same && content_is_unchanged(*new, c->same.delta)))
                return r;
        r = open_content(&c->old, old, f);
        return r < 0 ? r : content_equal(*old, *new, c->same.delta, ret_equal, f);
}

/* What the report shows of one side, and what must live as long. */
typedef struct Shown {
        FileState state;
        char sha256[SHA256_HEX_SIZE];
        char *target;
        char *content;
} Shown;

static void shown_done(Shown *shown)
{
        g_free(shown->target);
        g_free(shown->content);
}

static int read_target(Content *content, const Side *side, Shown *shown, Fault *f)
{
        uint64_t size = content_size(content);

        if (size > side->fs->block_size)
                return filesystem_fault(side->fs, EXT2_ET_INODE_CORRUPTED, "the size", side->ino,
                                        f);
        shown->target = g_malloc(size + 1);
        shown->state.target = shown->target;
        shown->state.target_size = (size_t) size;
        return content_read(content, 0, shown->target, (size_t) size, f);
}

static int read_shown(Content *content, Shown *shown, Fault *f)
{
        size_t size = (size_t) content_size(content);

        shown->content = g_malloc(size + 1);
        shown->state.content = shown->content;
        shown->state.content_size = size;
        return content_read(content, 0, shown->content, size, f);
}

/* That is said once of a path. */
static void say_too_large(const Comparison *c, const Side *side)
{
        if (side == &c->new || !c->new.ino)
                report_path_not_read(c->report, (const char *) c->path->data, c->path->len,
                                     "it is too large to be hashed: that it differs is all that "
                                     "is known of its content");
}

/* `content` is opened where it was not yet. */
static int show(const Comparison *c, const Side *side, Content **content, const GPtrArray *xattrs,
                bool show_xattrs, Shown *shown, Fault *f)
{
        shown->state = (FileState){
                .attributes = side->attributes,
                .ino = side->ino,
                .xattrs = xattrs,
                .show_xattrs = show_xattrs,
        };
        if (!has_content(side))
                return 0;
        if (!*content) {
                int r = open_content(side, content, f);
                if (r < 0)
                        return r;
        }
        if (side->attributes.kind == KIND_SYMLINK)
                return read_target(*content, side, shown, f);
        if (side->attributes.size > CONTENT_HASHED_MAX) {
                say_too_large(c, side);
                return 0;
        }
        shown->state.sha256 = shown->sha256;
        int r = content_sha256(*content, shown->sha256, f);
        if (r == 0 && report_wants_content(c->report, side->attributes.size))
                r = read_shown(*content, shown, f);
        return r;
}

static void report(Comparison *c, ChangeKind change, const Shown *old, const Shown *new)
{
        report_change(c->report, (const char *) c->path->data, c->path->len, change,
                      old ? &old->state : NULL, new ? &new->state : NULL);
}

static int report_one(Comparison *c, ChangeKind change, const Side *side, Fault *f)
{
        g_autoptr(GPtrArray) xattrs = NULL;
        g_autoptr(Content) content = NULL;
        Shown shown = {0};

        int r = xattrs_read(side->fs, side->ino, &side->inode, &xattrs, f);
        if (r == 0)
                r = show(c, side, &content, xattrs, xattrs != NULL, &shown, f);
        if (r == 0 && change == CHANGE_ADDED)
                report(c, change, NULL, &shown);
        else if (r == 0)
                report(c, change, &shown, NULL);
        shown_done(&shown);
        return r;
}

/* Equal content is hashed once. */
static int report_both(Comparison *c, ChangeKind change, Content **old, Content **new,
                       const GPtrArray *old_xattrs, const GPtrArray *new_xattrs, Fault *f)
{
        bool show_xattrs = !xattrs_equal(old_xattrs, new_xattrs);
        Shown was = {0}, is = {0};

        int r = show(c, &c->new, new, new_xattrs, show_xattrs, &is, f);
        if (r == 0 && change == CHANGE_METADATA) {
                is.state.content = NULL;
                was.state = is.state;
                was.state.attributes = c->old.attributes;
                was.state.ino = c->old.ino;
                was.state.xattrs = old_xattrs;
        } else if (r == 0) {
                r = show(c, &c->old, old, old_xattrs, show_xattrs, &was, f);
        }
        if (r == 0)
                report(c, change, &was, &is);
        shown_done(&was);
        shown_done(&is);
        return r;
}

static int compare_both(Comparison *c, bool same, Fault *f)
{
        g_autoptr(GPtrArray) old_xattrs = NULL, new_xattrs = NULL;
        g_autoptr(Content) old = NULL, new = NULL;
        bool equal = false, is_type = c->old.attributes.kind != c->new.attributes.kind;
        int r = 0;

        if (!is_type)
                r = compare_content(c, same, &old, &new, &equal, f);
        if (r < 0 || (equal && same && same_xattrs(&c->same, &c->new.inode)))
                return r;
        r = xattrs_read(c->old.fs, c->old.ino, &c->old.inode, &old_xattrs, f);
        if (r == 0)
                r = xattrs_read(c->new.fs, c->new.ino, &c->new.inode, &new_xattrs, f);
        if (r < 0)
                return r;
        if (is_type)
                return report_both(c, CHANGE_TYPE, &old, &new, old_xattrs, new_xattrs, f);
        if (!equal)
                return report_both(c, CHANGE_MODIFIED, &old, &new, old_xattrs, new_xattrs, f);
        if (!attributes_equal(&c->old.attributes, &c->new.attributes) ||
            !xattrs_equal(old_xattrs, new_xattrs))
                return report_both(c, CHANGE_METADATA, &old, &new, old_xattrs, new_xattrs, f);
        return 0;
}

static bool is_directory(const Side *side)
{
        return side->ino && side->attributes.kind == KIND_DIRECTORY;
}

static int visit(Comparison *c, unsigned which, uint32_t ino, Fault *f)
{
        if (!g_hash_table_add(c->visited[which], GUINT_TO_POINTER(ino)))
                return filesystem_fault(c->fs[which], EXT2_ET_DIR_CORRUPTED, "a second path", ino,
                                        f);
        return 0;
}

static bool is_suspect(const void *data, uint32_t ino)
{
        return suspects_has(data, ino);
}

/* Equal inodes, and nothing of what they point to may differ: one listing serves both, of the
 * suspects where they are known. */
static int read_shared(Comparison *c, Directory **ret, Fault *f)
{
        g_autoptr(Content) content = NULL;

        *ret = NULL;
        int r = open_content(&c->new, &content, f);
        if (r < 0 || !content_is_unchanged(content, c->same.delta))
                return r;
        return filesystem_search_directory(c->new.fs, c->new.ino, c->suspects ? is_suspect : NULL,
                                           c->suspects, ret, f);
}

static int read_side(Comparison *c, unsigned which, const Side *side, Directory **ret, Fault *f)
{
        if (!is_directory(side))
                return 0;
        if (side->inode.base.i_flags & EXT4_ENCRYPT_FL) {
                if (which == 1 || !is_directory(&c->new))
                        report_path_not_read(c->report, (const char *) c->path->data, c->path->len,
                                             "the directory is encrypted");
                return 0;
        }
        return filesystem_read_directory(side->fs, side->ino, ret, f);
}

/* Goes down into the directory that c->path names, on one side or both. */
static int enter(Comparison *c, bool same, Fault *f)
{
        Frame frame = {.path_size = c->path->len};
        int r = 0;

        if (c->frames->len >= COMPARE_DEPTH_MAX)
                return fault_set(f, FAULT_DIFF_FAILED, "directories are nested deeper than %d",
                                 COMPARE_DEPTH_MAX);
        if (is_directory(&c->old))
                r = visit(c, 0, c->old.ino, f);
        if (r == 0 && is_directory(&c->new))
                r = visit(c, 1, c->new.ino, f);
        bool encrypted = c->new.inode.base.i_flags &EXT4_ENCRYPT_FL;
        if (r == 0 && same && !encrypted)
                r = read_shared(c, &frame.old_entries, f);
        if (r == 0 && frame.old_entries) {
                frame.new_entries = frame.old_entries;
        } else {
                if (r == 0)
                        r = read_side(c, 0, &c->old, &frame.old_entries, f);
                if (r == 0)
                        r = read_side(c, 1, &c->new, &frame.new_entries, f);
        }
        if (r == 0) {
                g_array_append_val(c->frames, frame);
                return 0;
        }
        if (frame.new_entries != frame.old_entries)
                (void) directory_free(frame.new_entries);
        (void) directory_free(frame.old_entries);
        return r;
}

static void leave(Comparison *c)
{
        Frame *frame = &g_array_index(c->frames, Frame, c->frames->len - 1);

        if (frame->new_entries != frame->old_entries)
                (void) directory_free(frame->new_entries);
        (void) directory_free(frame->old_entries);
        g_array_set_size(c->frames, c->frames->len - 1);
}

/* c->path and the inodes of one entry: reports it, and goes down where it is a directory. */
static int compare_entry(Comparison *c, uint32_t old_ino, uint32_t new_ino, Fault *f)
{
        bool same = false;

        if (old_ino == new_ino &&
            (c->suspects ? !suspects_has(c->suspects, old_ino) : same_file(&c->same, old_ino)))
                return 0;
        int r = load_sides(c, old_ino, new_ino, &same, f);
        if (r < 0)
                return r;
        if (!old_ino)
                r = report_one(c, CHANGE_ADDED, &c->new, f);
        else if (!new_ino)
                r = report_one(c, CHANGE_REMOVED, &c->old, f);
        else
                r = compare_both(c, same, f);
        if (r == 0 && (is_directory(&c->old) || is_directory(&c->new)))
                r = enter(c, same, f);
        return r;
}

/* The next name of the two sorted lists, and its inode on each side; false at their end. */
static bool next_name(Frame *frame, const char **ret_name, size_t *ret_size, uint32_t *ret_old,
                      uint32_t *ret_new)
{
        const Entry *a =
                frame->old_entries ? directory_entry(frame->old_entries, frame->old_next) : NULL;
        const Entry *b =
                frame->new_entries ? directory_entry(frame->new_entries, frame->new_next) : NULL;
        int order = a ? -1 : 1;

        if (!a && !b)
                return false;
        if (a && b) {
                order = memcmp(directory_name(frame->old_entries, a),
                               directory_name(frame->new_entries, b),
                               MIN(a->name_length, b->name_length));
                if (order == 0)
                        order = (int) a->name_length - (int) b->name_length;
        }
        *ret_name = order <= 0 ? directory_name(frame->old_entries, a)
                               : directory_name(frame->new_entries, b);
        *ret_size = order <= 0 ? a->name_length : b->name_length;
        *ret_old = order <= 0 ? a->inode : 0;
        *ret_new = order >= 0 ? b->inode : 0;
        frame->old_next += order <= 0;
        frame->new_next += order >= 0;
        return true;
}

static int walk(Comparison *c, Fault *f)
{
        g_byte_array_append(c->path, (const guint8 *) "/", 1);
        int r = compare_entry(c, c->fs[0] ? EXT2_ROOT_INO : 0, c->fs[1] ? EXT2_ROOT_INO : 0, f);
        if (r == 0 && c->frames->len == 0)
                r = fault_set(f, FAULT_DIFF_FAILED, "the root of a file system is no directory");
        /* The root's own path is "/", that of its entries begins with it. */
        if (r == 0)
                g_array_index(c->frames, Frame, 0).path_size = 0;
        while (r == 0 && c->frames->len > 0) {
                Frame *frame = &g_array_index(c->frames, Frame, c->frames->len - 1);
                uint32_t old_ino, new_ino;
                const char *name;
                size_t size;

                if (!next_name(frame, &name, &size, &old_ino, &new_ino)) {
                        leave(c);
                        continue;
                }
                g_byte_array_set_size(c->path, (guint) frame->path_size);
                g_byte_array_append(c->path, (const guint8 *) "/", 1);
                g_byte_array_append(c->path, (const guint8 *) name, (guint) size);
                r = compare_entry(c, old_ino, new_ino, f);
        }
        while (c->frames->len > 0)
                leave(c);
        return r;
}

/* A walk goes through all inodes and directories, what is known goes to few of them. */
static Suspects *find_suspects(Filesystem *old, Filesystem *new, const Delta *delta)
{
        view_set_read_ahead(old->view, false);
        view_set_read_ahead(new->view, false);
        Suspects *suspects = suspects_find(old, new, delta);
        if (!suspects) {
                view_set_read_ahead(old->view, true);
                view_set_read_ahead(new->view, true);
        }
        return suspects;
}

int compare_filesystems(Filesystem *old, Filesystem *new, const Delta *delta, CompareMode mode,
                        Report *out, Fault *f)
{
        g_autoptr(Suspects) suspects = NULL;
        g_autofree Comparison *c = g_new0(Comparison, 1);

        c->fs[0] = c->old.fs = old;
        c->fs[1] = c->new.fs = new;
        c->same = sameness_of(old, new, delta);
        if (mode == COMPARE_CHANGED && old && new &&delta)
                suspects = find_suspects(old, new, delta);
        c->suspects = suspects;
        c->report = out;
        c->frames = g_array_new(FALSE, FALSE, sizeof(Frame));
        c->path = g_byte_array_new();
        for (unsigned i = 0; i < 2; i++)
                c->visited[i] = g_hash_table_new(g_direct_hash, g_direct_equal);
        int r = walk(c, f);
        for (unsigned i = 0; i < 2; i++)
                g_hash_table_unref(c->visited[i]);
        g_byte_array_unref(c->path);
        g_array_unref(c->frames);
        return r;
}
