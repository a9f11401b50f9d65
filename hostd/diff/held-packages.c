/* SPDX-License-Identifier: MIT */
#include "diff/held-packages.h"

#include "base/cleanup.h"

#include <string.h>

#define STATUS_SIZE_MAX (32u << 20)
#define NAME_SIZE_MAX   128

static bool is_name(const char *name)
{
        size_t n = strspn(name, G_CSET_a_2_z G_CSET_DIGITS "+-.");

        return n > 0 && n <= NAME_SIZE_MAX && name[n] == '\0' && g_ascii_isalnum(name[0]);
}

/* Stanzas of "Package: NAME" and "Status: hold ok installed". */
GHashTable *held_packages_read(const PlaybookSource *source, bool of_new)
{
        GHashTable *held = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autofree char *text = NULL;
        const char *name = NULL;
        size_t size;

        if (source->read(source->data, of_new, "/var/lib/dpkg/status", STATUS_SIZE_MAX, &text,
                         &size, NULL) < 0)
                return held;
        for (char *line = text, *next; line && *line; line = next) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                if (*line == '\0')
                        name = NULL;
                else if (g_str_has_prefix(line, "Package: "))
                        name = line + strlen("Package: ");
                else if (name && is_name(name) && g_str_has_prefix(line, "Status: hold ok "))
                        (void) g_hash_table_add(held, g_strdup(name));
        }
        return held;
}

static int compare(gconstpointer a, gconstpointer b)
{
        return strcmp(*(char *const *) a, *(char *const *) b);
}

GPtrArray *held_packages_added(GHashTable *a, GHashTable *b)
{
        GPtrArray *names = g_ptr_array_new();
        GHashTableIter iter;
        gpointer name;

        g_hash_table_iter_init(&iter, b);
        while (g_hash_table_iter_next(&iter, &name, NULL))
                if (!g_hash_table_contains(a, name))
                        g_ptr_array_add(names, name);
        g_ptr_array_sort(names, compare);
        return names;
}
