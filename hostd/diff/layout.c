/* SPDX-License-Identifier: MIT */
#include "diff/layout.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "diff/pair.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK 131072
/* What a table of partitions takes at the start of a disk, behind the boot code, and at the end. */
#define TABLE_START 440
#define TABLE_END   (34 * 512)
#define TABLE_TAIL  (33 * 512)

typedef struct Layout {
        const Storage *old, *new;
        Delta *const *deltas;
        Report *report;
} Layout;

/* -- bytes ---------------------------------------------------------------------------------- */

static int range_differs(const Volume *old, const Volume *new, const Delta *delta, uint64_t start,
                         uint64_t end, bool *ret, Fault *f)
{
        g_autofree uint8_t *a = g_malloc(CHUNK), *b = g_malloc(CHUNK);
        uint64_t at = start, length;

        *ret = false;
        while (!*ret && at < end && delta_next(delta, at, end, &at, &length)) {
                size_t n = (size_t) MIN(length, CHUNK);

                int r = volume_read(old, at, a, n, f);
                if (r == 0)
                        r = volume_read(new, at, b, n, f);
                if (r < 0)
                        return r;
                *ret = memcmp(a, b, n) != 0;
                at += n;
        }
        return 0;
}

static int place_differs(const Layout *layout, const Place *old, const Place *new, bool *ret,
                         Fault *f)
{
        g_autoptr(Delta) delta = NULL;

        int r = delta_new_volume(old->volume, new->volume, layout->deltas, &delta, f);
        return r < 0 ? r
                     : range_differs(old->volume, new->volume, delta, 0,
                                     MAX(volume_size(old->volume), volume_size(new->volume)), ret,
                                     f);
}

/* -- ranges of a disk that are spoken for ------------------------------------------------------ */

typedef struct Range {
        uint64_t start, end;
} Range;

static void add_range(GArray *ranges, uint64_t start, uint64_t length)
{
        Range range = {start, start + length};

        if (length > 0)
                g_array_append_val(ranges, range);
}

static void add_pieces(GArray *ranges, const Volume *volume, unsigned disk)
{
        const VolumePiece *piece;

        for (unsigned i = 0; volume && (piece = volume_piece(volume, i)) != NULL; i++)
                if (piece->disk == disk)
                        add_range(ranges, piece->offset, piece->length);
}

static int compare_ranges(gconstpointer a, gconstpointer b)
{
        const Range *x = a, *y = b;

        return (x->start > y->start) - (x->start < y->start);
}

/* Whether any byte of [start, end) of a disk differs that is in none of the ranges. */
static int rest_differs(const Layout *layout, unsigned disk, Range whole, GArray *ranges, bool *ret,
                        Fault *f)
{
        const Volume *old = layout->old->disks[disk].volume;
        const Volume *new = layout->new->disks[disk].volume;
        uint64_t at = whole.start;
        int r = 0;

        *ret = false;
        g_array_sort(ranges, compare_ranges);
        for (unsigned i = 0; r == 0 && !*ret && i <= ranges->len; i++) {
                Range range = i < ranges->len ? g_array_index(ranges, Range, i)
                                              : (Range){whole.end, whole.end};
                uint64_t end = MIN(range.start, whole.end);

                if (at < end)
                        r = range_differs(old, new, layout->deltas[disk], at, end, ret, f);
                at = MAX(at, range.end);
        }
        return r;
}

/* -- partitions ----------------------------------------------------------------------------- */

static char *describe(const Partition *partition)
{
        g_autofree char *size = size_format(partition->length);

        return g_strdup_printf("%s at byte %" G_GUINT64_FORMAT, size, partition->start);
}

static const Partition *find_partition(const StorageDisk *disk, unsigned number)
{
        for (unsigned i = 0; i < disk->n_partitions; i++)
                if (disk->partitions[i].number == number)
                        return &disk->partitions[i];
        return NULL;
}

static void report_partition(const Layout *layout, const char *disk, unsigned number,
                             const char *what)
{
        g_autofree char *reason = number > 0 ? g_strdup_printf("partition %u %s", number, what)
                                             : g_strdup_printf("the disk as a whole %s", what);

        report_disk(layout->report, disk, "partitions", reason);
}

