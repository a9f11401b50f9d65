/* SPDX-License-Identifier: MIT */
#pragma once

/* A volume as the file system on it should see it.
 *
 * Single blocks can be redirected to other blocks of the same volume: that is how a journal is
 * replayed without writing, and without a copy in memory. */

#include "diff/volume.h"

typedef struct View View;

/* Borrows the volume. */
View *view_new(const Volume *volume);
View *view_free(View *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(View, view_free)

/* In bytes. */
uint64_t view_length(const View *view);

/* Exactly `size` bytes; reading beyond the end is FAULT_DIFF_FAILED. Small reads are cached. */
int view_read(View *view, uint64_t offset, void *buffer, size_t size, Fault *f);

/* Whether what follows a small read is read with it: it is at first. Who goes to few places that
 * are far apart reads and copies less without. */
void view_set_read_ahead(View *view, bool reads_ahead);

/* True: the range reads as zeros, and nothing has to be read to know it. False: it may as well. */
bool view_is_hole(View *view, uint64_t offset, uint64_t size);

/* Where readers that know only numbers for errors (libext2fs) leave the reason of the first one. */
Fault *view_fault(View *view);

/* From now on block `block` reads as block `source`, with its first four bytes replaced by
 * `first_word` where that is not 0. `block_size` is the same in all calls for one view. Returns
 * false where `source` or `block` is not within the view. */
bool view_redirect(View *view, uint32_t block_size, uint64_t block, uint64_t source,
                   uint32_t first_word);

/* Calls `mark` with the offset and length of each redirected block. */
void view_foreach_redirect(const View *view,
                           void (*mark)(void *data, uint64_t offset, uint64_t length), void *data);
