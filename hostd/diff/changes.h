/* SPDX-License-Identifier: MIT */
#pragma once

/* What is kept in memory of all changes of a diff: their paths, and what may matter of each when it
 * is known what they mean. Some 25 bytes a change: paths share what they begin with.
 *
 * Changes come sorted as in the report: within one file system by path, component by component, by
 * bytes. A change's index is its place in the document's "changes". */

#include "diff/report.h"
#include "diff/span.h"

typedef struct Change {
        ChangeKind change;
        FileKind kind;     /* the new one; the old one of what was removed */
        FileKind old_kind; /* of what was there before */
        bool only_time;    /* of its metadata only the modification time differs */
        bool old_capability, new_capability;
        unsigned filesystem;
        uint32_t old_ino, new_ino; /* 0 on the side where it is not */
        uint32_t old_mode, new_mode;
        uint32_t old_uid, new_uid, new_gid;
        uint64_t size; /* bytes, of the side that `kind` is of */
} Change;

/* `old` is NULL for added, `new` for removed, as in report_change(). */
void change_list_add(ChangeList *list, unsigned filesystem, const char *path, size_t path_size,
                     ChangeKind change, const FileState *old, const FileState *new);

ChangeList *change_list_new(void);
ChangeList *change_list_free(ChangeList *list);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ChangeList, change_list_free)

unsigned change_list_length(const ChangeList *list);

/* Index and path of the change at a path, of any file system. */
bool change_list_find(const ChangeList *list, Span path, unsigned *ret);

/* `path` is replaced. */
void change_list_get(const ChangeList *list, unsigned i, GString *path, Change *ret);

/* All changes, one after the other, from `first` on. */
typedef struct ChangeCursor {
        const ChangeList *list;
        size_t offset;
        unsigned next;
        unsigned index; /* of what is in the next two */
        Change change;
        GString *path;
} ChangeCursor;

ChangeCursor change_cursor(const ChangeList *list, unsigned first);
bool change_cursor_next(ChangeCursor *cursor);
void change_cursor_done(ChangeCursor *cursor);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ChangeCursor, change_cursor_done)

/* The path of the change that the cursor is at. */
static inline Span change_cursor_path(const ChangeCursor *cursor)
{
        return (Span){cursor->path->str, cursor->path->len};
}

/* Changes of one file system after the other are segments of the list. */
unsigned change_list_segments(const ChangeList *list);
unsigned change_list_segment_end(const ChangeList *list, unsigned segment);

/* The first change of a segment whose path is not before `path`; its end if there is none. All that
 * is below a directory follows it directly. */
unsigned change_list_seek(const ChangeList *list, unsigned segment, Span path);

/* Whether `path` is the directory itself or something below it. */
bool path_is_within(Span path, Span directory);
