/* SPDX-License-Identifier: MIT */
#include "diff/delta.h"

#include "base/cleanup.h"

#include <string.h>

/* One bit a chunk: the map does not grow beyond 4 MiB. */
#define CHUNKS_MAX (UINT64_C(1) << 25)
#define WORD_BITS  64

struct Delta {
        unsigned chunk_bits;
        uint64_t n_chunks;
        uint64_t *words;
};

static bool chunk_is_marked(const Delta *delta, uint64_t chunk)
{
        return delta->words[chunk / WORD_BITS] >> (chunk % WORD_BITS) & 1;
}

void delta_mark(Delta *delta, uint64_t offset, uint64_t length)
{
        if (length == 0)
                return;
        uint64_t end = MIN(((offset + length - 1) >> delta->chunk_bits) + 1, delta->n_chunks);
        for (uint64_t i = offset >> delta->chunk_bits; i < end; i++)
                delta->words[i / WORD_BITS] |= UINT64_C(1) << (i % WORD_BITS);
}

static int mark_layer(Delta *delta, Layer *layer, uint64_t size, Fault *f)
{
        for (uint64_t at = 0; at < size;) {
                LayerExtent extent;

                int r = layer_map(layer, at, size - at, &extent, f);
                if (r < 0)
                        return r;
                if (extent.kind != EXTENT_ABSENT)
                        delta_mark(delta, at, extent.length);
                at += extent.length;
        }
        return 0;
}

/* A layer that is shorter than the one below hides its end: mark_layer() sees zeros there. */
static int mark_above(Delta *delta, Chain *chain, unsigned common, uint64_t size, Fault *f)
{
        for (unsigned i = 0; i + common < chain_depth(chain); i++) {
                int r = mark_layer(delta, chain_layer(chain, i), size, f);
                if (r < 0)
                        return r;
        }
        return 0;
}

int delta_new_empty(uint64_t size, unsigned chunk_bits, Delta **ret, Fault *f)
{
        g_autoptr(Delta) delta = g_new0(Delta, 1);

        delta->chunk_bits = chunk_bits;
        while (size >> delta->chunk_bits >= CHUNKS_MAX)
                delta->chunk_bits++;
        delta->n_chunks = (size >> delta->chunk_bits) + 1;
        delta->words = g_try_new0(uint64_t, delta->n_chunks / WORD_BITS + 1);
        if (!delta->words)
                return fault_set(f, FAULT_NO_MEMORY, "the disk needs too much memory");
        *ret = TAKE_PTR(delta);
        return 0;
}

int delta_new(Chain *old, Chain *new, Delta **ret, Fault *f)
{
        uint64_t size = MAX(chain_size(old), chain_size(new));
        unsigned common = chain_common_depth(old, new);
        g_autoptr(Delta) delta = NULL;

        int r = delta_new_empty(size, DELTA_CHUNK_BITS, &delta, f);
        if (r < 0)
                return r;
        if (common == 0) {
                delta_mark(delta, 0, size);
        } else {
                r = mark_above(delta, old, common, size, f);
                if (r == 0)
                        r = mark_above(delta, new, common, size, f);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(delta);
        return 0;
}

/* One run that is one piece in both. */
static void mark_run(Delta *delta, uint64_t at, const VolumePiece *old, const VolumePiece *new,
                     uint64_t length, const Delta *disk)
{
        uint64_t from, n, offset = new->offset, end = new->offset + length;

        if (old->disk != new->disk || old->offset != new->offset) {
                delta_mark(delta, at, length);
                return;
        }
        while (offset < end && delta_next(disk, offset, end, &from, &n)) {
                delta_mark(delta, at + (from - new->offset), n);
                offset = from + n;
        }
}

/* What is left of the next piece, or of no piece: an empty one. */
static void advance(const Volume *volume, unsigned *i, VolumePiece *piece, uint64_t n)
{
        piece->offset += n;
        piece->length -= n;
        if (piece->length == 0) {
                const VolumePiece *next = volume_piece(volume, *i);

                *piece = next ? *next : (VolumePiece){0};
                (*i)++;
        }
}

int delta_new_volume(const Volume *old, const Volume *new, Delta *const *disks, Delta **ret,
                     Fault *f)
{
        uint64_t size = MAX(volume_size(old), volume_size(new)), at = 0;
        VolumePiece a = {0}, b = {0};
        unsigned i = 0, j = 0;

        int r = delta_new_empty(size, DELTA_CHUNK_BITS, ret, f);
        if (r < 0)
                return r;
        advance(old, &i, &a, 0);
        advance(new, &j, &b, 0);
        while (a.length > 0 && b.length > 0) {
                uint64_t n = MIN(a.length, b.length);

                mark_run(*ret, at, &a, &b, n, disks[b.disk]);
                advance(old, &i, &a, n);
                advance(new, &j, &b, n);
                at += n;
        }
        delta_mark(*ret, at, size - at);
        return 0;
}

Delta *delta_free(Delta *delta)
{
        if (delta)
                g_free(delta->words);
        g_free(delta);
        return NULL;
}

bool delta_may_differ(const Delta *delta, uint64_t offset, uint64_t length)
{
        uint64_t at, n;

        return length > 0 && delta_next(delta, offset, offset + length, &at, &n);
}

bool delta_next(const Delta *delta, uint64_t offset, uint64_t end, uint64_t *ret_offset,
                uint64_t *ret_length)
{
        uint64_t chunk = offset >> delta->chunk_bits;

        end = MIN(end, delta->n_chunks << delta->chunk_bits);
        if (offset >= end)
                return false;
        while (chunk << delta->chunk_bits < end && !chunk_is_marked(delta, chunk))
                chunk += delta->words[chunk / WORD_BITS] || chunk % WORD_BITS ? 1 : WORD_BITS;
        if (chunk << delta->chunk_bits >= end)
                return false;
        uint64_t first = MAX(chunk << delta->chunk_bits, offset);
        while (chunk << delta->chunk_bits < end && chunk_is_marked(delta, chunk))
                chunk++;
        *ret_offset = first;
        *ret_length = MIN(chunk << delta->chunk_bits, end) - first;
        return true;
}
