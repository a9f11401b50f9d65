/* SPDX-License-Identifier: MIT */
#pragma once

/* The guest's own /etc/fstab: which file system is where among its directories.
 *
 * What it says is the guest's word: it decides how a path is shown, never what is read. Lines that
 * mount no file system of a disk (swap, tmpfs, bind mounts, network) and those with noauto are left
 * out; systemd's mount units are not read. fstab(5). */

#include <glib.h>
#include <stdbool.h>

#define MOUNTS_MAX      1024
#define MOUNTS_SIZE_MAX (256 << 10) /* bytes of a file that is read at all */

typedef struct Mount {
        char *source; /* any bytes but NUL */
        char *target; /* absolute; single slashes, none at the end but of "/"; any bytes but NUL */
        char *subvolume; /* of btrfs, by subvol=; without slashes at its ends; NULL mostly */
} Mount;

/* All names that a line may have for a file system; NULL for what it does not have. */
typedef struct MountNames {
        const char *uuid, *label, *partition_uuid, *partition_name;
        const char *disk;   /* "vda" */
        unsigned partition; /* 0: the whole disk, or a logical volume */
        const char *volume; /* "vg/lv" */
} MountNames;

/* In the order of the lines; never NULL. */
GPtrArray *mounts_parse(const char *text, size_t size);

/* Whether a line's source is that file system. */
bool mount_is_of(const Mount *mount, const MountNames *names);
