/* SPDX-License-Identifier: MIT */
#pragma once

/* What a disk image that somebody else made says of itself.
 *
 * A pure parser of the qcow2 header, versions 2 and 3 (qemu: docs/interop/qcow2.txt), and the
 * recognition of other formats by their first bytes. It opens nothing and follows nothing: the
 * caller reads the first QCOW2_HEADER_MAX bytes of the file (or all, where it is shorter) and
 * passes them with the size of the whole file. Every number in Qcow2Header has been held against
 * it.
 *
 * On import: disk_format_probe(), then for DISK_QCOW2 qcow2_header_parse() and
 * qcow2_header_check_standalone(). All refusals are FAULT_IMAGE_REFUSED and say what to do. */

#include "base/fault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QCOW2_HEADER_MAX       65536
#define QCOW2_CLUSTER_BITS_MIN 9
#define QCOW2_CLUSTER_BITS_MAX 21
#define QCOW2_VIRTUAL_SIZE_MAX (UINT64_C(16) << 40)
#define QCOW2_BACKING_NAME_MAX 1023

#define QCOW2_INCOMPATIBLE_DIRTY         (UINT64_C(1) << 0)
#define QCOW2_INCOMPATIBLE_CORRUPT       (UINT64_C(1) << 1)
#define QCOW2_INCOMPATIBLE_EXTERNAL_DATA (UINT64_C(1) << 2)
#define QCOW2_INCOMPATIBLE_COMPRESSION   (UINT64_C(1) << 3)
#define QCOW2_INCOMPATIBLE_EXTENDED_L2   (UINT64_C(1) << 4)
#define QCOW2_INCOMPATIBLE_KNOWN         UINT64_C(0x1f)

typedef enum DiskFormat { DISK_RAW, DISK_QCOW2 } DiskFormat;

typedef enum Qcow2Compression { QCOW2_ZLIB, QCOW2_ZSTD } Qcow2Compression;

typedef struct Qcow2Header {
        uint32_t version;      /* 2 or 3 */
        uint32_t cluster_bits; /* QCOW2_CLUSTER_BITS_MIN to _MAX; at least 14 with extended L2 */
        uint64_t virtual_size; /* bytes, at most QCOW2_VIRTUAL_SIZE_MAX */
        uint32_t crypt_method; /* 0 none, 1 AES, 2 LUKS */

        uint64_t l1_offset; /* cluster-aligned, the table lies within the file */
        uint32_t l1_size;   /* entries; enough for virtual_size */
        uint64_t refcount_table_offset;
        uint32_t refcount_table_clusters;
        uint32_t nb_snapshots;

        uint64_t incompatible_features;
        uint64_t compatible_features;
        uint64_t autoclear_features;
        uint32_t header_length;
        bool extended_l2;
        Qcow2Compression compression;

        /* Exact bytes as the image has them, NUL-terminated, without NUL inside; "" where absent.
         * Hostile text: escape before printing, decide before opening. */
        char backing_file[QCOW2_BACKING_NAME_MAX + 1];
        char backing_format[32];
        bool has_external_data_file;
} Qcow2Header;

/* Which format the first bytes of a file say. Without a known magic number a file is raw; formats
 * that fluid does not read (QED, VMDK, VHDX, compressed files, …) are refused by name. */
int disk_format_probe(const void *bytes, size_t size, DiskFormat *ret, Fault *f);

/* "raw" or "qcow2", as libvirt and qemu-img spell it; from_string returns false for all else. */
const char *disk_format_to_string(DiskFormat format);
bool disk_format_from_string(const char *text, DiskFormat *ret);

/* Parses the header of a file of `file_size` bytes from its first `size` bytes. An image with a
 * backing file, snapshots, encryption and so on is still parsed: it is up to the caller to refuse.
 */
int qcow2_header_parse(const void *bytes, size_t size, uint64_t file_size, Qcow2Header *ret,
                       Fault *f);

/* Whether an image can be read by itself, without another file or a repair: for import as a
 * template. Refused: a backing file, an external data file, encryption, internal snapshots, the
 * dirty and corrupt marks, unknown incompatible features. */
int qcow2_header_check_standalone(const Qcow2Header *header, Fault *f);

/* Whether its clusters can be read at all: encryption, an external data file, the corrupt mark and
 * unknown incompatible features are refused, a backing file is not. */
int qcow2_header_check_readable(const Qcow2Header *header, Fault *f);
