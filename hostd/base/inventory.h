/* SPDX-License-Identifier: MIT */
#pragma once

/* An inventory of Ansible's: a file, or a directory with all below it, of which the bytes count.
 *
 * Its SHA-256 is the file's, or that of a directory's list: what
 * `LC_ALL=C; cd DIRECTORY; find * -type f -print0 | sort -z | xargs -0 sha256sum` prints, where
 * names need no escapes. */

#include "base/file.h"

#define INVENTORY_BYTES_MAX (4 << 20)
#define INVENTORY_FILES_MAX 1024
#define INVENTORY_DEPTH_MAX 8

/* The hash of what is at `path`; where `copy` is not NULL it is a path at which nothing is yet, and
 * exactly what was hashed is written there, files with mode 0600. A file that can be executed is
 * FAULT_INVALID_ARGUMENT, for what it would print nobody can approve; so are links, names with
 * control characters, and what is larger. FAULT_NOT_FOUND, IO. */
int inventory_take(const char *path, const char *copy, char ret_sha256[static SHA256_HEX_SIZE],
                   Fault *f);