/* Returns whether anything differs. */
static bool compare_partitions(const Layout *layout, unsigned number)
{
        const StorageDisk *old = &layout->old->disks[number], *new = &layout->new->disks[number];
        bool differs = false;

        for (unsigned i = 0; i < new->n_partitions; i++) {
                const Partition *p = &new->partitions[i], *q = find_partition(old, p->number);
                g_autofree char *is = describe(p), *was = q ? describe(q) : NULL;
                g_autofree char *what = NULL;

                if (!q)
                        what = g_strdup_printf("is new: %s", is);
                else if (p->number > 0 && (p->start != q->start || p->length != q->length))
                        what = g_strdup_printf("is %s; it was %s", is, was);
                else if (strcmp(p->uuid, q->uuid) != 0)
                        what = g_strdup_printf("has another id: %s; it was %s", p->uuid, q->uuid);
                else if (strcmp(p->name, q->name) != 0)
                        what = g_strdup("has another name");
                if (what)
                        report_partition(layout, new->name, p->number, what);
                differs = differs || what;
        }
        for (unsigned i = 0; i < old->n_partitions; i++) {
                const Partition *q = &old->partitions[i];
                g_autofree char *was = describe(q), *what = g_strdup_printf("is gone: %s", was);

                if (find_partition(new, q->number))
                        continue;
                report_partition(layout, new->name, q->number, what);
                differs = true;
        }
        return differs;
}

static void add_partitions(GArray *ranges, const StorageDisk *disk)
{
        for (unsigned i = 0; i < disk->n_partitions; i++)
                if (disk->partitions[i].number > 0 || disk->n_partitions == 1)
                        add_range(ranges, disk->partitions[i].start, disk->partitions[i].length);
}

static int compare_disk(const Layout *layout, unsigned number, Fault *f)
{
        const StorageDisk *old = &layout->old->disks[number], *new = &layout->new->disks[number];
        uint64_t old_size = volume_size(old->volume), new_size = volume_size(new->volume);
        g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(Range));
        bool differs = false;

        if (old_size != new_size) {
                g_autofree char *was = size_format(old_size), *is = size_format(new_size);
                g_autofree char *reason = g_strdup_printf("the disk has %s; it had %s", is, was);

                report_disk(layout->report, new->name, "size", reason);
        }
        if (compare_partitions(layout, number)) {
                add_range(ranges, TABLE_START, TABLE_END - TABLE_START);
                add_range(ranges, old_size - MIN(old_size, TABLE_TAIL), TABLE_TAIL);
                add_range(ranges, new_size - MIN(new_size, TABLE_TAIL), TABLE_TAIL);
        }
        add_partitions(ranges, old);
        add_partitions(ranges, new);
        int r = rest_differs(layout, number, (Range){0, MAX(old_size, new_size)}, ranges, &differs,
                             f);
        if (r == 0 && differs)
                report_disk(layout->report, new->name, "outside",
                            "bytes outside of all partitions differ: boot code, the tables "
                            "themselves, or something that is kept there");
        return r;
}

/* -- logical volumes ------------------------------------------------------------------------ */

static void report_volume(const Layout *layout, const Storage *storage, const Place *place,
                          const char *what)
{
        g_autofree char *reason = g_strdup_printf("volume %s %s", place->logical, what);

        report_disk(layout->report, storage->disks[place->disk].name, "volumes", reason);
}

static bool same_pieces(const Volume *a, const Volume *b)
{
        const VolumePiece *x, *y;

        for (unsigned i = 0;; i++) {
                x = volume_piece(a, i);
                y = volume_piece(b, i);
                if (!x || !y)
                        return !x && !y;
                if (x->disk != y->disk || x->offset != y->offset || x->length != y->length)
                        return false;
        }
}

static void compare_volume(const Layout *layout, const Place *old, const Place *new)
{
        if (!old->volume || !new->volume) {
                if (old->volume || new->volume)
                        report_volume(layout, layout->new, new,
                                      new->volume ? "is linear now" : "is not linear any more");
                return;
        }
        if (volume_size(old->volume) != volume_size(new->volume)) {
                g_autofree char *was = size_format(volume_size(old->volume));
                g_autofree char *is = size_format(volume_size(new->volume));
                g_autofree char *what = g_strdup_printf("has %s; it had %s", is, was);

                report_volume(layout, layout->new, new, what);
        } else if (!same_pieces(old->volume, new->volume)) {
                report_volume(layout, layout->new, new, "lies elsewhere than it did");
        }
}

static void compare_volumes(const Layout *layout)
{
        Place *place;

        for (unsigned i = 0; (place = storage_place(layout->new, i)) != NULL; i++) {
                const Place *old = place->logical ? pair_find_at(layout->old, place) : NULL;

                if (place->logical && !old)
                        report_volume(layout, layout->new, place, "is new");
                else if (old)
                        compare_volume(layout, old, place);
        }
        for (unsigned i = 0; (place = storage_place(layout->old, i)) != NULL; i++)
                if (place->logical && !pair_find_at(layout->new, place))
                        report_volume(layout, layout->old, place, "is gone");
}

/* Whether bytes differ that belong to the group of a physical volume of the newer point, and to no
 * volume that can be read. */
