/* SPDX-License-Identifier: MIT */
#include "diff/disk.h"

#include "base/cleanup.h"
#include "diff/compare.h"
#include "diff/delta.h"
#include "diff/partition.h"

#include <string.h>

#define CHUNK 131072

typedef struct Disk {
        Chain *chain;
        const char *name;
        Partition partitions[PARTITIONS_MAX];
        unsigned n;
        const Partition *root;
        View *view;
        Filesystem *fs;
} Disk;

static void disk_done(Disk *disk)
{
        (void) filesystem_free(disk->fs);
        (void) view_free(disk->view);
}

static int open_partition(Disk *disk, const Partition *partition, Fault *f)
{
        disk->view = view_new(disk->chain, partition->start, partition->length);
        disk->root = partition;
        return filesystem_open(disk->view, disk->name, &disk->fs, f);
}

static void close_partition(Disk *disk)
{
        disk->fs = filesystem_free(disk->fs);
        disk->view = view_free(disk->view);
        disk->root = NULL;
}

static bool holds_etc(Filesystem *fs)
{
        ext2_ino_t ino;

        return ext2fs_lookup(fs->ext2, EXT2_ROOT_INO, "etc", 3, NULL, &ino) == 0;
}

static int no_ext(const Disk *disk, Fault *f)
{
        g_autoptr(GString) found = g_string_new(NULL);

        for (unsigned i = 0; i < disk->n; i++)
                g_string_append_printf(found, "%s%s", i > 0 ? ", " : "", disk->partitions[i].type);
        return fault_set(f, FAULT_DIFF_FAILED,
                         "the disk of %s has no ext4 file system, only: %s; others cannot be "
                         "compared yet",
                         disk->name, found->str);
}

/* The only ext4 partition, or the first with /etc, or the first. */
static int open_root(Disk *disk, Fault *f)
{
        const Partition *first = NULL;
        unsigned n_ext = 0;

        for (unsigned i = 0; i < disk->n; i++)
                if (partition_is_ext(&disk->partitions[i])) {
                        first = first ? first : &disk->partitions[i];
                        n_ext++;
                }
        if (n_ext == 0)
                return no_ext(disk, f);
        for (unsigned i = 0; n_ext > 1 && i < disk->n; i++) {
                if (!partition_is_ext(&disk->partitions[i]))
                        continue;
                if (open_partition(disk, &disk->partitions[i], NULL) == 0 && holds_etc(disk->fs))
                        return 0;
                close_partition(disk);
        }
        return open_partition(disk, first, f);
}

/* The old root is at the place of the new one, if an ext4 file system was there. */
static int open_same_root(Disk *disk, const Partition *root, Fault *f)
{
        for (unsigned i = 0; i < disk->n; i++)
                if (disk->partitions[i].start == root->start &&
                    partition_is_ext(&disk->partitions[i]))
                        return open_partition(disk, &disk->partitions[i], f);
        return open_root(disk, f);
}

static void mark_redirect(void *data, uint64_t offset, uint64_t length)
{
        delta_mark(data, offset, length);
}

/* Reads zeros beyond the end of the disk. */
static int read_padded(Chain *chain, uint64_t offset, uint8_t *buffer, size_t size, Fault *f)
{
        uint64_t end = chain_size(chain);
        size_t n = offset < end ? (size_t) MIN(size, end - offset) : 0;

        memset(buffer + n, 0, size - n);
        return n > 0 ? chain_read(chain, offset, buffer, n, f) : 0;
}

static int range_differs(Disk *old, Disk *new, const Delta *delta, uint64_t start, uint64_t end,
                         bool *ret, Fault *f)
{
        g_autofree uint8_t *a = g_malloc(CHUNK), *b = g_malloc(CHUNK);
        uint64_t at = start, length;

        *ret = false;
        while (!*ret && at < end && delta_next(delta, at, end, &at, &length)) {
                size_t n = (size_t) MIN(length, CHUNK);

                int r = read_padded(old->chain, at, a, n, f);
                if (r == 0)
                        r = read_padded(new->chain, at, b, n, f);
                if (r < 0)
                        return r;
                *ret = memcmp(a, b, n) != 0;
                at += n;
        }
        return 0;
}

static const Partition *find_at(const Disk *disk, uint64_t start)
{
        for (unsigned i = 0; i < disk->n; i++)
                if (disk->partitions[i].start == start)
                        return &disk->partitions[i];
        return NULL;
}

/* Partitions of the new disk that are not compared and are not what they were. */
static int report_others(Disk *old, Disk *new, const Delta *delta, Report *report, Fault *f)
{
        for (unsigned i = 0; i < new->n; i++) {
                const Partition *p = &new->partitions[i], *q = find_at(old, p->start);
                bool differs = false;

                if (p == new->root)
                        continue;
                if (!q) {
                        report_partition_not_read(report, p->number, p->type,
                                                  "the partition is new");
                        continue;
                }
                int r = range_differs(old, new, delta, p->start, p->start + p->length, &differs, f);
                if (r < 0)
                        return r;
                if (differs)
                        report_partition_not_read(report, p->number, p->type,
                                                  "its content changed, and only the root file "
                                                  "system is compared");
        }
        for (unsigned i = 0; i < old->n; i++)
                if (&old->partitions[i] != old->root && !find_at(new, old->partitions[i].start))
                        report_partition_not_read(report, old->partitions[i].number,
                                                  old->partitions[i].type, "the partition is gone");
        return 0;
}

static int open_both(Disk *old, Disk *new, Delta *delta, Fault *f)
{
        int r = partitions_read(old->chain, old->partitions, &old->n, f);

        if (r == 0)
                r = partitions_read(new->chain, new->partitions, &new->n, f);
        if (r == 0)
                r = open_root(new, f);
        if (r == 0)
                r = open_same_root(old, new->root, f);
        if (r < 0)
                return r;
        view_foreach_redirect(old->view, mark_redirect, delta);
        view_foreach_redirect(new->view, mark_redirect, delta);
        return 0;
}

int disk_compare(Chain *old_chain, Chain *new_chain, const char *from, const char *to,
                 Report *report, Fault *f)
{
        g_autofree Disk *old = g_new0(Disk, 1), *new = g_new0(Disk, 1);
        g_autoptr(Delta) delta = NULL;

        old->chain = old_chain;
        old->name = from;
        new->chain = new_chain;
        new->name = to;
        int r = delta_new(old_chain, new_chain, &delta, f);
        if (r == 0)
                r = open_both(old, new, delta, f);
        if (r == 0)
                r = report_others(old, new, delta, report, f);
        if (r == 0)
                r = compare_filesystems(old->fs, new->fs, delta, report, f);
        disk_done(new);
        disk_done(old);
        return r;
}
