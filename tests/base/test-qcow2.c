/* SPDX-License-Identifier: MIT */
#include "base/qcow2.h"
#include "tests/tap.h"

#include <glib.h>

#define CLUSTER   65536
#define FILE_SIZE (4 * CLUSTER)

typedef struct Image {
        uint8_t bytes[CLUSTER];
} Image;

static void put_u32(Image *image, size_t offset, uint32_t value)
{
        uint32_t big = GUINT32_TO_BE(value);

        memcpy(image->bytes + offset, &big, sizeof(big));
}

static void put_u64(Image *image, size_t offset, uint64_t value)
{
        put_u32(image, offset, (uint32_t) (value >> 32));
        put_u32(image, offset + 4, (uint32_t) value);
}

/* 1 GiB, clusters of 64 KiB, as qemu-img makes them. */
static Image make_image(uint32_t version)
{
        Image image = {0};

        put_u32(&image, 0, 0x514649fb);
        put_u32(&image, 4, version);
        put_u32(&image, 20, 16);
        put_u64(&image, 24, UINT64_C(1) << 30);
        put_u32(&image, 36, 2);
        put_u64(&image, 40, 3 * CLUSTER);
        put_u64(&image, 48, CLUSTER);
        put_u32(&image, 56, 1);
        if (version == 3) {
                put_u32(&image, 96, 4);
                put_u32(&image, 100, 104);
        }
        return image;
}

static void put_extension(Image *image, size_t at, uint32_t type, const char *text)
{
        put_u32(image, at, type);
        put_u32(image, at + 4, (uint32_t) strlen(text));
        memcpy(image->bytes + at + 8, text, strlen(text));
}

static void put_backing(Image *image, const char *name)
{
        put_u64(image, 8, 4096);
        put_u32(image, 16, (uint32_t) strlen(name));
        memcpy(image->bytes + 4096, name, strlen(name));
}

static int parse(const Image *image, Qcow2Header *ret, Fault *f)
{
        return qcow2_header_parse(image->bytes, sizeof(image->bytes), FILE_SIZE, ret, f);
}

static void test_good(void)
{
        for (uint32_t version = 2; version <= 3; version++) {
                Image image = make_image(version);
                Qcow2Header header;

                tap_is_int(parse(&image, &header, NULL), 0, "version %u is parsed", version);
                tap_is_int((int64_t) header.virtual_size, 1 << 30, "its virtual size is read");
                tap_is_int(header.l1_size, 2, "its L1 table is read");
                tap_is_int(qcow2_header_check_standalone(&header, NULL), 0,
                           "version %u without a backing file stands alone", version);
        }
}

static void test_backing(void)
{
        Image image = make_image(3);
        Qcow2Header header;
        Fault f = {0};

        put_extension(&image, 104, 0xe2792aca, "raw");
        put_backing(&image, "base.img");
        tap_is_int(parse(&image, &header, NULL), 0, "a backing file is parsed");
        tap_is_str(header.backing_file, "base.img", "the backing file's name is exact");
        tap_is_str(header.backing_format, "raw", "the backing file's format is read");
        tap_is_int(qcow2_header_check_readable(&header, NULL), 0, "an overlay can be read");
        tap_ok(qcow2_header_check_standalone(&header, &f) < 0, "an overlay does not stand alone");
        tap_ok(strstr(f.message, "flatten it first: qemu-img convert") != NULL,
               "the reason says what to do");
}

/* One field that is changed in a good header of version 3. */
typedef struct Refusal {
        const char *sentence;
        size_t offset;
        uint32_t value;
        const char *reason; /* part of the message */
} Refusal;

static const Refusal unparsable[] = {
        {"another magic number is refused", 0, 0x514649fa, "not a qcow2 image"},
        {"version 1 is refused", 4, 1, "qcow version 1"},
        {"version 4 is refused", 4, 4, "qcow version 4"},
        {"clusters of 256 bytes are refused", 20, 8, "clusters of 2^8"},
        {"clusters of 4 MiB are refused", 20, 22, "clusters of 2^22"},
        {"a disk beyond 16 TiB is refused", 24, 0x00002000, "at most 16 TiB"},
        {"an L1 table of 4 G entries is refused", 36, 0xffffffff, "is absurd"},
        {"an L1 table below the virtual size is refused", 36, 1, "too small"},
        {"an L1 table beyond 4 GiB is refused", 40, 1, "outside the file"},
        {"an L1 table beyond the file is refused", 44, FILE_SIZE, "outside the file"},
        {"an L1 table at an odd place is refused", 44, 3 * CLUSTER + 8, "not aligned"},
        {"an L1 table over the header is refused", 44, 0, "overlaps the header"},
        {"a refcount table beyond the file is refused", 48, 0x7fffffff, "outside the file"},
        {"no refcount table is refused", 56, 0, "is absurd"},
        {"a refcount table of 4 G clusters is refused", 56, 0xffffffff, "is absurd"},
        {"a million snapshots are refused", 60, 1000000, "snapshots"},
        {"refcounts of 128 bits are refused", 96, 7, "refcounts"},
        {"a header of 96 bytes is refused", 100, 96, "header length"},
        {"a header of 105 bytes is refused", 100, 105, "header length"},
        {"a header of 2 GiB is refused", 100, 0x80000000, "header length"},
        {"a compression bit without a type is refused", 76, 8, "contradicts"},
        {"an extension longer than the header is refused", 108, 0xfffffff0, "extension"},
};

