/* SPDX-License-Identifier: MIT */
#pragma once

/* The document that a diff is, written as it grows.
 *
 * JSON:
 * {"from":"…","to":"…",
 *  "filesystems":[{"index":0,"disk":"vda","partition":1,"volume":"vg/lv","type":"ext4","uuid":"…",
 *                  "label":"…","mounted_at":"/","mounted_at_b64":"…","change":"remade",
 *                  "old_uuid":"…"}],
 *  "changes":[{"path":"/etc/x","path_b64":"…","filesystem":1,"change":"modified","kind":"file",
 *   "old":{"size":1,"mode":"0644","uid":0,"gid":0,"mtime":"2026-01-01T00:00:00.000000000Z",
 *          "sha256":"…","content_b64":"…"},"new":{…}}],
 *  "contents_truncated":false,
 *  "disks":[{"disk":"vda","change":"partitions","reason":"…"}],
 *  "not_read":[{"disk":"vda","partition":1,"volume":"vg/lv","type":"vfat","reason":"…"}]}
 *
 * "filesystems" are those that were compared, at the newer point, then those that are gone; the
 * first is the guest's root. "partition" is absent for a whole disk; "volume" is there for a
 * logical volume only, and "disk" and "partition" then say where it begins. "mounted_at" is where
 * the guest's own /etc/fstab mounts it (of the newer point; of the older one for what is gone);
 * absent where it does not, and for a first one that is no root because it has no /etc. "change" is
 * added, removed, moved (to another place) or remade ("old_uuid" is what it was); absent for one
 * that is still the same.
 *
 * "change" is added, removed, modified (content, target or device number), metadata (mode, owner,
 * group, mtime or extended attributes only) or type; "kind" is the new one, the old one for
 * removed. "old" is absent for added, "new" for removed. "mode" has the permission bits, octal. A
 * regular file has "sha256", but not one of more than CONTENT_HASHED_MAX bytes, a symbolic link
 * "target" and "target_b64", a device "device" ("8:1"). For a change of type "old" has a "kind" of
 * its own. Where extended attributes differ, both sides have "xattrs" (name → base64). "path" and
 * "target" are for printing (base/escape.h); the _b64 ones are exact. "path" is as the guest sees
 * it: below the file system's "mounted_at", or else from its own root; "filesystem" is its index,
 * absent for 0. Changes come one file system after the other, each sorted by path, component by
 * component, by bytes: /a, /a/b, /a.b.
 *
 * With contents, regular files that are text (UTF-8 without NUL, at most 256 KiB) and were added,
 * removed, modified or changed their type have "content_b64", up to 16 MiB in all; after that
 * "contents_truncated" is true. It is absent where contents were not asked for.
 *
 * "disks" says how what the disks are divided into differs: change is size, partitions, volumes (of
 * LVM) or outside (bytes that belong to no partition: boot code, or something hidden). "not_read"
 * says which parts of the disks differ, or are new, and were not looked into; "path", "path_b64"
 * and "filesystem" stand in place of "disk" for a directory.
 *
 * "summary" and the sections that follow it (packages, services, … findings, noise) say what the
 * changes mean; they are written by diff/meaning.h after all changes, and refer to them by their
 * index. dbus/diff.schema.json describes the whole document.
 *
 * For people: A added, D removed, M modified, m metadata, T type; then the counts, and the summary.
 */

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
        uint32_t ino;
        const char *sha256;
        const char *target; /* no NUL; target_size bytes */
        size_t target_size;
        const GPtrArray *xattrs; /* of Xattr; shown if show_xattrs */
        bool show_xattrs;
        const char *content; /* content_size bytes; see report_wants_content() */
        size_t content_size;
} FileState;

/* A row of "filesystems"; what does not apply is NULL. */
typedef struct ReportFilesystem {
        const char *disk;
        unsigned partition; /* 0: the whole disk, or a logical volume */
        const char *volume;
        const char *type, *uuid;
        const char *label;
        const char *mounted_at;
        const char *change, *old_uuid;
} ReportFilesystem;

typedef struct Report Report;
typedef struct ChangeList ChangeList;

/* Writes at most `size_max` bytes to `fd`, which stays the caller's. `from` and `to` are names of
 * points. */
Report *report_new(int fd, uint64_t size_max, bool json, const char *from, const char *to);
Report *report_free(Report *report);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Report, report_free)

/* Regular files that are text get their content. */
void report_set_contents(Report *report);

/* The next row; all come before the first change. */
void report_filesystem(Report *report, const ReportFilesystem *row);

/* From now on paths are of the file system with that index, counted from its own root; the report
 * puts the place where it is mounted before them. At first 0. */
void report_set_filesystem(Report *report, unsigned index);

/* `old` is NULL for added, `new` for removed. Write errors are kept until report_end(). */
void report_change(Report *report, const char *path, size_t path_size, ChangeKind change,
                   const FileState *old, const FileState *new);

/* Whether to read the content of a regular file that has `size` bytes, for a FileState. What is no
 * text is left out of the document all the same. */
bool report_wants_content(const Report *report, uint64_t size);

/* How a disk is divided differs; see "disks" above. */
void report_disk(Report *report, const char *disk, const char *change, const char *reason);

/* Something that may have changed and was not compared; may be called before changes. `volume` is
 * NULL for a disk or partition. */
void report_place_not_read(Report *report, const char *disk, unsigned partition, const char *volume,
                           const char *type, const char *reason);
void report_path_not_read(Report *report, const char *path, size_t path_size, const char *reason);

/* All that was reported so far (diff/changes.h); the report's. */
const ChangeList *report_changes(const Report *report);

/* What the changes mean (diff/meaning.h): a member of the document, whose value is JSON that is
 * complete; and a line for people. */
void report_section(Report *report, const char *key, const char *json);
void report_summary(Report *report, const char *line);

/* Completes the document. FAULT_IO, LIMITS_EXCEEDED. */
int report_end(Report *report, Fault *f);

/* The summary alone, as a JSON array of lines. */
int report_write_summary(const Report *report, int fd, Fault *f);