static int extents_differ(const Layout *layout, const LvmMember *member, bool *ret, Fault *f)
{
        const VolumePiece *piece = volume_piece(member->volume, 0);
        g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(Range));
        const Place *place;
        uint64_t start, length;

        *ret = false;
        if (!piece || !lvm_member_extents(layout->new->members, member, &start, &length))
                return 0;
        for (unsigned i = 0; (place = storage_place(layout->new, i)) != NULL; i++)
                if (place->logical)
                        add_pieces(ranges, place->volume, piece->disk);
        return rest_differs(layout, piece->disk,
                            (Range){piece->offset + start, piece->offset + start + length}, ranges,
                            ret, f);
}

static void report_unreadable(const Layout *layout, const Place *place, const char *what)
{
        g_autofree char *reason = g_strdup_printf("%s; %s", what, place->reason);
        const StorageDisk *disk = &layout->new->disks[place->disk];

        report_place_not_read(layout->report, disk->name,
                              place->partition ? place->partition->number : 0, place->logical,
                              place->signature.type, reason);
}

/* Volumes that are not linear are in extents that no other has: any of them may have changed. */
static int compare_extents(const Layout *layout, Fault *f)
{
        const GPtrArray *members = layout->new->members;
        bool any = false, has_blind = false;
        const Place *place;

        for (unsigned i = 0; !any && i < members->len; i++) {
                int r = extents_differ(layout, members->pdata[i], &any, f);
                if (r < 0)
                        return r;
        }
        for (unsigned i = 0; (place = storage_place(layout->new, i)) != NULL; i++) {
                if (!place->logical || place->volume)
                        continue;
                has_blind = true;
                if (any)
                        report_unreadable(layout, place, "its content may have changed");
                else if (!pair_find_at(layout->old, place))
                        report_unreadable(layout, place, "it is new");
        }
        if (any && !has_blind) {
                const LvmMember *first = members->pdata[0];
                const VolumePiece *piece = volume_piece(first->volume, 0);

                report_disk(layout->report, layout->new->disks[piece ? piece->disk : 0].name,
                            "outside",
                            "bytes of a volume group differ that belong to no logical volume");
        }
        return 0;
}

/* -- places that cannot be read --------------------------------------------------------------- */

/* One that has a second file system's mark may be used as that by the guest. */
static int compare_place(const Layout *layout, const Place *place, Fault *f)
{
        const Place *old = pair_find_at(layout->old, place);
        g_autofree char *also = NULL;
        bool differs = false;
        int r = 0;

        if (!place->volume || place->is_member ||
            (place_is_readable(place) && !place->signature.also))
                return 0;
        bool is_same_kind =
                old && old->volume && strcmp(old->signature.type, place->signature.type) == 0;
        if (is_same_kind)
                r = place_differs(layout, old, place, &differs, f);
        if (r < 0 || (is_same_kind && !differs))
                return r;
        if (place_is_readable(place)) {
                const StorageDisk *disk = &layout->new->disks[place->disk];

                also = g_strdup_printf("it is compared as %s, and has the mark of %s, too: what "
                                       "the guest uses it as is not known",
                                       place->signature.type, place->signature.also);
                report_place_not_read(layout->report, disk->name,
                                      place->partition ? place->partition->number : 0,
                                      place->logical, place->signature.also, also);
                return 0;
        }
        if (is_same_kind)
                report_unreadable(layout, place, "its content changed");
        else
                report_unreadable(layout, place, "it is new");
        return 0;
}

/* What was there before and is no more, or is something else now. */
static void report_gone(const Layout *layout)
{
        Place *old;

        for (unsigned i = 0; (old = storage_place(layout->old, i)) != NULL; i++) {
                const Place *new = pair_find_at(layout->new, old);

                if (place_is_readable(old) || old->is_member || !old->volume ||
                    (new &&strcmp(new->signature.type, old->signature.type) == 0))
                        continue;
                report_place_not_read(layout->report, layout->new->disks[old->disk].name,
                                      old->partition ? old->partition->number : 0, old->logical,
                                      old->signature.type, "what was there is gone");
        }
}

int layout_compare(const Storage *old, const Storage *new, Delta *const *deltas, Report *report,
                   Fault *f)
{
        const Layout layout = {old, new, deltas, report};
        const Place *place;
        int r = 0;

        for (unsigned i = 0; r == 0 && i < new->n_disks; i++)
                r = compare_disk(&layout, i, f);
        if (r < 0)
                return r;
        compare_volumes(&layout);
        r = compare_extents(&layout, f);
        for (unsigned i = 0; r == 0 && (place = storage_place(new, i)) != NULL; i++)
                r = compare_place(&layout, place, f);
        if (r == 0)
                report_gone(&layout);
        return r;
}
