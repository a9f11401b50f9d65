/* SPDX-License-Identifier: MIT */
#pragma once

/* The header of a package as rpm's database keeps it: a table of tagged values, big endian
 * (rpm's docs/manual/format_header.md). A bounded reader of hostile bytes. */

#include "diff/package.h"

typedef struct RpmHeader {
        const uint8_t *index; /* entries of 16 bytes */
        unsigned n;
        const uint8_t *data;
        size_t size;
} RpmHeader;

/* Borrows the bytes. False where they are no header. */
bool rpm_header_parse(const uint8_t *bytes, size_t size, RpmHeader *ret);

/* Name, architecture, version ("EPOCH:VERSION-RELEASE"), time of installation; NULL where there is
 * no name or version. */
Package *rpm_header_to_package(const RpmHeader *header);

/* Calls `each` with the path of each file, and whether it is configuration; `path` is valid during
 * the call. */
typedef void (*RpmEachFile)(Span path, bool is_configuration, void *data);
void rpm_header_foreach_file(const RpmHeader *header, RpmEachFile each, void *data);
