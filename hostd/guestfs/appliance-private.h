/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of the appliance know of each other. */

#include "guestfs/appliance.h"

#include <guestfs.h>

/* Where the file system that is read is mounted, and where its copy. */
#define MOUNT_SOURCE "/source"
#define MOUNT_COPY   "/copy"

/* Mounts a btrfs file system at MOUNT_SOURCE as the guest has it: the subvolume that is its root,
 * and on it those that its /etc/fstab mounts. `mask` is the drive of an empty file system, which
 * covers read-only subvolumes: snapshots hold the same files again. -1 with guestfs_last_error().
 */
int appliance_mount_btrfs(guestfs_h *g, const char *device, const char *mask);
