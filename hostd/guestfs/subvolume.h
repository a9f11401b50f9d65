/* SPDX-License-Identifier: MIT */
#pragma once

/* The subvolumes that a guest's /etc/fstab mounts besides its root's: lines of type btrfs with
 * subvol=, of the same source as the line of "/". What it says is the guest's word: it decides
 * where a file is shown. fstab(5), btrfs(5). */

#include <glib.h>

#define SUBVOLUMES_MAX 64

typedef struct Subvolume {
        char *path;   /* without slashes at its ends: "@home" */
        char *target; /* absolute, not "/"; without "." and ".." */
} Subvolume;

/* Shorter targets first, so that each is mounted on what is there; never NULL. */
GPtrArray *subvolumes_parse(const char *text, size_t size);
