/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/diff-tree.h"

#include "base/cleanup.h"
#include "base/escape.h"
#include "dbus/ctl/print.h"

#include <stdio.h>
#include <string.h>

/* What the first pass finds out, in the order in which directories are met. */
typedef struct Directory {
        uint32_t counts[_CHANGE_MAX]; /* of all below it, and of itself */
        uint32_t n_entries, n_directories;
        uint32_t n_lines; /* that it takes to show all below it, where nothing else is folded */
        bool has_own, is_folded; /* a change of its own */
} Directory;

/* A directory that the walk is in. */
typedef struct Level {
        size_t end; /* of its path, in `path` */
        guint directory;
        bool is_root, is_chain, is_folded;
        uint32_t n_left;  /* entries that are not drawn yet */
        size_t guide_end; /* what stands before its entries */
} Level;

struct DiffTree {
        Digest *digest;
        bool all, is_drawing;
        unsigned base_depth;
        uint64_t n_changes;

        GArray *directories; /* of Directory */
        guint next;          /* the one that is met next, when drawing */
        GString *path;       /* of the innermost level */
        GArray *levels;      /* of Level; none before the first change of a file system */
        uint64_t filesystem;
        GString *guide, *chain;
};

static Level *level_at(const DiffTree *t, guint i)
{
        return &g_array_index(t->levels, Level, i);
}

static Level *innermost(const DiffTree *t)
{
        return level_at(t, t->levels->len - 1);
}

static Directory *directory_of(const DiffTree *t, const Level *level)
{
        return &g_array_index(t->directories, Directory, level->directory);
}

/* The level whose line stands above the next one. */
static Level *nearest_drawn(const DiffTree *t)
{
        guint i = t->levels->len - 1;

        while (level_at(t, i)->is_chain)
                i--;
        return level_at(t, i);
}

/* -- the first pass ---------------------------------------------------------------------------- */

static void count(DiffTree *t, ChangeKind kind)
{
        for (guint i = 0; i < t->levels->len; i++)
                directory_of(t, level_at(t, i))->counts[kind]++;
}

static bool is_too_much(const DiffTree *t, const Directory *d, unsigned depth)
{
        if (t->all || depth <= t->base_depth)
                return false;
        return d->n_entries > DIFF_TREE_ENTRIES_MAX ||
               (depth > t->base_depth + 1 && d->n_lines > DIFF_TREE_LINES_MAX);
}

/* What is below a directory that is folded is forgotten. */
static void plan_leave(DiffTree *t)
{
        guint i = innermost(t)->directory;
        Directory *d = &g_array_index(t->directories, Directory, i);

        if (is_too_much(t, d, t->levels->len - 1)) {
                d->is_folded = true;
                d->n_lines = 0;
                g_array_set_size(t->directories, i + 1);
        }
        if (t->levels->len > 1)
                directory_of(t, level_at(t, t->levels->len - 2))->n_lines += d->n_lines + 1;
}

static void plan_enter(DiffTree *t, Level *level, const Change *own)
{
        const Directory fresh = {.has_own = own != NULL};

        if (!level->is_root) {
                Directory *above = directory_of(t, innermost(t));
                above->n_entries++;
                above->n_directories++;
        }
        level->directory = t->directories->len;
        g_array_append_val(t->directories, fresh);
}

/* -- the second pass --------------------------------------------------------------------------- */

static void print_tag(const DiffTree *t, const Change *c)
{
        Json *mark = digest_mark(t->digest, c->index), *element;

        if (mark) {
                bool warns = g_str_equal(json_text(mark, "severity"), "warning");
                colour_print(warns ? COLOUR_WARNING : COLOUR_NOTICE, "  ! %s",
                             json_text(mark, "kind"));
        }
        switch (digest_fold(t->digest, c->index, &element)) {
        case FOLD_NONE:
                break;
        case FOLD_PACKAGE:
                colour_print(COLOUR_DIM, "  (%s)",
                             element ? json_text(element, "name") : "package");
                break;
        case FOLD_NOISE:
                colour_print(COLOUR_DIM, "  (noise%s%s)", element ? ": " : "",
                             element ? json_text(element, "rule") : "");
                break;
        }
}

static void print_counts(const Directory *d, const Change *own)
{
        Counts counts = {0};

        for (unsigned i = 0; i < _CHANGE_MAX; i++)
                counts.by_kind[i] = d->counts[i];
        if (own)
                counts.by_kind[own->kind]--;
        g_autofree char *text = counts_format(&counts);
        if (*text)
                colour_print(COLOUR_DIM, "  %s%s", text, d->is_folded ? " (folded)" : "");
}

