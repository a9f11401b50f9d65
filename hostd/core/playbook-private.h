/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of playbooks know of each other. */

#include "core/internal.h"
#include "core/playbook.h"

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

/* Becomes known; takes the row. */
Playbook *playbook_add(Manager *m, PlaybookRow *row);
/* Takes a row that is to become its own. */
void playbook_take_row(Playbook *p, PlaybookRow *next);
/* Whoever waits for the end of a verification looks again. */
void playbook_notify(Playbook *p);

/* A line that fluid-diff wrote, escaped already where that is as it should be, becomes the next one
 * of a text. */
void playbook_add_line(GString *text, const char *line);

/* -- core/playbook-verify.c -------------------------------------------------------------------- */

Verification *verification_free(Verification *v);
/* An earlier process was verifying it. */
void playbook_interrupted(Playbook *p);
