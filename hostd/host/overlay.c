/* SPDX-License-Identifier: MIT */
#include "host/overlay.h"

#include "base/file.h"
#include "base/qcow2.h"

#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define CLUSTER_BITS             16
#define CLUSTER                  ((size_t) 1 << CLUSTER_BITS)
#define HEADER_LENGTH            104
#define REFCOUNT_ORDER           4 /* 16 bits each */
#define EXTENSION_BACKING_FORMAT UINT32_C(0xe2792aca)

/* An L1 entry is for an L2 table of one cluster, which is for a cluster with each of its entries.
 */
#define BYTES_PER_L1_ENTRY ((uint64_t) CLUSTER / sizeof(uint64_t) * CLUSTER)

/* The file: header, reference count table, its only block, L1 table (all zero: a hole). */
enum { HEADER_AT, REFCOUNT_TABLE_AT, REFCOUNT_BLOCK_AT, L1_AT };

typedef struct Writer {
        uint8_t *bytes; /* of REFCOUNT_BLOCK_AT + 1 clusters */
        size_t at;
} Writer;

static void put_bytes(Writer *out, const void *bytes, size_t size)
{
        memcpy(out->bytes + out->at, bytes, size);
        out->at += size;
}

static void put_u16(Writer *out, uint16_t value)
{
        value = GUINT16_TO_BE(value);
        put_bytes(out, &value, sizeof value);
}

static void put_u32(Writer *out, uint32_t value)
{
        value = GUINT32_TO_BE(value);
        put_bytes(out, &value, sizeof value);
}

static void put_u64(Writer *out, uint64_t value)
{
        value = GUINT64_TO_BE(value);
        put_bytes(out, &value, sizeof value);
}

static size_t extension_size(const char *backing_format)
{
        return 8 + (strlen(backing_format) + 7) / 8 * 8;
}

static void put_header(Writer *out, const char *backing_path, const char *backing_format,
                       uint64_t virtual_size, uint32_t l1_entries)
{
        size_t end_size = 8, name_at = HEADER_LENGTH + extension_size(backing_format) + end_size;

        put_bytes(out, "QFI\xfb", 4);
        put_u32(out, 3);
        put_u64(out, name_at);
        put_u32(out, (uint32_t) strlen(backing_path));
        put_u32(out, CLUSTER_BITS);
        put_u64(out, virtual_size);
        put_u32(out, 0); /* no encryption */
        put_u32(out, l1_entries);
        put_u64(out, (uint64_t) L1_AT * CLUSTER);
        put_u64(out, (uint64_t) REFCOUNT_TABLE_AT * CLUSTER);
        put_u32(out, 1); /* cluster of reference count table */
        put_u32(out, 0); /* snapshots, and where */
        put_u64(out, 0);
        put_u64(out, 0); /* incompatible, compatible, autoclear features */
        put_u64(out, 0);
        put_u64(out, 0);
        put_u32(out, REFCOUNT_ORDER);
        put_u32(out, HEADER_LENGTH);

        put_u32(out, EXTENSION_BACKING_FORMAT);
        put_u32(out, (uint32_t) strlen(backing_format));
        put_bytes(out, backing_format, strlen(backing_format));
        out->at = name_at;
        put_bytes(out, backing_path, strlen(backing_path));
}

static void put_refcounts(Writer *out, uint32_t clusters)
{
        out->at = REFCOUNT_TABLE_AT * CLUSTER;
        put_u64(out, (uint64_t) REFCOUNT_BLOCK_AT * CLUSTER);
        out->at = REFCOUNT_BLOCK_AT * CLUSTER;
        for (uint32_t i = 0; i < clusters; i++)
                put_u16(out, 1);
}

int overlay_write(int fd, const char *backing_path, const char *backing_format,
                  uint64_t virtual_size_bytes, Fault *f)
{
        if (strlen(backing_path) > QCOW2_BACKING_NAME_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "the path '%.80s…' is too long",
                                 backing_path);
        if (virtual_size_bytes == 0 || virtual_size_bytes > QCOW2_VIRTUAL_SIZE_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "a disk of %" PRIu64 " bytes is not possible", virtual_size_bytes);

        uint32_t l1_entries =
                (uint32_t) ((virtual_size_bytes + BYTES_PER_L1_ENTRY - 1) / BYTES_PER_L1_ENTRY);
        uint32_t l1_clusters =
                (uint32_t) (((uint64_t) l1_entries * sizeof(uint64_t) + CLUSTER - 1) / CLUSTER);
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        g_byte_array_set_size(bytes, (guint) ((REFCOUNT_BLOCK_AT + 1) * CLUSTER));
        memset(bytes->data, 0, bytes->len);
        Writer out = {.bytes = bytes->data};

        put_header(&out, backing_path, backing_format, virtual_size_bytes, l1_entries);
        put_refcounts(&out, L1_AT + l1_clusters);
        int r = write_all(fd, bytes->data, out.at);
        if (r >= 0 && ftruncate(fd, (off_t) ((L1_AT + l1_clusters) * CLUSTER)) < 0)
                r = -errno;
        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "cannot write the overlay's header");
        return 0;
}
