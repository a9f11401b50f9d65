/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of playbooks know of each other. */

#include "core/internal.h"
#include "core/playbook.h"
#include "loop/child.h"

typedef struct Verification Verification;

struct Playbook {
        Manager *manager;
        PlaybookRow *row;
        Verification *verification; /* while it is verified */
        WaitList waiters;           /* for the end of that */
};

char *playbook_bus_path(const char *id);
/* Its files: "ID.tar", "ID.json", "ID.log". */
char *playbook_file(const Manager *m, const char *id, const char *suffix);
#define PLAYBOOK_ARCHIVE  "tar"
#define PLAYBOOK_DOCUMENT "json"
#define PLAYBOOK_LOG      "log"

#define PLAYBOOK_DERIVED "derived"
#define PLAYBOOK_WRITTEN "written"

/* Whether the sandbox's owner may have one more, of that name (NULL: none was given), between two
 * points that are not one. */
int playbook_check_new(const Sandbox *s, const char *name, const char *from, const char *to,
                       Fault *f);
/* Its row, not stored yet; `origin`: PLAYBOOK_DERIVED or PLAYBOOK_WRITTEN. */
PlaybookRow *playbook_new_row(const Sandbox *s, const char *name, const char *from, const char *to,
                              const char *origin);
/* For the audit trail. */
Json *playbook_describe(const PlaybookRow *row);
/* FAULT_NOT_FOUND, where the sandbox has no such point but "now". */
int playbook_check_point(const Sandbox *s, const char *name, Fault *f);
/* A file that has none gets a name. */
int playbook_give_name(int fd, const char *path, Fault *f);

/* Becomes known; takes the row. */
Playbook *playbook_add(Manager *m, PlaybookRow *row);
/* Takes a row that is to become its own. */
void playbook_take_row(Playbook *p, PlaybookRow *next);
/* Whoever waits for the end of a verification looks again. */
void playbook_notify(Playbook *p);

/* A line that fluid-diff wrote, escaped already where that is as it should be, becomes the next one
 * of a text. */
void playbook_add_line(GString *text, const char *line);

/* Text of a row that is to become its own. */
void playbook_set(char **member, const char *text);
/* NULL where there is none. */
Sandbox *playbook_sandbox(const Manager *m, Id id);

/* -- what was done meanwhile: core/playbook-history.c --------------------------------------------
 */

/* `fd`: the text, from its start; borrowed. */
typedef void (*PlaybookHistoryDone)(int fd, int r, const Fault *f, void *userdata);

/* Of the rows of the audit trail about the sandbox from the playbook's one point to its other,
 * which may be now: time, who, arguments as far as the trail has them, and the end, a line each and
 * escaped. Fails as audit_export(). */
int playbook_history(const Sandbox *s, const PlaybookRow *row, bool is_now,
                     PlaybookHistoryDone done, void *userdata, Fault *f);

/* -- verifications: core/playbook-verify.c, and core/playbook-end.c ------------------------------
 */

struct Verification {
        Id sandbox_id; /* the fresh one's, or empty */
        Id against_id; /* the sandbox that holds what it is compared with, */
        char *point;   /* at that point */
        AuditEntry *entry;
        ChildTask *child;
        int archive_fd, log_fd, result_fd;
        bool is_second;
        unsigned attempts; /* to destroy the sandbox */
        const char *verdict;
        char *residual;
        int result;
        Fault fault;
};

Verification *verification_free(Verification *v);
/* The fresh one; NULL where it is not there yet, or gone. */
Sandbox *verification_sandbox(const Playbook *p);
/* Whoever it belongs to. */
int verification_find_user(const Manager *m, Caller *ret, Fault *f);
/* What is being done now. */
void verification_set_step(Playbook *p, const char *text);
/* Destroys the sandbox, then writes down the verdict, or why there is none. */
void verification_end(Playbook *p);
void verification_fail(Playbook *p, int r, const Fault *f);
/* An earlier process was verifying it. */
void playbook_interrupted(Playbook *p);
