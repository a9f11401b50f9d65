/* SPDX-License-Identifier: MIT */
#include "diff/foreign.h"

#include "base/cleanup.h"
#include "diff/pair.h"

#include <string.h>

/* xfs_format.h: sb_uuid, sb_fname */
#define XFS_UUID_OFFSET  32
#define XFS_LABEL_OFFSET 108
#define XFS_LABEL_SIZE   12
/* fs/btrfs/ctree.h: fsid, label of struct btrfs_super_block, the first copy of which is at 64 KiB
 */
#define BTRFS_SUPERBLOCK   65536
#define BTRFS_UUID_OFFSET  (BTRFS_SUPERBLOCK + 32)
#define BTRFS_LABEL_OFFSET (BTRFS_SUPERBLOCK + 0x12b)
#define BTRFS_LABEL_SIZE   256

#define UUID_BYTES 16

static bool is_xfs(const Place *place)
{
        return strcmp(place->signature.type, "xfs") == 0;
}

bool place_is_foreign(const Place *place)
{
        return place->volume && (is_xfs(place) || strcmp(place->signature.type, "btrfs") == 0);
}

bool foreign_is_in(const Storage *storage)
{
        const Place *place;

        for (unsigned i = 0; (place = storage_place(storage, i)) != NULL; i++)
                if (place_is_foreign(place))
                        return true;
        return false;
}

int foreign_read_superblock(Place *place, Fault *f)
{
        bool xfs = is_xfs(place);
        uint8_t id[UUID_BYTES];
        char label[BTRFS_LABEL_SIZE + 1] = "";

        int r = volume_read(place->volume, xfs ? XFS_UUID_OFFSET : BTRFS_UUID_OFFSET, id,
                            sizeof(id), f);
        if (r == 0)
                r = volume_read(place->volume, xfs ? XFS_LABEL_OFFSET : BTRFS_LABEL_OFFSET, label,
                                xfs ? XFS_LABEL_SIZE : BTRFS_LABEL_SIZE, f);
        if (r < 0)
                return r;
        place_set_uuid(place, id);
        place->label = label[0] ? g_strdup(label) : NULL;
        return 0;
}

/* ---- which are needed ---- */

static bool has_root(const Storage *storage)
{
        bool found = false;
        Place *place;

        for (unsigned i = 0; !found && (place = storage_place(storage, i)) != NULL; i++) {
                found = storage_rate_root(storage, place) == ROOT_RATE_MAX;
                place_close(place);
        }
        return found;
}

static int is_unchanged(const Place *place, const Storage *others, bool of_new,
                        Delta *const *deltas, bool *ret, Fault *f)
{
        const Place *other = pair_find_at(others, place);
        g_autoptr(Delta) delta = NULL;

        *ret = false;
        if (!other || !place_is_foreign(other) ||
            strcmp(other->signature.type, place->signature.type) != 0)
                return 0;
        const Volume *old = of_new ? other->volume : place->volume;
        const Volume *new = of_new ? place->volume : other->volume;
        int r = delta_new_volume(old, new, deltas, &delta, f);
        if (r == 0)
                *ret = !delta_may_differ(delta, 0, MAX(volume_size(old), volume_size(new)));
        return r;
}

static int add_places(const Storage *storage, const Storage *others, bool of_new,
                      Delta *const *deltas, bool all, GArray *places, Fault *f)
{
        const Place *place;
        int r = 0;

        for (unsigned i = 0; r == 0 && (place = storage_place(storage, i)) != NULL; i++) {
                const ForeignPlace foreign = {of_new, i};
                bool skip = false;

                if (!place_is_foreign(place))
                        continue;
                if (!all)
                        r = is_unchanged(place, others, of_new, deltas, &skip, f);
                if (r == 0 && !skip)
                        g_array_append_val(places, foreign);
        }
        return r;
}

int foreign_find(const Storage *old, const Storage *new, Delta *const *deltas, GArray **ret,
                 Fault *f)
{
        g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(ForeignPlace));
        bool all = !old || !has_root(new) || !has_root(old);
        int r = 0;

        if (old)
                r = add_places(old, new, false, deltas, all, places, f);
        if (r == 0)
                r = add_places(new, old, true, deltas, all, places, f);
        if (r == 0)
                *ret = TAKE_PTR(places);
        return r;
}

/* "/srv" and "/srv/x", in either order. */
static bool meets(const char *a, const char *b)
{
        size_t n = strlen(a), m = strlen(b), shorter = MIN(n, m);

        while (shorter > 0 && (n <= m ? a : b)[shorter - 1] == '/')
                shorter--;
        const char *longer = n <= m ? b : a;
        return strncmp(a, b, shorter) == 0 && (longer[shorter] == '/' || longer[shorter] == '\0');
}

bool foreign_has_path(Storage *new, const char *path)
{
        Place *root = storage_find_root(new), *place;
        bool is_root = root && storage_rate_root(new, root) == ROOT_RATE_MAX;

        if (!is_root || storage_set_root(new, root, NULL) < 0)
                return true;
        for (unsigned i = 0; (place = storage_place(new, i)) != NULL; i++)
                if (place_is_foreign(place) && place->mounted_at && meets(place->mounted_at, path))
                        return true;
        return false;
}

static void append_name(GString *out, const Storage *storage, const Place *place)
{
        g_autofree char *where = place_to_string(storage, place);
        g_autofree char *name = g_strdup_printf("%s (%s)", place->signature.type, where);

        if (!strstr(out->str, name))
                g_string_append_printf(out, "%s%s", out->len > 0 ? ", " : "", name);
}

char *foreign_to_string(const Storage *old, const Storage *new, const GArray *places)
{
        GString *out = g_string_new(NULL);

        for (unsigned i = 0; i < places->len; i++) {
                const ForeignPlace *place = &g_array_index(places, ForeignPlace, i);
                const Storage *storage = place->of_new ? new : old;

                append_name(out, storage, storage_place(storage, place->place));
        }
        return g_string_free(out, FALSE);
}
