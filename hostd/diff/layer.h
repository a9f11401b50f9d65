/* SPDX-License-Identifier: MIT */
#pragma once

/* One image file of a chain, read-only: where each byte of its disk is kept.
 *
 * qcow2 versions 2 and 3 (any cluster size, extended L2 entries, zero clusters, zlib and zstd) and
 * raw. The tables are hostile: every offset is held against the file before it is followed, and
 * what is kept of them is bounded. Nothing here knows of a backing file. */

#include "base/fault.h"
#include "base/qcow2.h"

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Layer Layer;

typedef enum ExtentKind {
        EXTENT_ABSENT, /* not in this layer: ask the one below */
        EXTENT_ZERO,
        EXTENT_DATA,
        EXTENT_COMPRESSED,
} ExtentKind;

/* A run of the disk that is kept in one way. */
typedef struct LayerExtent {
        ExtentKind kind;
        uint64_t length;      /* bytes, from the offset that was asked for; never 0 */
        uint64_t host_offset; /* DATA: of the first byte; COMPRESSED: of the cluster's stream */
        uint32_t stream_size; /* COMPRESSED */
        uint32_t skip;        /* COMPRESSED: where in the cluster the run begins */
} LayerExtent;

/* Takes the descriptor, also on failure. `name` is for messages. FAULT_IMAGE_REFUSED, IO. */
int layer_open(int fd, DiskFormat format, const char *name, Layer **ret, Fault *f);
Layer *layer_ref(Layer *layer);
Layer *layer_unref(Layer *layer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Layer, layer_unref)

const char *layer_name(const Layer *layer);
uint64_t layer_size(const Layer *layer);
int layer_fd(const Layer *layer);

/* The qcow2 header; NULL for raw. */
const Qcow2Header *layer_header(const Layer *layer);

/* Whether this is the file (st_dev, st_ino), read as `format`. */
bool layer_is_file(const Layer *layer, dev_t device, ino_t inode, DiskFormat format);

/* Where the disk's bytes from `offset` on are: one run, of at most `length` (> 0) bytes. Beyond the
 * end of the layer's disk all is EXTENT_ZERO. */
int layer_map(Layer *layer, uint64_t offset, uint64_t length, LayerExtent *ret, Fault *f);

/* The first `size` bytes of a run that layer_map() described: DATA and COMPRESSED only. */
int layer_read(Layer *layer, const LayerExtent *extent, void *buffer, size_t size, Fault *f);
