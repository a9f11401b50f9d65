/* SPDX-License-Identifier: MIT */
#pragma once

/* A tar archive (ustar with pax headers) that somebody else wrote, read entry by entry.
 *
 * Nothing of it is trusted: numbers, names and lengths are checked, and what is no archive ends in
 * FAULT_IO. Names are as they stand there: archive_name_check() says whether one may be written
 * below a directory. */

#include "base/fault.h"

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum EntryKind {
        ENTRY_FILE,
        ENTRY_DIRECTORY,
        ENTRY_SYMLINK,
        ENTRY_HARD_LINK,
        ENTRY_SPECIAL, /* a device or a pipe */
} EntryKind;

typedef struct ArchiveEntry {
        EntryKind kind;
        char *name, *target; /* no NUL within; target is "" where there is none */
        uint64_t size;       /* of a file's content */
        mode_t mode;         /* 07777 */
        uint64_t uid, gid;
        int64_t mtime_sec;
        uint32_t mtime_nsec;
} ArchiveEntry;

typedef struct Archive Archive;

/* Reads from where `fd` stands, which stays the caller's. */
Archive *archive_new(int fd);
Archive *archive_free(Archive *a);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Archive, archive_free)

/* The next entry, valid until the next call; what was not read of the last one is passed over.
 * Returns 1, or 0 at the end. */
int archive_next(Archive *a, const ArchiveEntry **ret, Fault *f);

/* Up to `size` (> 0) bytes of the entry's content; returns how many, 0 at its end. */
ssize_t archive_read(Archive *a, void *bytes, size_t size, Fault *f);

/* Relative, and without "..", empty names and names longer than a directory can hold. A "/" at the
 * end, "." and "./" pass. FAULT_IO. */
int archive_name_check(const char *name, Fault *f);
