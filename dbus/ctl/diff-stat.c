/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/diff-stat.h"

#include "base/cleanup.h"
#include "base/escape.h"
#include "dbus/ctl/print.h"

#include <inttypes.h>
#include <string.h>

typedef struct Stat {
        size_t base_size; /* of the path above the level, without a slash at its end */
        Counts total;
        GTree *directories; /* "/etc" to its Counts */
} Stat;

/* The path up to the component that is below the base. */
static char *directory_of(const Stat *s, const Change *c)
{
        size_t end = MIN(s->base_size, c->path_size);

        if (end < c->path_size && c->path[end] == '/')
                end++;
        while (end < c->path_size && c->path[end] != '/')
                end++;
        return g_strndup(c->path, end);
}

static int on_change(const Change *c, void *userdata, Fault *f)
{
        Stat *s = userdata;
        g_autofree char *directory = directory_of(s, c);
        Counts *counts = g_tree_lookup(s->directories, directory);

        (void) f;
        if (!counts) {
                counts = g_new0(Counts, 1);
                g_tree_insert(s->directories, TAKE_PTR(directory), counts);
        }
        counts->by_kind[c->kind]++;
        s->total.by_kind[c->kind]++;
        return 0;
}

static gboolean add_row(gpointer key, gpointer value, gpointer table)
{
        const Counts *counts = value;
        char cells[CHANGE_UNKNOWN][24];

        for (int i = 0; i < CHANGE_UNKNOWN; i++)
                g_snprintf(cells[i], sizeof cells[i], "%" PRIu64, counts->by_kind[i]);
        table_add(table, cells[0], cells[1], cells[2], cells[3], cells[4], key, NULL);
        return FALSE;
}

static void print_text(const Stat *s)
{
        g_autoptr(Table) table =
                table_new("ADDED", "REMOVED", "MODIFIED", "METADATA", "TYPE", "DIRECTORY", NULL);
        g_autofree char *counts = counts_format(&s->total);

        if (*counts) {
                g_tree_foreach(s->directories, add_row, table);
                table_print(table);
        }
        print_line("%s", *counts ? counts : "no differences");
}

static gboolean add_member(gpointer key, gpointer value, gpointer directories)
{
        g_autofree char *name = escape_print(key, strlen(key));

        (void) json_object_object_add(directories, name, counts_to_json(value));
        return FALSE;
}

static void print_object(const Stat *s)
{
        g_autoptr(Json) object = counts_to_json(&s->total);
        Json *directories = json_object_new_object();

        g_tree_foreach(s->directories, add_member, directories);
        (void) json_object_object_add(object, "directories", directories);
        print_json(object);
}

static int compare(gconstpointer a, gconstpointer b, gpointer userdata)
{
        (void) userdata;
        return strcmp(a, b);
}

int diff_stat_print(int fd, const char *base, bool json, Fault *f)
{
        Stat s = {.base_size = base && !g_str_equal(base, "/") ? strlen(base) : 0};

        s.directories = g_tree_new_full(compare, NULL, g_free, g_free);
        int r = change_each(fd, NULL, on_change, &s, f);
        if (r >= 0 && json)
                print_object(&s);
        else if (r >= 0)
                print_text(&s);
        g_tree_destroy(s.directories);
        return r;
}
