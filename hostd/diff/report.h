/* SPDX-License-Identifier: MIT */
#pragma once

/* The document that a diff is, written as it grows.
 *
 * JSON:
 * {"from":"…","to":"…","changes":[{"path":"/etc/x","path_b64":"…","change":"modified","kind":"file",
 *   "old":{"size":1,"mode":"0644","uid":0,"gid":0,"mtime":"2026-01-01T00:00:00.000000000Z",
 *          "sha256":"…"},"new":{…}}],
 *  "not_read":[{"partition":1,"type":"vfat","reason":"…"}]}
 *
 * "change" is added, removed, modified (content, target or device number), metadata (mode, owner,
 * group, mtime or extended attributes only) or type; "kind" is the new one, the old one for
 * removed. "old" is absent for added, "new" for removed. "mode" has the permission bits, octal. A
 * regular file has "sha256", a symbolic link "target" and "target_b64", a device "device" ("8:1").
 * For a change of type "old" has a "kind" of its own. Where extended attributes differ, both sides
 * have "xattrs" (name → base64). "path" and "target" are for printing (base/escape.h); the _b64
 * ones are exact. Changes are sorted by path, component by component, by bytes: /a, /a/b, /a.b.
 * "not_read" says which parts of the disk differ and were not looked into; "path" stands in place
 * of "partition" for a directory.
 *
 * For people: A added, D removed, M modified, m metadata, T type; then the counts. */

#include "diff/attributes.h"

typedef enum ChangeKind {
        CHANGE_ADDED,
        CHANGE_REMOVED,
        CHANGE_MODIFIED,
        CHANGE_METADATA,
        CHANGE_TYPE,
        _CHANGE_MAX,
} ChangeKind;

/* One side of a change. What does not apply is NULL. */
typedef struct FileState {
        Attributes attributes;
        const char *sha256;
        const char *target; /* no NUL; target_size bytes */
        size_t target_size;
        const GPtrArray *xattrs; /* of Xattr; shown if show_xattrs */
        bool show_xattrs;
} FileState;

typedef struct Report Report;

/* Writes to `fd`, which stays the caller's. `from` and `to` are names of points. */
Report *report_new(int fd, bool json, const char *from, const char *to);
Report *report_free(Report *report);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Report, report_free)

/* `old` is NULL for added, `new` for removed. Write errors are kept until report_end(). */
void report_change(Report *report, const char *path, size_t path_size, ChangeKind change,
                   const FileState *old, const FileState *new);

/* Something that may have changed and was not compared; may be called before changes. */
void report_partition_not_read(Report *report, unsigned partition, const char *type,
                               const char *reason);
void report_path_not_read(Report *report, const char *path, size_t path_size, const char *reason);

/* Completes the document. FAULT_IO. */
int report_end(Report *report, Fault *f);
