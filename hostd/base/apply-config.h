/* SPDX-License-Identifier: MIT */
#pragma once

/* apply.conf: where playbooks that a person has approved are applied. Lines of `key = value`, `#`
 * begins a comment. One table names every key with its documentation.
 *
 * Whoever approves approves this, too: apply_target_text() says it all, the inventory as its
 * SHA-256. */

#include "base/fault.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define APPLY_CONFIG_PATH "/etc/fluid/apply.conf"

typedef enum ApplyBecome {
        BECOME_AS_PLAYBOOK, /* and the inventory say */
        BECOME_NO,
        BECOME_YES,
} ApplyBecome;

/* Whether a playbook is run in check mode there before a person is asked. */
typedef enum ReviewCheck {
        REVIEW_CHECK_NEVER,
        REVIEW_CHECK_ASKED, /* where whoever asks wants it */
        REVIEW_CHECK_ALWAYS,
} ReviewCheck;

typedef struct ApplyConfig {
        char *inventory;                                /* an absolute path */
        char *limit, *user, *private_key, *known_hosts; /* or NULL */
        ApplyBecome become;
        bool checks_first, allows_written;
        ReviewCheck review_check;
        uint64_t timeout_usec;
} ApplyConfig;

/* FAULT_NOT_FOUND where there is no such file, INVALID_ARGUMENT with its line, IO. */
int apply_config_load(const char *path, ApplyConfig **ret, Fault *f);
ApplyConfig *apply_config_free(ApplyConfig *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ApplyConfig, apply_config_free)

/* Every setting that counts for what is done as a line (review_check does not), the same for the
 * same target and different for another one. UTF-8; the caller frees it. */
char *apply_target_text(const ApplyConfig *c, const char *inventory_sha256);

void apply_config_print_example(FILE *to);
void apply_config_print_manual(FILE *to);
