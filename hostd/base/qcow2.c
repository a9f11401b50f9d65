/* SPDX-License-Identifier: MIT */
#include "base/qcow2.h"

#include <glib.h>
#include <string.h>

#define QCOW2_MAGIC           UINT32_C(0x514649fb)
#define V2_HEADER_LENGTH      72
#define V3_HEADER_LENGTH      104
#define L1_BYTES_MAX          (UINT64_C(32) << 20)
#define REFCOUNT_TABLE_MAX    (UINT64_C(8) << 20)
#define SNAPSHOTS_MAX         65536
#define EXTENDED_CLUSTER_BITS 14

#define EXTENSION_END            UINT32_C(0)
#define EXTENSION_BACKING_FORMAT UINT32_C(0xe2792aca)
#define EXTENSION_DATA_FILE      UINT32_C(0x44415441)

typedef struct Reader {
        const uint8_t *bytes;
        size_t size;
} Reader;

/* All callers stay below a size that they have checked. */
static uint32_t read_u32(const Reader *in, size_t offset)
{
        uint32_t value;

        g_assert(offset + sizeof(value) <= in->size);
        memcpy(&value, in->bytes + offset, sizeof(value));
        return GUINT32_FROM_BE(value);
}

static uint64_t read_u64(const Reader *in, size_t offset)
{
        return (uint64_t) read_u32(in, offset) << 32 | read_u32(in, offset + 4);
}

static int check_table(const char *what, uint64_t offset, uint64_t length, uint32_t cluster_bits,
                       uint64_t file_size, Fault *f)
{
        if (offset & ((UINT64_C(1) << cluster_bits) - 1))
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "qcow2 header: the %s is not aligned to a cluster", what);
        if (length > 0 && offset == 0)
                return fault_set(f, FAULT_IMAGE_REFUSED, "qcow2 header: the %s overlaps the header",
                                 what);
        if (offset > file_size || length > file_size - offset)
                return fault_set(
                        f, FAULT_IMAGE_REFUSED,
                        "qcow2 header: the %s lies outside the file; is the file complete?", what);
        return 0;
}

static int check_l1(const Qcow2Header *h, uint64_t file_size, Fault *f)
{
        uint32_t entry_bits = h->extended_l2 ? 4 : 3;
        uint32_t bits = h->cluster_bits + (h->cluster_bits - entry_bits);
        uint64_t needed = (h->virtual_size >> bits) +
                          ((h->virtual_size & ((UINT64_C(1) << bits) - 1)) ? 1 : 0);

        if (h->l1_size > L1_BYTES_MAX / sizeof(uint64_t))
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "qcow2 header: an L1 table of %" G_GUINT32_FORMAT
                                 " entries is absurd",
                                 h->l1_size);
        if (h->l1_size < needed)
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "qcow2 header: the L1 table is too small for the virtual size");
        return check_table("L1 table", h->l1_offset, (uint64_t) h->l1_size * sizeof(uint64_t),
                           h->cluster_bits, file_size, f);
}

static int check_refcounts(const Qcow2Header *h, uint64_t file_size, Fault *f)
{
        uint64_t length = (uint64_t) h->refcount_table_clusters << h->cluster_bits;

        if (length == 0 || length > REFCOUNT_TABLE_MAX)
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "qcow2 header: a refcount table of %" G_GUINT32_FORMAT
                                 " clusters is absurd",
                                 h->refcount_table_clusters);
        return check_table("refcount table", h->refcount_table_offset, length, h->cluster_bits,
                           file_size, f);
}

static int copy_text(const char *what, const Reader *in, size_t offset, size_t length, char *ret,
                     size_t capacity, Fault *f)
{
        if (length >= capacity)
                return fault_set(f, FAULT_IMAGE_REFUSED, "qcow2 header: the %s is too long", what);
        if (offset > in->size || length > in->size - offset)
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "qcow2 header: the %s lies outside the header", what);
        if (memchr(in->bytes + offset, '\0', length))
                return fault_set(f, FAULT_IMAGE_REFUSED, "qcow2 header: the %s contains a NUL byte",
                                 what);
        memcpy(ret, in->bytes + offset, length);
        ret[length] = '\0';
        return 0;
}

static int parse_backing_file(const Reader *in, Qcow2Header *h, Fault *f)
{
        uint64_t offset = read_u64(in, 8);
        uint32_t length = read_u32(in, 16);

        if (offset == 0 || length == 0)
                return 0;
        if (offset > in->size)
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "qcow2 header: the backing file's name lies outside the header");
        return copy_text("backing file's name", in, (size_t) offset, length, h->backing_file,
                         sizeof(h->backing_file), f);
}

/* Extensions follow the header, each padded to 8 bytes, up to the end mark, the backing file's name
 * or the end of the first cluster. */
