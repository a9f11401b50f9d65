/* SPDX-License-Identifier: MIT */
#pragma once

/* The ext4 images that files are copied to: sparse, without a journal, with room for attributes of
 * any size, and on a file system of this host that they must not fill. */

#include "base/fault.h"

#include <stdint.h>

/* How large one may be that is to hold the files of a file system of `source_bytes`, where `n` of
 * them share what is free in a directory. FAULT_IO, NO_SPACE. */
int image_choose_size(const char *directory, uint64_t source_bytes, unsigned n, uint64_t *ret,
                      Fault *f);

/* Makes it, by mke2fs(8). FAULT_IO, also where that is not installed. */
int image_make(const char *path, uint64_t size, Fault *f);
