/* SPDX-License-Identifier: MIT */
#pragma once

/* A disk as an overlay chain: layers, top first, each covering what the ones below it hold.
 *
 * Two chains of one diff share the Layer objects of files that they have in common; by that,
 * "the same bytes" can be known without reading them. */

#include "diff/layer.h"

#define CHAIN_DEPTH_MAX 64

typedef struct Chain Chain;

/* Where a run of the disk is kept. `layer` is NULL for zeros; else borrowed from the chain. */
typedef struct ChainExtent {
        Layer *layer;
        uint64_t length; /* bytes; never 0 */
        LayerExtent where;
} ChainExtent;

/* Opens an image by path and follows its backing files: formats come from the headers (an image is
 * raw only where the header above it says so), relative names are taken from the directory of the
 * image that has them. Names that are not plain paths (json:, nbd:) and loops are refused.
 * Layers that `known` (Layer pointers, or NULL) has already are shared. FAULT_IMAGE_REFUSED,
 * NOT_FOUND, IO. */
int chain_open_path(const char *path, DiskFormat format, const Chain *known, Chain **ret, Fault *f);

/* From open descriptors, top first, which stay the caller's; nothing is opened. The headers must
 * agree that these are all layers. */
int chain_open_fds(const int *fds, const DiskFormat *formats, unsigned n_fds, const Chain *known,
                   Chain **ret, Fault *f);

Chain *chain_free(Chain *chain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Chain, chain_free)

/* Bytes of the disk: that of the top layer. */
uint64_t chain_size(const Chain *chain);

unsigned chain_depth(const Chain *chain);
Layer *chain_layer(const Chain *chain, unsigned i);

/* How many layers, counted from the bottom, are the same in both; a disk's bytes can differ only
 * where the layers above them hold something. */
unsigned chain_common_depth(const Chain *a, const Chain *b);

int chain_map(Chain *chain, uint64_t offset, uint64_t length, ChainExtent *ret, Fault *f);
int chain_read(Chain *chain, uint64_t offset, void *buffer, size_t size, Fault *f);
