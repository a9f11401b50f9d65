/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of playbooks know of each other. */

#include "core/internal.h"
#include "core/playbook.h"

struct Playbook {
        Manager *manager;
        PlaybookRow *row;
        WaitList waiters; /* for the end of a verification */
};

char *playbook_bus_path(const char *id);
/* Its files: "ID.tar", "ID.json". */
char *playbook_file(const Manager *m, const char *id, const char *suffix);
#define PLAYBOOK_ARCHIVE  "tar"
#define PLAYBOOK_DOCUMENT "json"

/* Becomes known; takes the row. */
Playbook *playbook_add(Manager *m, PlaybookRow *row);
