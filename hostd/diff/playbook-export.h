/* SPDX-License-Identifier: MIT */
#pragma once

/* A playbook of a guest's two points, as a pax archive. */

#include "diff/output.h"
#include "diff/playbook.h"
#include "diff/tree.h"

/* The document is all that can be read from `document_fd`. Fails as playbook_write(), and with
 * LIMITS_EXCEEDED and IO for the archive. */
typedef struct Trees {
        const Tree *trees[2]; /* old, new */
} Trees;

/* Reads the files of both; valid as long as they are. */
PlaybookSource playbook_source(Trees *trees);

/* `history_fd`: a text of at most PLAYBOOK_HISTORY_MAX bytes, which becomes COMMANDS.txt; or -1. */
#define PLAYBOOK_HISTORY_MAX (2u << 20)
int playbook_export(const Tree *old, const Tree *new, int document_fd, int history_fd,
                    const PlaybookOptions *options, Output *output, Fault *f);