static int parse_extensions(const Reader *in, Qcow2Header *h, Fault *f)
{
        uint64_t backing_offset = read_u64(in, 8);
        size_t end = MIN(in->size, (size_t) 1 << h->cluster_bits);
        size_t at = h->header_length;

        if (backing_offset >= at && backing_offset < end)
                end = (size_t) backing_offset;
        while (at + 8 <= end) {
                uint32_t type = read_u32(in, at);
                size_t length = read_u32(in, at + 4);

                at += 8;
                if (type == EXTENSION_END)
                        return 0;
                if (length > end - at)
                        return fault_set(f, FAULT_IMAGE_REFUSED,
                                         "qcow2 header: an extension lies outside the header");
                if (type == EXTENSION_DATA_FILE)
                        h->has_external_data_file = true;
                if (type == EXTENSION_BACKING_FORMAT) {
                        int r = copy_text("backing file's format", in, at, length,
                                          h->backing_format, sizeof(h->backing_format), f);
                        if (r < 0)
                                return r;
                }
                at += (length + 7) & ~(size_t) 7;
        }
        return 0;
}

static int parse_v3_fields(const Reader *in, Qcow2Header *h, Fault *f)
{
        if (in->size < V3_HEADER_LENGTH)
                return fault_set(f, FAULT_IMAGE_REFUSED, "qcow2 header: the file is cut short");
        h->incompatible_features = read_u64(in, 72);
        h->compatible_features = read_u64(in, 80);
        h->autoclear_features = read_u64(in, 88);
        uint32_t refcount_order = read_u32(in, 96);
        h->header_length = read_u32(in, 100);
        if (refcount_order > 6)
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "qcow2 header: refcounts of 2^%" G_GUINT32_FORMAT " bits",
                                 refcount_order);
        if (h->header_length < V3_HEADER_LENGTH || h->header_length % 8 != 0 ||
            h->header_length > in->size || h->header_length > UINT32_C(1) << h->cluster_bits)
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "qcow2 header: a header length of %" G_GUINT32_FORMAT " is absurd",
                                 h->header_length);

        uint8_t compression = h->header_length > V3_HEADER_LENGTH ? in->bytes[104] : QCOW2_ZLIB;
        if (compression > QCOW2_ZSTD)
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "qcow2 header: compression type %u is unknown", compression);
        bool marked = h->incompatible_features & QCOW2_INCOMPATIBLE_COMPRESSION;
        if (marked != (compression != QCOW2_ZLIB))
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "qcow2 header: the compression type contradicts its feature bit");
        h->compression = (Qcow2Compression) compression;
        h->extended_l2 = h->incompatible_features & QCOW2_INCOMPATIBLE_EXTENDED_L2;
        if (h->incompatible_features & QCOW2_INCOMPATIBLE_EXTERNAL_DATA)
                h->has_external_data_file = true;
        if (h->extended_l2 && h->cluster_bits < EXTENDED_CLUSTER_BITS)
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "qcow2 header: extended L2 entries need clusters of 16 KiB");
        return 0;
}

static int parse_common_fields(const Reader *in, Qcow2Header *h, Fault *f)
{
        if (in->size < V2_HEADER_LENGTH || read_u32(in, 0) != QCOW2_MAGIC)
                return fault_set(f, FAULT_IMAGE_REFUSED, "the file is not a qcow2 image");
        h->version = read_u32(in, 4);
        if (h->version != 2 && h->version != 3)
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "qcow version %" G_GUINT32_FORMAT
                                 " is not supported; convert it: qemu-img convert -O qcow2",
                                 h->version);
        h->cluster_bits = read_u32(in, 20);
        if (h->cluster_bits < QCOW2_CLUSTER_BITS_MIN || h->cluster_bits > QCOW2_CLUSTER_BITS_MAX)
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "qcow2 header: clusters of 2^%" G_GUINT32_FORMAT " bytes",
                                 h->cluster_bits);
        h->virtual_size = read_u64(in, 24);
        if (h->virtual_size > QCOW2_VIRTUAL_SIZE_MAX)
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "the disk has a virtual size of %" G_GUINT64_FORMAT
                                 " bytes; at most 16 TiB are accepted",
                                 h->virtual_size);
        h->crypt_method = read_u32(in, 32);
        h->l1_size = read_u32(in, 36);
        h->l1_offset = read_u64(in, 40);
        h->refcount_table_offset = read_u64(in, 48);
        h->refcount_table_clusters = read_u32(in, 56);
        h->nb_snapshots = read_u32(in, 60);
        if (h->nb_snapshots > SNAPSHOTS_MAX)
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "qcow2 header: %" G_GUINT32_FORMAT " internal snapshots",
                                 h->nb_snapshots);
        h->header_length = V2_HEADER_LENGTH;
        return 0;
}

