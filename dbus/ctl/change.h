/* SPDX-License-Identifier: MIT */
#pragma once

/* One change of a diff's document. */

#include "dbus/ctl/document.h"
#include "dbus/ctl/pager.h"

typedef enum ChangeKind {
        CHANGE_ADDED,
        CHANGE_REMOVED,
        CHANGE_MODIFIED,
        CHANGE_METADATA,
        CHANGE_TYPE,
        CHANGE_UNKNOWN, /* of a newer fluid-diff */
        _CHANGE_MAX,
} ChangeKind;

typedef struct ChangeInfo {
        const char *name;   /* in the document */
        const char *letter; /* for people */
        const char *title;  /* after a number */
        Colour colour;
} ChangeInfo;
extern const ChangeInfo change_infos[_CHANGE_MAX];

typedef struct Change {
        Json *json;
        uint64_t index;
        ChangeKind kind;
        uint64_t filesystem;
        bool is_directory; /* or was one */
        char *path;        /* absolute; exact bytes, and a NUL */
        size_t path_size;
} Change;

/* FAULT_INTERNAL where it is none. */
int change_parse(const DocumentPart *part, Change *ret, Fault *f);
void change_done(Change *c);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Change, change_done)

/* The states before and after; NULL where there is none. */
Json *change_old(const Change *c);
Json *change_new(const Change *c);

/* Calls `each` for every change, unless `wants` (may be NULL) says that its index is not wanted. It
 * returns 0, DOCUMENT_STOP or a negative errno. The document is read from its beginning. */
int change_each(int fd, bool (*wants)(uint64_t index, void *userdata),
                int (*each)(const Change *c, void *userdata, Fault *f), void *userdata, Fault *f);

/* What of it cannot be seen in its kind and path, in words: "mode 0644 → 0600, owner 0 → 33". Not
 * escaped; the caller frees it. */
char *change_describe(const Change *c);

/* The same, only of mode, owner and attributes. */
char *change_describe_attributes(const Change *c);

/* How many there are of each kind. */
typedef struct Counts {
        uint64_t by_kind[_CHANGE_MAX];
} Counts;

uint64_t counts_total(const Counts *c);
char *counts_format(const Counts *c); /* "2 added, 1 modified"; "" for none */
Json *counts_to_json(const Counts *c);
