/* SPDX-License-Identifier: MIT */
#pragma once

/* The diff document, read back for a playbook: bounded, and nothing of it is taken on trust. */

#include "base/json.h"
#include "diff/report.h"

#define PLAYBOOK_DOCUMENT_MAX (24u << 20) /* bytes */
#define PLAYBOOK_CHANGES_MAX  60000u

/* One side of a change. */
typedef struct FileSide {
        bool exists;
        FileKind kind;
        uint32_t mode, uid, gid;
        uint64_t size;
        char sha256[SHA256_HEX_SIZE]; /* of a regular file; empty where it was not read, and else */
        char *target;                 /* of a symbolic link; else NULL */
        const char *mtime;            /* borrowed; NULL where the document has none */
        Json *xattrs;                 /* where they differ; borrowed */
} FileSide;

#define NO_INDEX UINT32_MAX

typedef struct FileChange {
        char *path; /* absolute and plain: no "//", "." or ".."; any bytes but NUL */
        unsigned filesystem;
        ChangeKind change;
        FileSide old, new;
        uint32_t noise, package; /* index into the document's "noise", "packages"; or NO_INDEX */
        bool is_secret, is_conffile;
        GPtrArray *units; /* names of units that use it, borrowed; NULL for none */
} FileChange;

/* Arrays are those of the document; never NULL, but perhaps empty. */
typedef struct PlaybookDocument {
        Json *root;
        const char *from, *to;
        GPtrArray *changes; /* of FileChange */
        Json *packages, *services, *users, *groups, *sources, *noise, *kernel_command_line,
                *not_read, *filesystems;
        Json *nothing; /* what stands for an array that is not there */
} PlaybookDocument;

/* FAULT_INVALID_ARGUMENT where it is no such document, LIMITS_EXCEEDED where it is too large. */
int playbook_document_parse(const char *text, size_t size, PlaybookDocument **ret, Fault *f);
/* All that can be read from `fd`, g_free() it. FAULT_IO, LIMITS_EXCEEDED. */
int playbook_document_read(int fd, char **ret, size_t *ret_size, Fault *f);
PlaybookDocument *playbook_document_free(PlaybookDocument *document);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PlaybookDocument, playbook_document_free)

FileChange *playbook_document_change(const PlaybookDocument *document, size_t i);

/* The change at a path of the root file system, or NULL. */
FileChange *playbook_document_find(const PlaybookDocument *document, const char *path);

/* "added" and so on, as in the document. */
const char *change_kind_to_string(ChangeKind kind);

/* A member that is a string, escaped for printing in the document; here as the bytes that it stands
 * for. NULL where there is none, or it holds a NUL. g_free() it. */
char *playbook_member(Json *object, const char *key);

/* Whether a member is a string that is this word. */
bool playbook_member_is(Json *object, const char *key, const char *word);
