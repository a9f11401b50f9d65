/* SPDX-License-Identifier: MIT */
#pragma once

/* What a file system lies on: one linear range of bytes, made of pieces of one or more disks.
 *
 * A whole disk and a partition are one piece; a logical volume has as many as it has segments. */

#include "diff/chain.h"

#include <stdbool.h>

typedef struct Volume Volume;

/* `disk` is the caller's number for the chain: by it, places on two points are held to be the same.
 */
typedef struct VolumePiece {
        unsigned disk;
        Chain *chain;
        uint64_t offset, length; /* bytes, on the disk */
} VolumePiece;

Volume *volume_new(void);
Volume *volume_free(Volume *volume);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Volume, volume_free)

/* All of a disk. */
Volume *volume_new_disk(unsigned disk, Chain *chain);

/* A part of a volume; what lies beyond its end is cut off. */
Volume *volume_new_part(const Volume *volume, uint64_t start, uint64_t length);

/* Appends the bytes of `from` that a part would have. False, and nothing is appended, where they
 * are not all there, or the volume would be longer than 2^62 bytes. */
bool volume_append(Volume *volume, const Volume *from, uint64_t start, uint64_t length);

uint64_t volume_size(const Volume *volume);

/* In their order; NULL after the last. */
const VolumePiece *volume_piece(const Volume *volume, unsigned i);

/* True: the range, within one piece, is known to be zeros without a read. */
bool volume_is_hole(const Volume *volume, uint64_t offset, uint64_t length);

/* Reads zeros beyond the end. FAULT_IMAGE_REFUSED, IO. */
int volume_read(const Volume *volume, uint64_t offset, void *buffer, size_t size, Fault *f);