static const Refusal unfit[] = {
        {"encryption is refused", 32, 2, "encrypted"},
        {"the corrupt mark is refused", 76, 2, "qemu-img check"},
        {"the dirty mark is refused", 76, 1, "not closed cleanly"},
        {"an external data file is refused", 76, 4, "another file"},
        {"an unknown incompatible feature is refused", 76, 0x100, "unknown features"},
        {"an unknown incompatible feature above bit 31 is refused", 72, 1, "unknown features"},
        {"internal snapshots are refused", 60, 3, "internal snapshots"},
};

static void test_refusals(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(unparsable); i++) {
                const Refusal *refusal = &unparsable[i];
                Image image = make_image(3);
                Qcow2Header header;
                Fault f = {0};

                put_u32(&image, 104, 0x12345678);
                put_u32(&image, refusal->offset, refusal->value);
                bool good = parse(&image, &header, &f) < 0 && f.code == FAULT_IMAGE_REFUSED &&
                            strstr(f.message, refusal->reason);
                tap_ok(good, "%s", refusal->sentence);
                if (!good)
                        tap_note("%s", f.message);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(unfit); i++) {
                const Refusal *refusal = &unfit[i];
                Image image = make_image(3);
                Qcow2Header header;
                Fault f = {0};

                put_u32(&image, refusal->offset, refusal->value);
                bool good = parse(&image, &header, &f) == 0 &&
                            qcow2_header_check_standalone(&header, &f) < 0 &&
                            f.code == FAULT_IMAGE_REFUSED && strstr(f.message, refusal->reason);
                tap_ok(good, "%s", refusal->sentence);
                if (!good)
                        tap_note("%s", f.message);
        }
}

static void test_short_files(void)
{
        Image image = make_image(3);
        Qcow2Header header;
        unsigned accepted = 0;

        for (size_t size = 0; size < 104; size++)
                accepted += qcow2_header_parse(image.bytes, size, FILE_SIZE, &header, NULL) == 0;
        tap_is_int(accepted, 0, "no header that is cut short is accepted");
        put_backing(&image, "base.img");
        tap_ok(qcow2_header_parse(image.bytes, 4100, FILE_SIZE, &header, NULL) < 0,
               "a backing file's name that is cut short is refused");
        put_u32(&image, 16, 1024);
        tap_ok(parse(&image, &header, NULL) < 0, "a backing file's name of 1024 bytes is refused");
        put_u32(&image, 16, 9);
        tap_ok(parse(&image, &header, NULL) < 0, "a NUL in the backing file's name is refused");
}

static void test_compression(void)
{
        Image image = make_image(3);
        Qcow2Header header;

        put_u32(&image, 76, 8);
        put_u32(&image, 100, 112);
        image.bytes[104] = 1;
        tap_is_int(parse(&image, &header, NULL), 0, "zstd is parsed");
        tap_is_int(header.compression, QCOW2_ZSTD, "zstd is told from zlib");
        tap_is_int(qcow2_header_check_standalone(&header, NULL), 0, "zstd stands alone");
        image.bytes[104] = 2;
        tap_ok(parse(&image, &header, NULL) < 0, "an unknown compression is refused");
}

static void test_formats(void)
{
        Image image = make_image(2);
        DiskFormat format = DISK_RAW;
        Fault f = {0};

        tap_ok(disk_format_probe(image.bytes, CLUSTER, &format, NULL) == 0 && format == DISK_QCOW2,
               "qcow2 is told by its magic number");
        tap_ok(disk_format_probe("", 0, &format, NULL) == 0 && format == DISK_RAW,
               "an empty file is raw");
        tap_ok(disk_format_probe("KDMV\1\0\0\0", 8, &format, &f) < 0, "VMDK is refused");
        tap_ok(strstr(f.message, "VMDK") != NULL, "a refused format is named");
        memset(image.bytes, 0, sizeof(image.bytes));
        memcpy(image.bytes + 64, "\x7f\x10\xda\xbe", 4);
        tap_ok(disk_format_probe(image.bytes, CLUSTER, &format, NULL) < 0, "VDI is refused");
        tap_ok(disk_format_from_string("qcow2", &format) && format == DISK_QCOW2,
               "qcow2 is a format");
        tap_ok(!disk_format_from_string("vmdk", &format), "vmdk is no format");
}

int main(void)
{
        test_good();
        test_backing();
        test_refusals();
        test_short_files();
        test_compression();
        test_formats();
        return tap_done();
}
