/* SPDX-License-Identifier: MIT */
#pragma once

/* Disk images: taking one in, and overlays on top. All calls block (worker threads) and every
 * qemu-img call names its formats: a format is never guessed from bytes that a guest wrote. */

#include "base/fault.h"
#include "base/file.h"

#include <stdint.h>
#include <sys/types.h>

typedef enum ImageFormat { IMAGE_RAW, IMAGE_QCOW2, _IMAGE_FORMAT_MAX } ImageFormat;

const char *image_format_to_string(ImageFormat format);
/* FAULT_IMAGE_REFUSED for anything but "raw" and "qcow2". */
int image_format_from_string(const char *name, ImageFormat *ret, Fault *f);

typedef struct ImageInfo {
        ImageFormat format;
        uint64_t virtual_size_bytes;
        uint64_t file_size_bytes; /* allocated on disk */
        char sha256[SHA256_HEX_SIZE];
} ImageInfo;

/* Copies the user's image from `fd` to the new file `path` (mode 0444, sparse, hashed on the way,
 * synced). The header is checked before a byte is copied, and the copy's again: FAULT_IMAGE_REFUSED
 * for a backing or data file, encryption, unknown features, dirty or corrupt, or absurd tables. On
 * failure no file is left. `format` may be _IMAGE_FORMAT_MAX: told by the magic bytes. */
int image_import(int fd, const char *path, ImageFormat format, ImageInfo *ret, Fault *f);

/* Format, sizes and hash of an image that stays where it is (a domain's disk), after the same
 * checks. */
int image_inspect(int fd, ImageFormat format, bool hash, ImageInfo *ret, Fault *f);

/* Makes the qcow2 overlay `path` on `backing_path` (named with its format), owned by uid:gid, mode
 * 0600, synced. A backing file in the same directory is named by its file name alone, so that a
 * chain that is linked to another directory is whole there. `virtual_size_bytes` 0: the backing
 * image's. On failure no file is left. */
int image_create_overlay(const char *path, const char *backing_path, ImageFormat backing_format,
                         uint64_t virtual_size_bytes, uid_t uid, gid_t gid, Fault *f);

/* Commits the overlay `path` into `backing_path`, the file right below it, while neither is in use.
 */
int image_commit(const char *path, const char *backing_path, Fault *f);

/* Makes the overlay `path`, which is not in use, stand on `base_path`, a file further down in its
 * chain: what lies in between is copied into it. It has either its old or its new backing file
 * whenever the call is interrupted, and the same content. */
int image_flatten(const char *path, const char *base_path, ImageFormat base_format, Fault *f);

/* Copies what the qcow2 file `path`, which nobody writes to, shows with its chain to the new,
 * independent qcow2 file `copy_path`, mode 0440, synced. On failure no file is left. */
int image_copy(const char *path, const char *copy_path, ImageInfo *ret, Fault *f);

/* Copies a small file (kernel, initrd, NVRAM) of at most `max` bytes from `fd`; mode, owner given.
 */
int file_import(int fd, const char *path, uint64_t max, mode_t mode, uid_t uid, gid_t gid,
                char ret_sha256[static SHA256_HEX_SIZE], Fault *f);

/* Bytes that an unprivileged writer could still use on the file system of `path`. */
int disk_free_bytes(const char *path, uint64_t *ret, Fault *f);