/* Begins the line of an entry of the innermost level, and says what stands before its entries. */
static size_t begin_line(DiffTree *t, const Change *own)
{
        Level *above = nearest_drawn(t);
        bool is_last = above->n_left <= 1;

        above->n_left -= above->n_left > 0;
        g_string_truncate(t->guide, above->guide_end);
        fputs(t->guide->str, stdout);
        if (!above->is_root) {
                fputs(is_last ? "└─ " : "├─ ", stdout);
                g_string_append(t->guide, is_last ? "   " : "│  ");
        }
        if (own) {
                const ChangeInfo *info = change_infos + own->kind;
                colour_print(info->colour, "%s ", info->letter);
        }
        if (above->is_root)
                putchar('/');
        return t->guide->len;
}

static void print_name(DiffTree *t, const char *name, size_t size, bool is_directory)
{
        g_autofree char *text = escape_print(name, size);

        if (is_directory)
                colour_print(COLOUR_PLACE, "%s%s/", t->chain->str, text);
        else
                colour_print(COLOUR_TITLE, "%s%s", t->chain->str, text);
        g_string_truncate(t->chain, 0);
}

static void print_entry(DiffTree *t, const Change *c, const char *name, size_t size)
{
        g_autofree char *words = change_describe(c);

        (void) begin_line(t, c);
        print_name(t, name, size, false);
        if (*words)
                colour_print(COLOUR_DIM, "  %s", words);
        print_tag(t, c);
        putchar('\n');
}

static void print_directory(DiffTree *t, const Directory *d, const Change *own, const char *name,
                            size_t size)
{
        print_name(t, name, size, true);
        if (own) {
                g_autofree char *words = change_describe(own);
                if (*words)
                        colour_print(COLOUR_DIM, "  %s", words);
        }
        print_counts(d, own);
        if (own)
                print_tag(t, own);
        putchar('\n');
}

/* A directory that leads to one other only is drawn with that. */
static bool is_chain(const Directory *d)
{
        return !d->has_own && !d->is_folded && d->n_entries == 1 && d->n_directories == 1;
}

static void draw_enter(DiffTree *t, Level *level, const Change *own, const char *name, size_t size)
{
        level->directory = MIN(t->next, t->directories->len - 1);
        t->next++;
        const Directory *d = directory_of(t, level);
        level->n_left = d->n_entries;
        level->is_folded = d->is_folded;
        if (level->is_root)
                return;
        level->is_chain = is_chain(d);
        if (level->is_chain) {
                g_autofree char *text = escape_print(name, size);
                g_string_append_printf(t->chain, "%s/", text);
                return;
        }
        level->guide_end = begin_line(t, own);
        print_directory(t, d, own, name, size);
}

/* The root itself has no line unless it has changed. */
static void draw_root_change(DiffTree *t, const Change *c)
{
        g_autofree char *words = change_describe(c);

        colour_print(change_infos[c->kind].colour, "%s ", change_infos[c->kind].letter);
        colour_print(COLOUR_PLACE, "/");
        colour_print(COLOUR_DIM, "  %s", words);
        print_tag(t, c);
        putchar('\n');
}

/* -- the walk, the same in both ---------------------------------------------------------------- */

static void enter(DiffTree *t, const Change *c, size_t end, const Change *own)
{
        Level level = {.end = end, .is_root = t->levels->len == 0};
        size_t begin = level.is_root ? 0 : innermost(t)->end + 1;

        if (t->is_drawing)
                draw_enter(t, &level, own, c->path + begin, end - MIN(begin, end));
        else
                plan_enter(t, &level, own);
        g_array_append_val(t->levels, level);
        g_string_truncate(t->path, 0);
        g_string_append_len(t->path, c->path, (gssize) end);
}

static void leave(DiffTree *t)
{
        if (!t->is_drawing)
                plan_leave(t);
        g_array_set_size(t->levels, t->levels->len - 1);
        if (t->levels->len > 0)
                g_string_truncate(t->path, innermost(t)->end);
}

static bool is_below(const DiffTree *t, const Level *level, const Change *c)
{
        return c->path_size > level->end && c->path[level->end] == '/' &&
               memcmp(t->path->str, c->path, level->end) == 0;
}

static void leave_all(DiffTree *t)
{
        while (t->levels->len > 0)
                leave(t);
}

