/* SPDX-License-Identifier: MIT */
#pragma once

/* Compressed clusters of a qcow2 image. */

#include "base/qcow2.h"

#include <stdbool.h>
#include <stddef.h>

/* Fills all `size` bytes from a stream (raw deflate, or zstd frames) that may be followed by bytes
 * that do not belong to it. False if the stream is damaged or too short; `bytes` is then undefined.
 */
bool inflate_cluster(Qcow2Compression compression, const void *stream, size_t stream_size,
                     void *bytes, size_t size);
