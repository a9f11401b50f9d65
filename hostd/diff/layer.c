/* SPDX-License-Identifier: MIT */
#include "diff/layer.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "diff/inflate.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* L2 tables are kept in slices of this size: 2048 entries, 128 MiB of disk with usual clusters. */
#define SLICE_BYTES        16384
#define SLICES             16
#define CLUSTER_CACHE_SIZE (UINT64_C(4) << 20)

#define ENTRY_COMPRESSED  (UINT64_C(1) << 62)
#define ENTRY_OFFSET_MASK UINT64_C(0x00fffffffffffe00)
#define ENTRY_ZERO        UINT64_C(1)

typedef struct Slice {
        uint64_t host_offset; /* 0: empty */
        uint64_t *entries;
} Slice;

typedef struct Cluster {
        uint64_t host_offset; /* 0: empty */
        uint8_t *bytes;
} Cluster;

struct Layer {
        unsigned refs;
        int fd;
        DiskFormat format;
        char *name;
        dev_t device;
        ino_t inode;
        uint64_t file_size;

        Qcow2Header header;
        uint64_t *l1; /* as in the file: big-endian */
        Slice slices[SLICES];
        uint64_t *slice_entries; /* of all slices */
        Cluster *clusters;
        unsigned n_clusters;
};

static int corrupt(const Layer *layer, const char *what, Fault *f)
{
        return fault_set(f, FAULT_IMAGE_REFUSED, "image '%s' is damaged: %s; see qemu-img check",
                         layer->name, what);
}

static int read_host(const Layer *layer, void *buffer, size_t size, uint64_t offset, Fault *f)
{
        int r = pread_all(layer->fd, buffer, size, offset);

        if (r == -ENODATA)
                return corrupt(layer, "it ends early", f);
        return r < 0 ? fault_set_errno(f, FAULT_IO, r, "cannot read image '%s'", layer->name) : 0;
}

/* As QEMU does: the last cluster may be cut short by the end of the file, and reads as zeros. */
static int read_data(const Layer *layer, void *buffer, size_t size, uint64_t offset, Fault *f)
{
        uint64_t inside = offset < layer->file_size ? layer->file_size - offset : 0;
        size_t n = (size_t) MIN(size, inside);

        memset((char *) buffer + n, 0, size - n);
        return n > 0 ? read_host(layer, buffer, n, offset, f) : 0;
}

static uint64_t cluster_size(const Layer *layer)
{
        return UINT64_C(1) << layer->header.cluster_bits;
}

static int load_slice(Layer *layer, uint64_t host_offset, const Slice **ret, Fault *f)
{
        size_t bytes = (size_t) MIN(cluster_size(layer), SLICE_BYTES);
        Slice *slice = &layer->slices[host_offset / bytes % SLICES];

        if (slice->host_offset != host_offset) {
                slice->host_offset = 0;
                if (host_offset > layer->file_size || bytes > layer->file_size - host_offset)
                        return corrupt(layer, "an L2 table lies outside the file", f);
                int r = read_host(layer, slice->entries, bytes, host_offset, f);
                if (r < 0)
                        return r;
                slice->host_offset = host_offset;
        }
        *ret = slice;
        return 0;
}

static void set_simple(LayerExtent *extent, ExtentKind kind, uint64_t host_offset, uint64_t length)
{
        *extent = (LayerExtent){.kind = kind, .length = length, .host_offset = host_offset};
}

static int map_compressed(const Layer *layer, uint64_t entry, uint64_t in_cluster, LayerExtent *ret,
                          Fault *f)
{
        unsigned bits = 62 - (layer->header.cluster_bits - 8);
        uint64_t offset = entry & ((UINT64_C(1) << bits) - 1);
        uint64_t sectors = ((entry & (ENTRY_COMPRESSED - 1)) >> bits) + 1;

        if (offset == 0 || offset >= layer->file_size)
                return corrupt(layer, "a compressed cluster lies outside the file", f);
        uint64_t size = MIN(sectors * 512 - (offset & 511), layer->file_size - offset);
        *ret = (LayerExtent){
                .kind = EXTENT_COMPRESSED,
                .length = cluster_size(layer) - in_cluster,
                .host_offset = offset,
                .stream_size = (uint32_t) size,
                .skip = (uint32_t) in_cluster,
        };
        return 0;
}

/* Extended L2: the second word has a bit "allocated" and a bit "zero" for each of 32 subclusters.
 */
static int map_subcluster(const Layer *layer, uint64_t host, uint64_t bitmap, uint64_t in_cluster,
                          LayerExtent *ret, Fault *f)
{
        uint64_t size = cluster_size(layer) / 32;
        unsigned i = (unsigned) (in_cluster / size);
        bool allocated = bitmap >> i & 1;
        bool zero = bitmap >> (i + 32) & 1;

        if ((allocated && zero) || (allocated && host == 0))
                return corrupt(layer, "the bits of a subcluster contradict each other", f);
        set_simple(ret,
                   allocated ? EXTENT_DATA
                   : zero    ? EXTENT_ZERO
                             : EXTENT_ABSENT,
                   allocated ? host + in_cluster : 0, size - in_cluster % size);
        return 0;
}

