/* SPDX-License-Identifier: MIT */
#pragma once

/* The subvolumes of a guest's root, a btrfs file system, that its /etc/fstab mounts on it. What
 * that says is the guest's word: it decides where a file is shown. fstab(5), btrfs(5). */

#include <glib.h>

#define SUBVOLUMES_MAX 64

/* An array of Mount (diff/mounts.h): those with the source of "/" and a subvolume, shorter targets
 * first, so that each is mounted on what is there; never NULL. */
GPtrArray *subvolumes_parse(const char *text, size_t size);
