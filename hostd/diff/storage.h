/* SPDX-License-Identifier: MIT */
#pragma once

/* All that is on a guest's disks at one point: partitions, logical volumes, and the file systems on
 * them, which are ext2, ext3 and ext4 where they can be read. */

#include "diff/filesystem.h"
#include "diff/lvm.h"
#include "diff/partition.h"
#include "diff/signature.h"

#define DISKS_MAX       26
#define DISK_NAME_MAX   15
#define PLACE_UUID_SIZE 37

/* One disk as its chain is at this point. */
typedef struct StorageDisk {
        char name[DISK_NAME_MAX + 1]; /* "vda" */
        Chain *chain;                 /* borrowed */
        Volume *volume;
        Partition partitions[PARTITIONS_MAX];
        unsigned n_partitions;
} StorageDisk;

/* What can hold a file system: a disk, a partition, or a logical volume. */
typedef struct Place {
        unsigned disk;              /* where it begins; of a volume that is not linear: 0 */
        const Partition *partition; /* NULL for a logical volume */
        char *logical;              /* "vg/lv"; NULL for a disk or partition */
        Volume *volume;             /* NULL: it cannot be read as bytes */
        Volume *stand_in;           /* what is read instead (diff/stand-in.h); mostly NULL */
        Signature signature;
        char *reason;               /* why there is no file system to read; NULL where there is */
        char uuid[PLACE_UUID_SIZE]; /* of ext2, ext3, ext4, xfs, btrfs; else empty */
        char *label;                /* the same; any bytes; NULL for none */
        char *mounted_at;           /* NULL: nowhere */
        View *view;                 /* both NULL until it is opened */
        Filesystem *fs;
        bool is_member; /* a physical volume of LVM: its content is in other places */
} Place;

typedef struct Storage {
        const char *name; /* of the point, for messages; borrowed */
        StorageDisk *disks;
        unsigned n_disks;
        GPtrArray
                *places; /* of Place: disk by disk, partition by partition, then logical volumes */
        GPtrArray *members; /* of LvmMember */
        Place *root;        /* once storage_set_root() has been called */
} Storage;

/* Reads all tables and superblocks. Borrows the chains and `name`; copies the disks' names.
 * FAULT_IMAGE_REFUSED, IO. */
int storage_new(const char *name, Chain *const *chains, const char *const *disk_names,
                unsigned n_disks, Storage **ret, Fault *f);
Storage *storage_free(Storage *storage);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Storage, storage_free)

/* The i-th place; NULL after the last. */
Place *storage_place(const Storage *storage, unsigned i);

/* Whether it holds a file system that can be read. */
bool place_is_readable(const Place *place);

/* The 16 bytes of a superblock. */
void place_set_uuid(Place *place, const uint8_t *id);

/* "partition 1 of vda", "vda", "volume vg/lv": for messages. g_free() it. */
char *place_to_string(const Storage *storage, const Place *place);

/* Opens its file system; does nothing where it is open. FAULT_DIFF_FAILED, IMAGE_REFUSED, IO. */
int storage_open_place(const Storage *storage, Place *place, Fault *f);
void place_close(Place *place);

#define ROOT_RATE_MAX 2

/* How much it looks like the root of an operating system: 0 not at all, ROOT_RATE_MAX with what is
 * in every one. Opens it where it can be. */
unsigned storage_rate_root(const Storage *storage, Place *place);

/* The place that looks most like a root, the first of equals, which stays open where it could be
 * opened; NULL where nothing can be read. */
Place *storage_find_root(const Storage *storage);

/* Makes it the root, opens it, and finds out from its /etc/fstab where the others are mounted.
 * Without an /etc it is mounted nowhere, and so are they. */
int storage_set_root(Storage *storage, Place *root, Fault *f);

/* FAULT_DIFF_FAILED: that there is no file system that can be read, and what there is instead. */
int storage_no_filesystem(const Storage *storage, Fault *f);
