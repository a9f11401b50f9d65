/* SPDX-License-Identifier: MIT */
#pragma once

/* Files of a guest at one point, to be taken out: the content of one, or an archive. */

#include "diff/output.h"
#include "diff/tree.h"

#define ARCHIVE_DEPTH_MAX 4096

/* The content of a regular file; symbolic links are followed. FAULT_NOT_FOUND, INVALID_ARGUMENT (no
 * absolute path, not a regular file), LIMITS_EXCEEDED, DIFF_FAILED, IO. */
int archive_write_content(const Tree *tree, const char *path, Output *output, Fault *f);

/* The file or directory with all below it, as a pax archive, named after the last component of
 * `path` ("." for the root). A link as the last component is itself what is archived, unless a '/'
 * follows. What is mounted below is a part; sockets are left out; a file with several links is in
 * it once, and the others are links to it. FAULT as above; also where a directory is encrypted. */
int archive_write(const Tree *tree, const char *path, Output *output, Fault *f);
