/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/tree.h"

#include "base/cleanup.h"
#include "base/name.h"

#include <stdlib.h>

typedef struct Tree {
        Json *snapshots;
        size_t n;
        bool *is_drawn;
        void (*each)(const char *prefix, Json *snapshot, void *userdata);
        void *userdata;
} Tree;

static const char *text_of(Json *snapshot, const char *key)
{
        const char *text = "";

        (void) json_find_string(snapshot, key, &text);
        return text;
}

static Json *snapshot_at(const Tree *t, size_t i)
{
        return json_object_array_get_idx(t->snapshots, i);
}

static bool has_parent(const Tree *t, size_t i)
{
        const char *parent = text_of(snapshot_at(t, i), "parent");

        for (size_t j = 0; j < t->n; j++)
                if (g_str_equal(text_of(snapshot_at(t, j), "name"), parent))
                        return true;
        return false;
}

/* Whether the snapshot is drawn below `parent`; NULL: the template. */
static bool stands_on(const Tree *t, size_t i, const char *parent)
{
        if (t->is_drawn[i])
                return false;
        return parent ? g_str_equal(text_of(snapshot_at(t, i), "parent"), parent)
                      : !has_parent(t, i);
}

static bool is_last(const Tree *t, size_t i, const char *parent)
{
        for (size_t j = i + 1; j < t->n; j++)
                if (stands_on(t, j, parent))
                        return false;
        return true;
}

static void draw_below(Tree *t, const char *parent, const char *prefix);

static void draw(Tree *t, size_t i, const char *prefix, bool last)
{
        Json *snapshot = snapshot_at(t, i);
        g_autofree char *own = g_strconcat(prefix, last ? "└─ " : "├─ ", NULL);
        g_autofree char *below = g_strconcat(prefix, last ? "   " : "│  ", NULL);

        t->is_drawn[i] = true;
        t->each(own, snapshot, t->userdata);
        draw_below(t, text_of(snapshot, "name"), below);
}

/* As deep as a sandbox has snapshots, which the host bounds. */
static void draw_below(Tree *t, const char *parent, const char *prefix)
{
        for (size_t i = 0; i < t->n; i++)
                if (stands_on(t, i, parent))
                        draw(t, i, prefix, is_last(t, i, parent));
}

void tree_draw(Json *snapshots, void (*each)(const char *prefix, Json *snapshot, void *userdata),
               void *userdata)
{
        size_t n = json_object_array_length(snapshots);
        g_autofree bool *is_drawn = g_new0(bool, n + 1);
        Tree t = {snapshots, n, is_drawn, each, userdata};

        draw_below(&t, NULL, "");
        for (size_t i = 0; i < n; i++)
                if (!is_drawn[i])
                        draw(&t, i, "", true);
}