static int map_entry(const Layer *layer, const uint64_t *entries, uint64_t index,
                     uint64_t in_cluster, LayerExtent *ret, Fault *f)
{
        bool extended = layer->header.extended_l2;
        uint64_t entry = GUINT64_FROM_BE(entries[extended ? index * 2 : index]);
        uint64_t host = entry & ENTRY_OFFSET_MASK;

        if (entry & ENTRY_COMPRESSED)
                return map_compressed(layer, entry, in_cluster, ret, f);
        if (host & (cluster_size(layer) - 1))
                return corrupt(layer, "a cluster's place is not aligned", f);
        if (extended)
                return map_subcluster(layer, host, GUINT64_FROM_BE(entries[index * 2 + 1]),
                                      in_cluster, ret, f);
        bool zero = layer->header.version >= 3 && (entry & ENTRY_ZERO);
        ExtentKind kind = zero ? EXTENT_ZERO : host ? EXTENT_DATA : EXTENT_ABSENT;
        set_simple(ret, kind, kind == EXTENT_DATA ? host + in_cluster : 0,
                   cluster_size(layer) - in_cluster);
        return 0;
}

static bool joins(const LayerExtent *a, const LayerExtent *b)
{
        if (a->kind != b->kind || a->kind == EXTENT_COMPRESSED)
                return false;
        return a->kind != EXTENT_DATA || a->host_offset + a->length == b->host_offset;
}

/* How many entries from the first on have nothing, of at most `n`. */
static uint64_t count_absent(const Layer *layer, const uint64_t *entries, uint64_t n)
{
        uint64_t i = 0;

        if (layer->header.extended_l2)
                return 0;
        while (i < n && entries[i] == 0)
                i++;
        return i;
}

/* One run within a slice of an L2 table: entries that continue each other are joined. */
static int map_slice(Layer *layer, uint64_t offset, uint64_t length, LayerExtent *ret, Fault *f)
{
        unsigned entry_size = layer->header.extended_l2 ? 16 : 8;
        uint64_t table_entries = cluster_size(layer) / entry_size;
        uint64_t slice_entries = MIN(cluster_size(layer), SLICE_BYTES) / entry_size;
        uint64_t cluster = offset >> layer->header.cluster_bits;
        uint64_t table = GUINT64_FROM_BE(layer->l1[cluster / table_entries]) & ENTRY_OFFSET_MASK;
        uint64_t in_table = cluster % table_entries;

        if (table == 0) {
                uint64_t span = table_entries << layer->header.cluster_bits;
                set_simple(ret, EXTENT_ABSENT, 0, MIN(length, span - offset % span));
                return 0;
        }
        if (table & (cluster_size(layer) - 1))
                return corrupt(layer, "an L2 table is not aligned", f);

        const Slice *slice = NULL;
        uint64_t first = in_table - in_table % slice_entries;
        int r = load_slice(layer, table + first * entry_size, &slice, f);
        if (r < 0)
                return r;
        uint64_t slice_end = (cluster - in_table + first + slice_entries)
                             << layer->header.cluster_bits;
        uint64_t end = MIN(offset + length, slice_end);
        uint64_t absent = count_absent(layer, slice->entries + (in_table - first),
                                       slice_entries - (in_table - first));

        if (absent > 0) {
                uint64_t absent_end = (cluster + absent) << layer->header.cluster_bits;

                set_simple(ret, EXTENT_ABSENT, 0, MIN(absent_end, end) - offset);
                return 0;
        }
        for (uint64_t at = offset; at < end;) {
                LayerExtent next;

                r = map_entry(layer, slice->entries,
                              (at >> layer->header.cluster_bits) % table_entries - first,
                              at & (cluster_size(layer) - 1), &next, f);
                if (r < 0)
                        return r;
                next.length = MIN(next.length, end - at);
                if (at == offset)
                        *ret = next;
                else if (joins(ret, &next))
                        ret->length += next.length;
                else
                        break;
                at += next.length;
        }
        return 0;
}

static int load_cluster(Layer *layer, const LayerExtent *extent, const uint8_t **ret, Fault *f)
{
        size_t size = (size_t) cluster_size(layer);
        Cluster *cluster = &layer->clusters[extent->host_offset / 512 % layer->n_clusters];

        if (cluster->host_offset != extent->host_offset) {
                g_autofree uint8_t *stream = g_malloc(extent->stream_size);

                cluster->host_offset = 0;
                if (!cluster->bytes)
                        cluster->bytes = g_malloc(size);
                int r = read_host(layer, stream, extent->stream_size, extent->host_offset, f);
                if (r < 0)
                        return r;
                if (!inflate_cluster(layer->header.compression, stream, extent->stream_size,
                                     cluster->bytes, size))
                        return corrupt(layer, "a compressed cluster cannot be read", f);
                cluster->host_offset = extent->host_offset;
        }
        *ret = cluster->bytes;
        return 0;
}

