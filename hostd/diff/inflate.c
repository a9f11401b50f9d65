/* SPDX-License-Identifier: MIT */
#include "diff/inflate.h"

#include <zlib.h>
#include <zstd.h>

/* QEMU deflates with a window of 4 KiB. */
#define WINDOW_BITS (-12)
/* Larger than any cluster: a stream that asks for more is hostile. */
#define ZSTD_WINDOW_LOG_MAX 23

static bool inflate_zlib(const void *stream, size_t stream_size, void *bytes, size_t size)
{
        z_stream z = {
                .next_in = (Bytef *) stream,
                .avail_in = (uInt) stream_size,
                .next_out = bytes,
                .avail_out = (uInt) size,
        };

        if (inflateInit2(&z, WINDOW_BITS) != Z_OK)
                return false;
        int r = inflate(&z, Z_FINISH);
        bool full = (r == Z_STREAM_END || r == Z_BUF_ERROR) && z.avail_out == 0;
        (void) inflateEnd(&z);
        return full;
}

static bool inflate_zstd(const void *stream, size_t stream_size, void *bytes, size_t size)
{
        ZSTD_inBuffer in = {.src = stream, .size = stream_size};
        ZSTD_outBuffer out = {.dst = bytes, .size = size};
        ZSTD_DCtx *context = ZSTD_createDCtx();
        bool good = context && !ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax,
                                                                    ZSTD_WINDOW_LOG_MAX));

        while (good && out.pos < out.size) {
                size_t in_before = in.pos, out_before = out.pos;

                size_t r = ZSTD_decompressStream(context, &out, &in);
                bool stuck = in.pos == in_before && out.pos == out_before;
                good = !ZSTD_isError(r) && !stuck;
        }
        ZSTD_freeDCtx(context);
        return good;
}

bool inflate_cluster(Qcow2Compression compression, const void *stream, size_t stream_size,
                     void *bytes, size_t size)
{
        switch (compression) {
        case QCOW2_ZLIB:
                return inflate_zlib(stream, stream_size, bytes, size);
        case QCOW2_ZSTD:
                return inflate_zstd(stream, stream_size, bytes, size);
        }
        return false;
}
