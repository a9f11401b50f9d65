/* SPDX-License-Identifier: MIT */
#include "diff/disk.h"

#include "base/cleanup.h"
#include "diff/compare.h"
#include "diff/layout.h"
#include "diff/meaning.h"
#include "diff/pair.h"

#include <string.h>

typedef struct Disks {
        Storage *old, *new;
        Delta *deltas[DISKS_MAX];
        GArray *pairs; /* of Pair */
        CompareMode mode;
        Report *report;
} Disks;

static void report_row(const Disks *disks, const Pair *pair)
{
        const Storage *storage = pair->new ? disks->new : disks->old;
        const Place *place = pair->new ? pair->new : pair->old;
        const ReportFilesystem row = {
                .disk = storage->disks[place->disk].name,
                .partition = place->partition ? place->partition->number : 0,
                .volume = place->logical,
                .type = place->signature.type,
                .uuid = place->uuid,
                .label = place->label,
                .mounted_at = place->mounted_at,
                .change = pair_change_to_string(pair->change),
                .old_uuid = pair->change == PAIR_REMADE ? pair->old->uuid : NULL,
        };

        report_filesystem(disks->report, &row);
}

static void mark_redirect(void *data, uint64_t offset, uint64_t length)
{
        delta_mark(data, offset, length);
}

/* Without a mark there is nothing to look for, not even in the superblock. */
static int compare_open(const Disks *disks, const Pair *pair, Delta *delta, Fault *f)
{
        int r = 0;

        if (pair->old)
                r = storage_open_place(disks->old, pair->old, f);
        if (r == 0 && pair->new)
                r = storage_open_place(disks->new, pair->new, f);
        if (r < 0)
                return r;
        if (delta) {
                view_foreach_redirect(pair->old->view, mark_redirect, delta);
                view_foreach_redirect(pair->new->view, mark_redirect, delta);
        }
        return compare_filesystems(pair->old ? pair->old->fs : NULL,
                                   pair->new ? pair->new->fs : NULL, delta, disks->mode,
                                   disks->report, f);
}

static int compare_pair(const Disks *disks, const Pair *pair, Fault *f)
{
        g_autoptr(Delta) delta = NULL;

        if (pair->old && pair->new) {
                const Volume *old = pair->old->volume, *new = pair->new->volume;

                int r = delta_new_volume(old, new, disks->deltas, &delta, f);
                if (r < 0)
                        return r;
                if (!delta_may_differ(delta, 0, MAX(volume_size(old), volume_size(new))))
                        return 0;
                /* Where it is in one that stands in, says nothing of the other. */
                if (pair->old->stand_in || pair->new->stand_in)
                        delta = delta_free(delta);
        }
        return compare_open(disks, pair, delta, f);
}

static void report_early_end(const Disks *disks, const Pair *pair, const Fault *why)
{
        const Place *place = pair->new ? pair->new : pair->old;
        g_autofree char *reason = g_strdup_printf("its comparison ended early: %s", why->message);

        report_place_not_read(disks->report, disks->new->disks[place->disk].name,
                              place->partition ? place->partition->number : 0, place->logical,
                              place->signature.type, reason);
}

/* The roots stay open. */
static void close_pair(const Disks *disks, const Pair *pair)
{
        if (pair->old && pair->old != disks->old->root)
                place_close(pair->old);
        if (pair->new && pair->new != disks->new->root)
                place_close(pair->new);
}

static int compare_pairs(const Disks *disks, Fault *f)
{
        for (unsigned i = 0; i < disks->pairs->len; i++) {
                const Pair *pair = &g_array_index(disks->pairs, Pair, i);
                Fault why = {0};

                report_set_filesystem(disks->report, i);
                int r = compare_pair(disks, pair, &why);
                close_pair(disks, pair);
                if (r < 0 && (i == 0 || why.code != FAULT_DIFF_FAILED))
                        return fault_set(f, why.code, "%s", why.message);
                if (r < 0)
                        report_early_end(disks, pair, &why);
        }
        report_set_filesystem(disks->report, 0);
        return 0;
}

static int say_meaning(const Disks *disks, Fault *f)
{
        g_autoptr(Tree) old = tree_of(disks->old), new = tree_of(disks->new);

        return meaning_report(old, new, disks->report, f);
}

static int compare(Disks *disks, Fault *f)
{
        int r = pairs_find(disks->old, disks->new, &disks->pairs, f);

        if (r < 0)
                return r;
        for (unsigned i = 0; i < disks->pairs->len; i++)
                report_row(disks, &g_array_index(disks->pairs, Pair, i));
        r = layout_compare(disks->old, disks->new, disks->deltas, disks->report, f);
        if (r == 0)
                r = compare_pairs(disks, f);
        return r < 0 ? r : say_meaning(disks, f);
}

static int scan(Disks *disks, const DiskPair *pairs, unsigned n, const char *from, const char *to,
                Fault *f)
{
        Chain *old[DISKS_MAX], *new[DISKS_MAX];
        const char *names[DISKS_MAX];
        int r = 0;

        for (unsigned i = 0; r == 0 && i < n; i++) {
                old[i] = pairs[i].old;
                new[i] = pairs[i].new;
                names[i] = pairs[i].name;
                r = delta_new(old[i], new[i], &disks->deltas[i], f);
        }
        if (r == 0)
                r = storage_new(from, old, names, n, &disks->old, f);
        if (r == 0)
                r = storage_new(to, new, names, n, &disks->new, f);
        return r;
}

static int use_stand_ins(const Disks *disks, const StandIns *ins, Fault *f)
{
        int r = stand_ins_use(&ins[0], disks->old, f);

        if (r == 0)
                r = stand_ins_use(&ins[1], disks->new, f);
        stand_ins_match(disks->old, disks->new);
        return r;
}

int disks_compare(const DiskPair *pairs, unsigned n_disks, const char *from, const char *to,
                  const StandIns *ins, CompareMode mode, Report *report, Fault *f)
{
        Disks disks = {.mode = mode, .report = report};
        int r;

        g_assert(n_disks > 0 && n_disks <= DISKS_MAX);
        r = scan(&disks, pairs, n_disks, from, to, f);
        if (r == 0 && ins)
                r = use_stand_ins(&disks, ins, f);
        if (r == 0)
                r = compare(&disks, f);
        g_clear_pointer(&disks.pairs, g_array_unref);
        (void) storage_free(disks.new);
        (void) storage_free(disks.old);
        for (unsigned i = 0; i < n_disks; i++)
                (void) delta_free(disks.deltas[i]);
        return r;
}
