/* SPDX-License-Identifier: MIT */
#pragma once

/* Members of a pax archive (POSIX.1-2017 pax, "ustar" with extended headers), as tar(1) reads them.
 *
 * A small, strict writer of our own: libarchive's has to be told a locale to take names by, which
 * it then looks for in the file system, and a guest's names are bytes of no locale. Long or odd
 * values go into an extended header; extended attributes do so as SCHILY.xattr.NAME, which GNU tar,
 * bsdtar and libarchive understand. */

#include "diff/attributes.h"
#include "diff/output.h"

#define PAX_BLOCK 512

typedef struct PaxMember {
        const char *name; /* relative; a directory's ends with '/' */
        size_t name_size;
        const char *target; /* of a symbolic link, or the name of what a hard link is one to; else
                               NULL */
        size_t target_size;
        bool is_hard_link;
        const Attributes *attributes; /* no socket */
        const GPtrArray *xattrs;      /* of Xattr, or NULL */
} PaxMember;

/* What comes before a member's content, of which a regular file that is no hard link has
 * attributes->size bytes. FAULT_LIMITS_EXCEEDED, IO. */
int pax_write_header(Output *output, const PaxMember *member, Fault *f);

/* Zeros up to the next block, after a content. */
int pax_write_padding(Output *output, Fault *f);

/* The end of an archive. */
int pax_write_end(Output *output, Fault *f);
