/* SPDX-License-Identifier: MIT */
#pragma once

/* Which parts of a disk, or of a volume, can differ between two points, known from allocation
 * tables alone.
 *
 * What is not marked is equal for certain; what is marked may still be equal. Its cost grows with
 * what the layers above the common ones hold, not with the disk. */

#include "diff/volume.h"

typedef struct Delta Delta;

/* Of a disk. FAULT_IMAGE_REFUSED, IO, NO_MEMORY. */
int delta_new(Chain *old, Chain *new, Delta **ret, Fault *f);

#define DELTA_CHUNK_BITS 16 /* that of a cluster of a usual image */

/* Of `size` bytes of which none is marked yet, by chunks of 2^chunk_bits bytes, or of more where a
 * map of these would be too large. FAULT_NO_MEMORY. */
int delta_new_empty(uint64_t size, unsigned chunk_bits, Delta **ret, Fault *f);

/* Of a volume that may be on other places of other disks than it was; `disks` has the delta of each
 * disk, by its number. FAULT_NO_MEMORY. */
int delta_new_volume(const Volume *old, const Volume *new, Delta *const *disks, Delta **ret,
                     Fault *f);

Delta *delta_free(Delta *delta);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Delta, delta_free)

/* Marks more: what a journal's replay would change in one of the two. */
void delta_mark(Delta *delta, uint64_t offset, uint64_t length);

/* False: the `length` bytes at `offset` of both disks are the same, or both disks end before. */
bool delta_may_differ(const Delta *delta, uint64_t offset, uint64_t length);

/* The first marked run that begins or continues at or after `offset` and before `end`. */
bool delta_next(const Delta *delta, uint64_t offset, uint64_t end, uint64_t *ret_offset,
                uint64_t *ret_length);
