/* SPDX-License-Identifier: MIT */
#include "diff/defer.h"

#include "base/cleanup.h"
#include "diff/tree.h"

#include <string.h>

static int open_storage(const char *name, Chain *const *chains, const Arguments *arguments,
                        Storage **ret, Fault *f)
{
        const char *names[DISKS_MAX];

        for (unsigned i = 0; i < arguments->new.n; i++)
                names[i] = arguments->new.list[i].name;
        return storage_new(name, chains, names, arguments->new.n, ret, f);
}

static int find_in_pairs(const Arguments *arguments, Chain *const *old_chains,
                         Chain *const *new_chains, const Storage *new, GArray **ret,
                         char **ret_text, Fault *f)
{
        g_autoptr(Storage) old = NULL;
        Delta *deltas[DISKS_MAX] = {NULL};

        int r = open_storage(arguments->from, old_chains, arguments, &old, f);
        if (r < 0)
                return r;
        /* Mostly: then nothing else is looked at. */
        if (!foreign_is_in(old) && !foreign_is_in(new)) {
                *ret = g_array_new(FALSE, FALSE, sizeof(ForeignPlace));
                return 0;
        }
        for (unsigned i = 0; r == 0 && i < arguments->new.n; i++)
                r = delta_new(old_chains[i], new_chains[i], &deltas[i], f);
        if (r == 0)
                r = foreign_find(old, new, deltas, ret, f);
        if (r == 0)
                *ret_text = foreign_to_string(old, new, *ret);
        for (unsigned i = 0; i < arguments->new.n; i++)
                (void) delta_free(deltas[i]);
        return r;
}

int defer_find(const Arguments *arguments, Chain *const *old, Chain *const *new, GArray **ret,
               char **ret_text, Fault *f)
{
        g_autoptr(Storage) storage = NULL;

        int r = open_storage(arguments->to, new, arguments, &storage, f);
        if (r < 0)
                return r;
        if (mode_has_pairs(arguments->mode))
                return find_in_pairs(arguments, old, new, storage, ret, ret_text, f);
        r = foreign_find(NULL, storage, NULL, ret, f);
        if (r == 0)
                *ret_text = foreign_to_string(NULL, storage, *ret);
        return r;
}

/* A link may lead to where nothing is mounted here. */
static bool has_file(const Arguments *arguments, Chain *const *new)
{
        g_autoptr(Tree) tree = NULL;
        const char *names[DISKS_MAX];
        Filesystem *fs = NULL;
        LookupFile file;

        for (unsigned i = 0; i < arguments->new.n; i++)
                names[i] = arguments->new.list[i].name;
        return tree_new(arguments->to, new, names, arguments->new.n, NULL, &tree, NULL) == 0 &&
               tree_find(tree, arguments->path, true, &fs, &file, NULL) == 0;
}

int defer_find_needed(const Arguments *arguments, Chain *const *old, Chain *const *new,
                      GArray **ret, char **ret_text, Fault *f)
{
        g_autoptr(Storage) storage = NULL;

        int r = defer_find(arguments, old, new, ret, ret_text, f);
        if (r < 0 || (*ret)->len == 0 || mode_has_pairs(arguments->mode))
                return r;
        r = open_storage(arguments->to, new, arguments, &storage, f);
        if (r == 0 && !foreign_has_path(storage, arguments->path) && has_file(arguments, new))
                g_array_set_size(*ret, 0);
        return r;
}
