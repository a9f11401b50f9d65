/* SPDX-License-Identifier: MIT */
#pragma once

/* Whole reads and writes on file descriptors, and directories that go as one. */

#include "base/fault.h"
#include "base/sha256.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* All `size` bytes or a negative errno; EINTR is retried. */
int write_all(int fd, const void *bytes, size_t size);

/* Exactly `size` bytes at `offset` into `buffer`; -ENODATA where the file ends before. */
int pread_all(int fd, void *buffer, size_t size, uint64_t offset);

/* A regular file, and not on FUSE: any other could hold up who reads it for as long as whoever gave
 * it likes. */
bool file_never_blocks(int fd);

/* The whole of a file of at most `max` bytes, NUL added but not counted; FAULT_IO, NOT_FOUND. */
int file_read(const char *path, size_t max, char **ret_text, size_t *ret_size, Fault *f);

/* The hexadecimal SHA-256 of all that can be read from `fd`, from offset 0. Blocks. */
int file_sha256(int fd, char ret_hex[static SHA256_HEX_SIZE], Fault *f);

/* Removes a directory and all below it, never following a symbolic link and never crossing a mount;
 * 0 where it does not exist. Blocks. */
int remove_tree(const char *path, Fault *f);

/* mkdir -p of one level; owner and mode are put right where it exists. */
int make_directory(const char *path, mode_t mode, uid_t uid, gid_t gid, Fault *f);

/* fsync of the file or directory at `path`. */
int sync_path(const char *path, Fault *f);
