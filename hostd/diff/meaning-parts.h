/* SPDX-License-Identifier: MIT */
#pragma once

/* What the parts of diff/meaning.h share: each reads some files of both sides, writes elements of
 * its sections, and says sentences for the summary. */

#include "diff/changes.h"
#include "diff/json-text.h"
#include "diff/noise.h"
#include "diff/package.h"
#include "diff/tree.h"

/* X(id, key of the document, most elements) */
#define SECTIONS(X) \
        X(PACKAGES, "packages", 20000) \
        X(SERVICES, "services", 5000) \
        X(USERS, "users", 5000) \
        X(GROUPS, "groups", 5000) \
        X(SUDOERS, "sudoers", 2000) \
        X(CRON, "cron", 2000) \
        X(SYSCTL, "sysctl", 2000) \
        X(SOURCES, "sources", 2000) \
        X(KERNEL_COMMAND_LINE, "kernel_command_line", 100) \
        X(SERVICE_CONFIGURATION, "service_configuration", 2000) \
        X(FINDINGS, "findings", 5000) \
        X(NOISE, "noise", NOISE_RULES_MAX)

typedef enum SectionId {
#define X(id, key, max) SECTION_##id,
        SECTIONS(X)
#undef X
                _SECTION_MAX,
} SectionId;

typedef struct Section {
        GString *json; /* elements with commas between them */
        unsigned length;
        unsigned left_out; /* beyond the most */
} Section;

/* A package that changed, or that owns something that did. */
typedef struct Owner {
        PackageManager manager;
        const Package *old, *new; /* either may be NULL; borrowed */
        const char *change;       /* NULL: the package itself did not change */
        bool automatic, automatic_known;
        GPtrArray *units;   /* names of services and sockets that it ships; or NULL */
        unsigned n_changes; /* that are folded under it */
        unsigned index;
} Owner;

enum { SIDE_OLD, SIDE_NEW };

typedef enum Severity { SEVERITY_INFO, SEVERITY_NOTICE, SEVERITY_WARNING } Severity;

#define NOT_NOISE UINT8_MAX
#define NO_OWNER  UINT32_MAX

typedef struct Meaning {
        const Tree *trees[2];
        Report *report;
        const ChangeList *changes;
        unsigned n; /* changes */
        NoiseRules *rules;

        /* For each change: the rule by which it is noise; the package that it belongs to; whether a
         * section of its own tells about it. */
        uint8_t *noise;
        uint32_t *owner;
        uint8_t *told;
        uint8_t *conffile;  /* of an owner's files: it is configuration */
        unsigned n_unowned; /* neither noise nor an owner's */

        Section sections[_SECTION_MAX];
        unsigned n_unreadable; /* files that are there and could not be read */
        GPtrArray *sentences;  /* of char *, escaped, in order */
        GPtrArray *warnings;   /* kinds of the findings that are warnings; static strings */

        /* Packages. */
        GPtrArray *packages[2]; /* of Package: dpkg's */
        GPtrArray *rpms[2];
        GPtrArray *owners; /* of Owner */
        char *status_text[2];
        GHashTable *etc_directories; /* path → Owner that ships it, or NULL; see packages */
} Meaning;

/* A file of one side, and the file system that it is on; as tree_find(). */
typedef struct MeaningFile {
        Filesystem *fs;
        LookupFile file;
} MeaningFile;
int meaning_lookup(const Meaning *m, int side, const char *path, bool follow, MeaningFile *ret,
                   Fault *f);

/* A file of one side, of at most `max` bytes. False, with an empty span, where it is not there or
 * cannot be read; the latter is reported. */
#define CONFIGURATION_SIZE_MAX (1 << 20)
bool meaning_read(Meaning *m, int side, const char *path, size_t max, char **ret_bytes, Span *ret);

/* The same file of both sides, for text that is compared. False where one of them is there and
 * could not be read: what would be said of the other would be wrong. */
typedef struct Pair {
        char *bytes[2];
        Span old, new; /* empty where the file is not there */
} Pair;
bool meaning_read_both(Meaning *m, const char *path, Pair *ret);
void pair_done(Pair *pair);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pair, pair_done)

/* Entries of a directory, and the file system that they are on, which may be NULL; NULL where there
 * is none. */
Directory *meaning_list(Meaning *m, int side, const char *path, Filesystem **ret_fs);

/* Whether the path changed, or anything below it. */
bool meaning_changed(const Meaning *m, const char *path);
bool meaning_changed_within(const Meaning *m, const char *directory);

/* Calls `each` with every change below the directory. */
typedef void (*MeaningEach)(Meaning *m, const ChangeCursor *cursor, void *data);
void meaning_foreach_within(Meaning *m, const char *directory, MeaningEach each, void *data);

/* The change is told by a section: the summary need not name it among other files. */
void meaning_tell(Meaning *m, unsigned change);
void meaning_tell_path(Meaning *m, const char *path);

/* Begins an element; NULL where the section is full, and then the element is counted as left out.
 */
GString *section_open(Meaning *m, SectionId id);
void section_close(Meaning *m, SectionId id);

/* A sentence for the summary. `format` is ours; strings that go in are the guest's and are escaped
 * with escape_print() when it is said. */
__attribute__((format(printf, 2, 3))) void meaning_say(Meaning *m, const char *format, ...);

/* Something to look at. `path` may be NULL; `line` 0, `package` NULL, `change` -1 where they do not
 * apply. */
typedef struct Finding {
        const char *kind;
        Severity severity;
        Span path;
        unsigned line;
        const char *package;
        int64_t change;
        const char *text; /* ours, with the guest's strings in it: escaped */
} Finding;
void meaning_find(Meaning *m, const Finding *finding);

/* The package that a change belongs to, or NULL. */
const Owner *meaning_owner(const Meaning *m, unsigned change);
const Package *owner_package(const Owner *owner); /* as it is now, or was */
const char *owner_name(const Owner *owner);

/* The parts, in the order in which they are called. */
void meaning_packages(Meaning *m);
void meaning_packages_done(Meaning *m);
void meaning_services(Meaning *m);
void meaning_accounts(Meaning *m);
void meaning_settings(Meaning *m); /* sudoers, sysctl, kernel command line */
void meaning_cron(Meaning *m);
void meaning_sources(Meaning *m);

/* A key that rpm keeps in its database. */
void meaning_write_key(Meaning *m, const char *change, const char *path, const char *text);
void meaning_findings(Meaning *m);

/* Last: what is said in all, from the sentences of the parts and the counts. */
void meaning_summary(Meaning *m);
