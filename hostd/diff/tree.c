/* SPDX-License-Identifier: MIT */
#include "diff/tree.h"

#include "base/cleanup.h"

#include <string.h>

Tree *tree_free(Tree *tree)
{
        if (!tree)
                return NULL;
        if (!tree->is_borrowed)
                (void) storage_free(tree->storage);
        g_array_unref(tree->mounts);
        g_free(tree);
        return NULL;
}

int tree_find(const Tree *tree, const char *path, bool follow, Filesystem **ret_fs, LookupFile *ret,
              Fault *f)
{
        return lookup_find_mounted(tree->storage->root->fs, tree->mounts, path, strlen(path),
                                   follow, ret_fs, ret, f);
}

static void mount_place(Tree *tree, Place *place)
{
        LookupMount mount = {0};
        LookupFile directory;

        if (tree_find(tree, place->mounted_at, true, &mount.on, &directory, NULL) < 0 ||
            directory.attributes.kind != KIND_DIRECTORY ||
            storage_open_place(tree->storage, place, NULL) < 0)
                return;
        mount.ino = directory.ino;
        mount.fs = place->fs;
        g_array_append_val(tree->mounts, mount);
}

/* What is mounted on another comes after it: its path is longer. */
static int compare_places(gconstpointer a, gconstpointer b)
{
        const Place *x = *(Place *const *) a, *y = *(Place *const *) b;
        size_t n = strlen(x->mounted_at), m = strlen(y->mounted_at);

        return (n > m) - (n < m);
}

static void mount_all(Tree *tree)
{
        g_autoptr(GPtrArray) places = g_ptr_array_new();
        Place *place;

        for (unsigned i = 0; (place = storage_place(tree->storage, i)) != NULL; i++)
                if (place->mounted_at && place != tree->storage->root)
                        g_ptr_array_add(places, place);
        g_ptr_array_sort(places, compare_places);
        for (unsigned i = 0; i < places->len; i++)
                mount_place(tree, places->pdata[i]);
}

Tree *tree_of(Storage *storage)
{
        Tree *tree = g_new0(Tree, 1);

        tree->storage = storage;
        tree->is_borrowed = true;
        tree->mounts = g_array_new(FALSE, FALSE, sizeof(LookupMount));
        mount_all(tree);
        return tree;
}

int tree_new(const char *name, Chain *const *chains, const char *const *disk_names,
             unsigned n_disks, const StandIns *ins, Tree **ret, Fault *f)
{
        g_autoptr(Tree) tree = g_new0(Tree, 1);

        tree->mounts = g_array_new(FALSE, FALSE, sizeof(LookupMount));
        int r = storage_new(name, chains, disk_names, n_disks, &tree->storage, f);
        if (r == 0)
                r = stand_ins_use(ins, tree->storage, f);
        if (r < 0)
                return r;
        Place *root = storage_find_root(tree->storage);
        if (!root)
                return storage_no_filesystem(tree->storage, f);
        r = storage_set_root(tree->storage, root, f);
        if (r < 0)
                return r;
        mount_all(tree);
        *ret = TAKE_PTR(tree);
        return 0;
}
