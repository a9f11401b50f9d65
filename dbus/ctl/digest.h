/* SPDX-License-Identifier: MIT */
#pragma once

/* What a diff's document says besides its changes, and what becomes of each of those: belongs to a
 * package, is noise, or is somebody's own work.
 *
 * Of the changes themselves it keeps four bytes each; the other members as they are, but for the
 * numbers of changes in them, and at most SECTION_MAX elements of each. */

#include "dbus/ctl/change.h"

#define SECTION_MAX 20000

/* The members that are arrays of what an administrator wants to know, in the order of the view. */
#define SECTIONS(X) \
        X(SUMMARY, "summary") \
        X(FINDINGS, "findings") \
        X(PACKAGES, "packages") \
        X(SERVICES, "services") \
        X(USERS, "users") \
        X(GROUPS, "groups") \
        X(SUDOERS, "sudoers") \
        X(CRON, "cron") \
        X(SYSCTL, "sysctl") \
        X(SOURCES, "sources") \
        X(KERNEL_COMMAND_LINE, "kernel_command_line") \
        X(SERVICE_CONFIGURATION, "service_configuration") \
        X(FILESYSTEMS, "filesystems") \
        X(DISKS, "disks") \
        X(NOISE, "noise") \
        X(NOT_READ, "not_read")

typedef enum SectionId {
#define X(id, member) SECTION_##id,
        SECTIONS(X)
#undef X
                _SECTION_ID_MAX,
} SectionId;

typedef struct Section {
        Json *elements; /* an array; never NULL */
        uint64_t total; /* also of those that were too many to keep */
} Section;

typedef enum Fold {
        FOLD_NONE,
        FOLD_PACKAGE,
        FOLD_NOISE,
} Fold;

typedef struct Digest {
        char *from, *to;
        Section sections[_SECTION_ID_MAX];
        Counts counts;
        uint64_t n_changes;
        uint64_t n_folded[FOLD_NOISE + 1]; /* how many changes of each fold there are */
        bool contents_truncated;
        GArray *folds;     /* of uint32_t: see digest_fold() */
        GHashTable *marks; /* the number of a change to its worst finding, which is borrowed */
        GHashTable *paths; /* the numbers of service_configuration's changes; see digest_path() */
} Digest;

/* Reads the document from its beginning. */
Digest *digest_new(int fd, Fault *f);
Digest *digest_free(Digest *d);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Digest, digest_free)

/* What a change belongs to; `ret_element` (may be NULL) is its package or rule, NULL where that is
 * not known. */
Fold digest_fold(const Digest *d, uint64_t index, Json **ret_element);

/* The finding that is about it, or NULL. */
Json *digest_mark(const Digest *d, uint64_t index);

/* Whether anything differs, or could. */
bool digest_has_differences(const Digest *d);

/* Remembers the printable path of a change that a section names by its number; NULL: was not
 * remembered. */
void digest_keep_path(Digest *d, const Change *c);
const char *digest_path(const Digest *d, uint64_t index);

/* What a file system, or a part of a disk, is called: "vdb1 (ext4, label data) on /srv". The caller
 * frees it. */
char *filesystem_format(Json *filesystem);
