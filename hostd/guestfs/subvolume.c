/* SPDX-License-Identifier: MIT */
#include "guestfs/subvolume.h"

#include "diff/mounts.h"

#include <string.h>

static bool is_root(const Mount *mount)
{
        return strcmp(mount->target, "/") == 0;
}

static int compare_targets(gconstpointer a, gconstpointer b)
{
        const Mount *x = *(Mount *const *) a, *y = *(Mount *const *) b;
        size_t n = strlen(x->target), m = strlen(y->target);

        return (n > m) - (n < m);
}

GPtrArray *subvolumes_parse(const char *text, size_t size)
{
        GPtrArray *mounts = mounts_parse(text, size);
        g_autofree char *root = NULL;

        for (unsigned i = 0; !root && i < mounts->len; i++)
                if (is_root(mounts->pdata[i]))
                        root = g_strdup(((const Mount *) mounts->pdata[i])->source);
        for (unsigned i = mounts->len; i-- > 0;) {
                const Mount *mount = mounts->pdata[i];

                if (is_root(mount) || !mount->subvolume || strcmp(mount->source, root ?: "") != 0)
                        g_ptr_array_remove_index(mounts, i);
        }
        if (mounts->len > SUBVOLUMES_MAX)
                g_ptr_array_set_size(mounts, SUBVOLUMES_MAX);
        g_ptr_array_sort(mounts, compare_targets);
        return mounts;
}