int qcow2_header_parse(const void *bytes, size_t size, uint64_t file_size, Qcow2Header *ret,
                       Fault *f)
{
        Reader in = {.bytes = bytes, .size = MIN(size, (size_t) MIN(file_size, QCOW2_HEADER_MAX))};
        Qcow2Header h = {0};

        int r = parse_common_fields(&in, &h, f);
        if (r == 0 && h.version == 3)
                r = parse_v3_fields(&in, &h, f);
        if (r == 0)
                r = parse_backing_file(&in, &h, f);
        if (r == 0)
                r = parse_extensions(&in, &h, f);
        if (r == 0)
                r = check_l1(&h, file_size, f);
        if (r == 0)
                r = check_refcounts(&h, file_size, f);
        if (r < 0)
                return r;
        *ret = h;
        return 0;
}

int qcow2_header_check_readable(const Qcow2Header *h, Fault *f)
{
        if (h->crypt_method != 0)
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "the image is encrypted; decrypt it first: "
                                 "qemu-img convert -O qcow2");
        if (h->has_external_data_file)
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "the image keeps its data in another file; make it one file "
                                 "first: qemu-img convert -O qcow2");
        if (h->incompatible_features & QCOW2_INCOMPATIBLE_CORRUPT)
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "the image is marked as corrupt; repair it first: "
                                 "qemu-img check -r all");
        uint64_t unknown = h->incompatible_features & ~QCOW2_INCOMPATIBLE_KNOWN;
        if (unknown)
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "the image uses unknown features (0x%" G_GINT64_MODIFIER
                                 "x); convert it with the qemu-img that made it",
                                 unknown);
        return 0;
}

int qcow2_header_check_standalone(const Qcow2Header *h, Fault *f)
{
        int r = qcow2_header_check_readable(h, f);

        if (r < 0)
                return r;
        if (h->backing_file[0])
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "the image has a backing file ('%.200s'); flatten it first: "
                                 "qemu-img convert -O qcow2",
                                 h->backing_file);
        if (h->nb_snapshots > 0)
                return fault_set(
                        f, FAULT_IMAGE_REFUSED,
                        "the image has %" G_GUINT32_FORMAT
                        " internal snapshots; leave them behind: qemu-img convert -O qcow2",
                        h->nb_snapshots);
        if (h->incompatible_features & QCOW2_INCOMPATIBLE_DIRTY)
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "the image was not closed cleanly; stop what uses it, then: "
                                 "qemu-img check -r all");
        return 0;
}

typedef struct Magic {
        const char *name;
        size_t offset, length;
        const char *bytes;
} Magic;

static const Magic foreign_formats[] = {
        {"qcow (version 1)", 0, 8, "QFI\xfb\0\0\0\1"},
        {"QED", 0, 4, "QED"},
        {"VMDK", 0, 4, "KDMV"},
        {"VMDK", 0, 4, "COWD"},
        {"VMDK", 0, 21, "# Disk DescriptorFile"},
        {"VHDX", 0, 8, "vhdxfile"},
        {"VHD", 0, 8, "conectix"},
        {"VDI", 64, 4, "\x7f\x10\xda\xbe"},
        {"Parallels", 0, 16, "WithoutFreeSpace"},
        {"Parallels", 0, 16, "WithouFreSpacExt"},
        {"Bochs", 0, 22, "Bochs Virtual HD Image"},
        {"LUKS (encrypted)", 0, 6, "LUKS\xba\xbe"},
        {"gzip", 0, 3, "\x1f\x8b\x08"},
        {"xz", 0, 6,
         "\xfd"
         "7zXZ\0"},
        {"zstd", 0, 4, "\x28\xb5\x2f\xfd"},
        {"bzip2", 0, 3, "BZh"},
        {"zip", 0, 4, "PK\3\4"},
};

int disk_format_probe(const void *bytes, size_t size, DiskFormat *ret, Fault *f)
{
        static const uint8_t magic[4] = {'Q', 'F', 'I', 0xfb};
        const uint8_t *p = bytes;

        for (size_t i = 0; i < G_N_ELEMENTS(foreign_formats); i++) {
                const Magic *m = &foreign_formats[i];

                if (size >= m->offset + m->length &&
                    memcmp(p + m->offset, m->bytes, m->length) == 0)
                        return fault_set(f, FAULT_IMAGE_REFUSED,
                                         "%s images are not supported; make a qcow2 image of it "
                                         "first (qemu-img convert -O qcow2)",
                                         m->name);
        }
        *ret = size >= sizeof(magic) && memcmp(p, magic, sizeof(magic)) == 0 ? DISK_QCOW2
                                                                             : DISK_RAW;
        return 0;
}

const char *disk_format_to_string(DiskFormat format)
{
        switch (format) {
        case DISK_RAW:
                return "raw";
        case DISK_QCOW2:
                return "qcow2";
        }
        g_assert_not_reached();
}

bool disk_format_from_string(const char *text, DiskFormat *ret)
{
        for (DiskFormat format = DISK_RAW; format <= DISK_QCOW2; format++)
                if (strcmp(text, disk_format_to_string(format)) == 0) {
                        *ret = format;
                        return true;
                }
        return false;
}
