/* SPDX-License-Identifier: MIT */
#pragma once

/* An empty qcow2 image on top of another, written without a child program.
 *
 * Source: qemu's docs/interop/qcow2.txt. Version 3, clusters of 64 KiB, 16-bit reference counts,
 * the backing format named in a header extension: what `qemu-img create -f qcow2 -F … -b …` makes.
 */

#include "base/fault.h"

#include <stdint.h>

/* Writes it to the empty file `fd`. `backing_path` is at most 1023 bytes: FAULT_INVALID_ARGUMENT.
 */
int overlay_write(int fd, const char *backing_path, const char *backing_format,
                  uint64_t virtual_size_bytes, Fault *f);
