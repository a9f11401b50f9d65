/* SPDX-License-Identifier: MIT */
#include "diff/pair.h"

#include "base/cleanup.h"

#include <string.h>

const char *pair_change_to_string(PairChange change)
{
        switch (change) {
        case PAIR_SAME:
                return NULL;
        case PAIR_MOVED:
                return "moved";
        case PAIR_REMADE:
                return "remade";
        case PAIR_ADDED:
                return "added";
        case PAIR_REMOVED:
                return "removed";
        }
        g_assert_not_reached();
}

static bool is_at(const Place *a, const Place *b)
{
        if (a->logical || b->logical)
                return a->logical && b->logical && strcmp(a->logical, b->logical) == 0;
        return a->disk == b->disk && a->partition->start == b->partition->start;
}

Place *pair_find_at(const Storage *storage, const Place *of)
{
        Place *place;

        for (unsigned i = 0; (place = storage_place(storage, i)) != NULL; i++)
                if (is_at(place, of))
                        return place;
        return NULL;
}

typedef struct Pairing {
        Storage *old, *new;
        GArray *pairs;
        GHashTable *taken; /* of the old places */
} Pairing;

static Place *find_old(const Pairing *pairing, const Place *new, bool by_uuid, bool by_place)
{
        Place *place;

        for (unsigned i = 0; (place = storage_place(pairing->old, i)) != NULL; i++)
                if (place_is_readable(place) && !g_hash_table_contains(pairing->taken, place) &&
                    (!by_uuid || strcmp(place->uuid, new->uuid) == 0) &&
                    (!by_place || is_at(place, new)))
                        return place;
        return NULL;
}

static Place *find_partner(const Pairing *pairing, const Place *new)
{
        for (unsigned i = 0; i < pairing->pairs->len; i++)
                if (g_array_index(pairing->pairs, Pair, i).new == new)
                        return g_array_index(pairing->pairs, Pair, i).old;
        return NULL;
}

static void add_pair(Pairing *pairing, Place *old, Place *new, PairChange change)
{
        Pair pair = {old, new, change};

        g_array_append_val(pairing->pairs, pair);
        if (old)
                (void) g_hash_table_add(pairing->taken, old);
}

static void pair_all(Pairing *pairing, bool by_uuid, bool by_place, PairChange change)
{
        Place *new;

        for (unsigned i = 0; (new = storage_place(pairing->new, i)) != NULL; i++) {
                if (!place_is_readable(new) || find_partner(pairing, new))
                        continue;
                Place *old = find_old(pairing, new, by_uuid, by_place);
                if (old)
                        add_pair(pairing, old, new, change);
        }
}

static unsigned rate_pair(const Pairing *pairing, const Pair *pair)
{
        unsigned rate = storage_rate_root(pairing->new, pair->new) +
                        storage_rate_root(pairing->old, pair->old);

        place_close(pair->old);
        place_close(pair->new);
        return rate;
}

static unsigned count_readable(const Storage *storage)
{
        unsigned n = 0;
        Place *place;

        for (unsigned i = 0; (place = storage_place(storage, i)) != NULL; i++)
                n += place_is_readable(place);
        return n;
}

/* What looks most like a root at both points, the older one's word counting as much: what was done
 * to the disks since must not hide where the root is. */
static void find_roots(Pairing *pairing, Place **ret_old, Place **ret_new)
{
        const Pair *best = NULL;
        unsigned best_rate = 0;
        bool is_only = pairing->pairs->len == 1 && count_readable(pairing->old) == 1 &&
                       count_readable(pairing->new) == 1;

        if (is_only)
                best = &g_array_index(pairing->pairs, Pair, 0);
        for (unsigned i = 0; !is_only && best_rate < 2 * ROOT_RATE_MAX && i < pairing->pairs->len;
             i++) {
                const Pair *pair = &g_array_index(pairing->pairs, Pair, i);
                unsigned rate = rate_pair(pairing, pair);

                if (rate > best_rate) {
                        best_rate = rate;
                        best = pair;
                }
        }
        *ret_new = best ? best->new : storage_find_root(pairing->new);
        *ret_old = *ret_new ? find_partner(pairing, *ret_new) : NULL;
        if (!*ret_old)
                *ret_old = storage_find_root(pairing->old);
}

/* Both roots are one pair, even if they have nothing in common. */
static void pair_roots(Pairing *pairing, Place *old_root, Place *new_root)
{
        bool taken = g_hash_table_contains(pairing->taken, old_root);

        if (!find_partner(pairing, new_root) && !taken)
                add_pair(pairing, old_root, new_root, PAIR_REMADE);
}

static void sort_pairs(Pairing *pairing, const Place *new_root)
{
        GArray *sorted = g_array_new(FALSE, FALSE, sizeof(Pair));
        Place *place;

        for (unsigned i = 0; i < pairing->pairs->len; i++)
                if (g_array_index(pairing->pairs, Pair, i).new == new_root)
                        g_array_append_val(sorted, g_array_index(pairing->pairs, Pair, i));
        for (unsigned i = 0; (place = storage_place(pairing->new, i)) != NULL; i++)
                for (unsigned j = 0; place != new_root && j < pairing->pairs->len; j++)
                        if (g_array_index(pairing->pairs, Pair, j).new == place)
                                g_array_append_val(sorted, g_array_index(pairing->pairs, Pair, j));
        for (unsigned i = 0; i < pairing->pairs->len; i++)
                if (!g_array_index(pairing->pairs, Pair, i).new)
                        g_array_append_val(sorted, g_array_index(pairing->pairs, Pair, i));
        g_array_unref(pairing->pairs);
        pairing->pairs = sorted;
}

static void add_rest(Pairing *pairing)
{
        Place *place;

        for (unsigned i = 0; (place = storage_place(pairing->new, i)) != NULL; i++)
                if (place_is_readable(place) && !find_partner(pairing, place))
                        add_pair(pairing, NULL, place, PAIR_ADDED);
        for (unsigned i = 0; (place = storage_place(pairing->old, i)) != NULL; i++)
                if (place_is_readable(place) && !g_hash_table_contains(pairing->taken, place))
                        add_pair(pairing, place, NULL, PAIR_REMOVED);
}

int pairs_find(Storage *old, Storage *new, GArray **ret, Fault *f)
{
        Pairing pairing = {old, new, g_array_new(FALSE, FALSE, sizeof(Pair)),
                           g_hash_table_new(g_direct_hash, g_direct_equal)};
        Place *old_root, *new_root;
        int r = 0;

        pair_all(&pairing, true, true, PAIR_SAME);
        pair_all(&pairing, true, false, PAIR_MOVED);
        pair_all(&pairing, false, true, PAIR_REMADE);
        find_roots(&pairing, &old_root, &new_root);
        if (!new_root)
                r = storage_no_filesystem(new, f);
        else if (!old_root)
                r = storage_no_filesystem(old, f);
        if (r == 0)
                r = storage_set_root(new, new_root, f);
        if (r == 0)
                r = storage_set_root(old, old_root, f);
        if (r == 0) {
                pair_roots(&pairing, old_root, new_root);
                add_rest(&pairing);
                sort_pairs(&pairing, new_root);
                *ret = g_steal_pointer(&pairing.pairs);
        }
        g_clear_pointer(&pairing.pairs, g_array_unref);
        g_hash_table_unref(pairing.taken);
        return r;
}
