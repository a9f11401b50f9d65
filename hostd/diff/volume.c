/* SPDX-License-Identifier: MIT */
#include "diff/volume.h"

#include <string.h>

#define VOLUME_SIZE_MAX (UINT64_C(1) << 62)

struct Volume {
        GArray *pieces; /* of VolumePiece */
        GArray *ends;   /* of uint64_t: where in the volume each piece ends */
        uint64_t size;
};

Volume *volume_new(void)
{
        Volume *volume = g_new0(Volume, 1);

        volume->pieces = g_array_new(FALSE, FALSE, sizeof(VolumePiece));
        volume->ends = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        return volume;
}

Volume *volume_free(Volume *volume)
{
        if (!volume)
                return NULL;
        g_array_unref(volume->pieces);
        g_array_unref(volume->ends);
        g_free(volume);
        return NULL;
}

/* A piece that goes on where the last one ends is one with it. */
static void add_piece(Volume *volume, VolumePiece piece)
{
        VolumePiece *last = volume->pieces->len > 0 ? &g_array_index(volume->pieces, VolumePiece,
                                                                     volume->pieces->len - 1)
                                                    : NULL;

        if (piece.length == 0)
                return;
        volume->size += piece.length;
        if (last && last->disk == piece.disk && last->offset + last->length == piece.offset) {
                last->length += piece.length;
                g_array_index(volume->ends, uint64_t, volume->ends->len - 1) = volume->size;
        } else {
                g_array_append_val(volume->pieces, piece);
                g_array_append_val(volume->ends, volume->size);
        }
}

Volume *volume_new_disk(unsigned disk, Chain *chain)
{
        Volume *volume = volume_new();

        add_piece(volume, (VolumePiece){disk, chain, 0, MIN(chain_size(chain), VOLUME_SIZE_MAX)});
        return volume;
}

/* The piece that has byte `offset` of the volume; the number of pieces where none has. */
static unsigned find_piece(const Volume *volume, uint64_t offset)
{
        unsigned low = 0, high = volume->pieces->len;

        while (low < high) {
                unsigned middle = low + (high - low) / 2;

                if (g_array_index(volume->ends, uint64_t, middle) <= offset)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

/* The rest of the piece from byte `offset` on, at most `length` of it; false at the end. */
static bool piece_at(const Volume *volume, uint64_t offset, uint64_t length, VolumePiece *ret)
{
        unsigned i = find_piece(volume, offset);

        if (i >= volume->pieces->len)
                return false;
        const VolumePiece *piece = &g_array_index(volume->pieces, VolumePiece, i);
        uint64_t left = g_array_index(volume->ends, uint64_t, i) - offset;
        *ret = (VolumePiece){piece->disk, piece->chain, piece->offset + piece->length - left,
                             MIN(left, length)};
        return true;
}

static void add_range(Volume *volume, const Volume *from, uint64_t start, uint64_t length)
{
        VolumePiece piece;

        while (length > 0 && piece_at(from, start, length, &piece)) {
                add_piece(volume, piece);
                start += piece.length;
                length -= piece.length;
        }
}

Volume *volume_new_part(const Volume *volume, uint64_t start, uint64_t length)
{
        Volume *part = volume_new();

        add_range(part, volume, start, length);
        return part;
}

bool volume_append(Volume *volume, const Volume *from, uint64_t start, uint64_t length)
{
        if (start > from->size || length > from->size - start ||
            length > VOLUME_SIZE_MAX - volume->size)
                return false;
        add_range(volume, from, start, length);
        return true;
}

uint64_t volume_size(const Volume *volume)
{
        return volume->size;
}

const VolumePiece *volume_piece(const Volume *volume, unsigned i)
{
        return i < volume->pieces->len ? &g_array_index(volume->pieces, VolumePiece, i) : NULL;
}

bool volume_is_hole(const Volume *volume, uint64_t offset, uint64_t length)
{
        VolumePiece piece;
        ChainExtent extent;

        return length > 0 && piece_at(volume, offset, length, &piece) && piece.length >= length &&
               chain_map(piece.chain, piece.offset, length, &extent, NULL) == 0 && !extent.layer &&
               extent.length >= length;
}

int volume_read(const Volume *volume, uint64_t offset, void *buffer, size_t size, Fault *f)
{
        VolumePiece piece;
        char *p = buffer;

        while (size > 0 && piece_at(volume, offset, size, &piece)) {
                size_t n = (size_t) piece.length;

                int r = chain_read(piece.chain, piece.offset, p, n, f);
                if (r < 0)
                        return r;
                p += n;
                offset += n;
                size -= n;
        }
        memset(p, 0, size);
        return 0;
}