static int open_qcow2(Layer *layer, Fault *f)
{
        size_t size = (size_t) MIN(layer->file_size, QCOW2_HEADER_MAX);
        g_autofree uint8_t *bytes = g_malloc(QCOW2_HEADER_MAX);
        Fault inner = {0};

        int r = read_host(layer, bytes, size, 0, f);
        if (r < 0)
                return r;
        r = qcow2_header_parse(bytes, size, layer->file_size, &layer->header, &inner);
        if (r == 0)
                r = qcow2_header_check_readable(&layer->header, &inner);
        if (r < 0)
                return fault_set(f, inner.code, "'%s': %s", layer->name, inner.message);

        size_t l1_bytes = (size_t) layer->header.l1_size * sizeof(uint64_t);
        layer->l1 = g_try_malloc(MAX(l1_bytes, 1));
        layer->slice_entries = g_try_malloc((size_t) SLICES * SLICE_BYTES);
        layer->n_clusters = (unsigned) CLAMP(CLUSTER_CACHE_SIZE / cluster_size(layer), 1, 256);
        layer->clusters = g_try_new0(Cluster, layer->n_clusters);
        if (!layer->l1 || !layer->slice_entries || !layer->clusters)
                return fault_set(f, FAULT_NO_MEMORY, "image '%s' needs too much memory",
                                 layer->name);
        for (unsigned i = 0; i < SLICES; i++)
                layer->slices[i].entries =
                        layer->slice_entries + (size_t) i * SLICE_BYTES / sizeof(uint64_t);
        return read_host(layer, layer->l1, l1_bytes, layer->header.l1_offset, f);
}

int layer_open(int fd, DiskFormat format, const char *name, Layer **ret, Fault *f)
{
        g_autoptr(Layer) layer = g_new0(Layer, 1);
        struct stat st;

        layer->refs = 1;
        layer->fd = fd;
        layer->format = format;
        layer->name = g_strdup(name);
        if (fstat(fd, &st) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot read image '%s'", name);
        if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
                return fault_set(f, FAULT_IMAGE_REFUSED, "'%s' is not a disk image", name);
        off_t end = lseek(fd, 0, SEEK_END);
        if (end < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot read image '%s'", name);
        layer->device = st.st_dev;
        layer->inode = st.st_ino;
        layer->file_size = (uint64_t) end;
        if (format == DISK_QCOW2) {
                int r = open_qcow2(layer, f);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(layer);
        return 0;
}

Layer *layer_ref(Layer *layer)
{
        layer->refs++;
        return layer;
}

Layer *layer_unref(Layer *layer)
{
        if (!layer || --layer->refs > 0)
                return NULL;
        for (unsigned i = 0; layer->clusters && i < layer->n_clusters; i++)
                g_free(layer->clusters[i].bytes);
        g_free(layer->clusters);
        g_free(layer->slice_entries);
        g_free(layer->l1);
        g_free(layer->name);
        (void) close_fd(layer->fd);
        g_free(layer);
        return NULL;
}

const char *layer_name(const Layer *layer)
{
        return layer->name;
}

uint64_t layer_size(const Layer *layer)
{
        return layer->format == DISK_QCOW2 ? layer->header.virtual_size : layer->file_size;
}

int layer_fd(const Layer *layer)
{
        return layer->fd;
}

const Qcow2Header *layer_header(const Layer *layer)
{
        return layer->format == DISK_QCOW2 ? &layer->header : NULL;
}

bool layer_is_file(const Layer *layer, dev_t device, ino_t inode, DiskFormat format)
{
        return layer->device == device && layer->inode == inode && layer->format == format;
}

int layer_map(Layer *layer, uint64_t offset, uint64_t length, LayerExtent *ret, Fault *f)
{
        uint64_t size = layer_size(layer);

        g_assert(length > 0);
        if (offset >= size) {
                set_simple(ret, EXTENT_ZERO, 0, length);
                return 0;
        }
        length = MIN(length, size - offset);
        if (layer->format == DISK_QCOW2)
                return map_slice(layer, offset, length, ret, f);
        set_simple(ret, EXTENT_DATA, offset, length);
        return 0;
}

int layer_read(Layer *layer, const LayerExtent *extent, void *buffer, size_t size, Fault *f)
{
        const uint8_t *cluster = NULL;

        g_assert(size <= extent->length);
        if (extent->kind == EXTENT_DATA)
                return read_data(layer, buffer, size, extent->host_offset, f);
        g_assert(extent->kind == EXTENT_COMPRESSED);
        int r = load_cluster(layer, extent, &cluster, f);
        if (r < 0)
                return r;
        memcpy(buffer, cluster + extent->skip, size);
        return 0;
}