static void print_filesystem(const DiffTree *t)
{
        Json *fs = json_object_array_get_idx(t->digest->sections[SECTION_FILESYSTEMS].elements,
                                             t->filesystem);

        if (t->filesystem == 0 || !fs)
                return;
        g_autofree char *name = filesystem_format(fs);
        colour_print(COLOUR_TITLE, "On %s", name);
        putchar('\n');
}

/* To the directory that the change is in. False where that is folded. */
static bool go_to(DiffTree *t, const Change *c)
{
        if (t->levels->len > 0 && c->filesystem != t->filesystem)
                leave_all(t);
        if (t->levels->len == 0) {
                t->filesystem = c->filesystem;
                if (t->is_drawing)
                        print_filesystem(t);
                enter(t, c, 0, NULL);
        }
        while (t->levels->len > 1 && !is_below(t, innermost(t), c))
                leave(t);
        while (!innermost(t)->is_folded) {
                size_t begin = innermost(t)->end + 1;
                const char *slash = begin < c->path_size
                                            ? memchr(c->path + begin, '/', c->path_size - begin)
                                            : NULL;
                if (!slash)
                        return true;
                enter(t, c, (size_t) (slash - c->path), NULL);
        }
        return false;
}

static void visit(DiffTree *t, const Change *c)
{
        size_t begin = innermost(t)->end + 1;

        if (begin >= c->path_size) { /* "/" */
                if (t->is_drawing)
                        draw_root_change(t, c);
                else
                        count(t, c->kind);
                return;
        }
        if (c->is_directory)
                enter(t, c, c->path_size, c);
        if (!t->is_drawing) {
                count(t, c->kind);
                if (!c->is_directory) {
                        directory_of(t, innermost(t))->n_entries++;
                        directory_of(t, innermost(t))->n_lines++;
                }
        } else if (!c->is_directory) {
                print_entry(t, c, c->path + begin, c->path_size - begin);
        }
}

static int on_change(const Change *c, void *userdata, Fault *f)
{
        DiffTree *t = userdata;

        (void) f;
        if (!t->is_drawing)
                digest_keep_path(t->digest, c);
        if (!t->all && digest_fold(t->digest, c->index, NULL) != FOLD_NONE)
                return 0;
        t->n_changes += !t->is_drawing;
        if (go_to(t, c))
                visit(t, c);
        return t->is_drawing && pager_is_gone() ? DOCUMENT_STOP : 0;
}

/* A change that is not shown is not even parsed, unless its path is asked for. */
static bool wants(uint64_t index, void *userdata)
{
        const DiffTree *t = userdata;

        return t->all || digest_fold(t->digest, index, NULL) == FOLD_NONE ||
               (!t->is_drawing && g_hash_table_contains(t->digest->paths, &index));
}

static int walk(DiffTree *t, int fd, Fault *f)
{
        int r = change_each(fd, wants, on_change, t, f);

        leave_all(t);
        return r;
}

static unsigned depth_of(const char *base)
{
        unsigned depth = 0;

        for (const char *p = base; p && *p; p++)
                depth += *p == '/' && p[1] != '\0' && p[1] != '/';
        return depth;
}

DiffTree *diff_tree_new(int fd, Digest *digest, bool all, const char *base, Fault *f)
{
        g_autoptr(DiffTree) t = g_new0(DiffTree, 1);

        t->digest = digest;
        t->all = all;
        t->base_depth = depth_of(base);
        t->directories = g_array_new(FALSE, FALSE, sizeof(Directory));
        t->levels = g_array_new(FALSE, FALSE, sizeof(Level));
        t->path = g_string_new(NULL);
        t->guide = g_string_new(NULL);
        t->chain = g_string_new(NULL);
        return walk(t, fd, f) < 0 ? NULL : TAKE_PTR(t);
}

DiffTree *diff_tree_free(DiffTree *t)
{
        if (!t)
                return NULL;
        g_array_free(t->directories, TRUE);
        g_array_free(t->levels, TRUE);
        g_string_free(t->path, TRUE);
        g_string_free(t->guide, TRUE);
        g_string_free(t->chain, TRUE);
        g_free(t);
        return NULL;
}

uint64_t diff_tree_n_changes(const DiffTree *t)
{
        return t->n_changes;
}

int diff_tree_print(DiffTree *t, int fd, Fault *f)
{
        t->is_drawing = true;
        t->next = 0;
        return walk(t, fd, f);
}
