/* SPDX-License-Identifier: MIT */
#pragma once

/* What an approval is about, as the bytes that are hashed, shown and applied: a canonical JSON
 * object (base/canonical.h) of strings and lists of strings. Every member of its action's form is
 * there but for those that say when they are not, and no other:
 *
 *     action        "question", "network", "playbook"
 *     sandbox       the id of the sandbox that it is about, or ""
 *     summary       one line
 *     text          why, and all that a person has to know; may be ""
 *     alternatives  question: what can be answered, all different; none: yes or no
 *     profile       network: the network profile that the sandbox is to have
 *     rules         network: what that lets through, line by line, as networks.conf has it
 *     playbook      playbook: its id
 *     archive       playbook: the SHA-256 of its archive, in hexadecimal
 *     origin        playbook: a warning that it was written by hand; not there where it was derived
 *     changes       playbook: what it is to change, in short, line by line
 *     replay        playbook: what came of replaying it in a fresh sandbox
 *     target        playbook: where it is applied, line by line: base/apply-config.h
 *     check         playbook: what came of running it there in check mode, in short; not there
 * where that was not done check_log     playbook: the SHA-256 of all that was printed then, in
 * hexadecimal; not there where nothing was
 */

#include "base/json.h"

#define APPROVAL_CONTENT_MAX      (256 * 1024)
#define APPROVAL_SUMMARY_MAX      256
#define APPROVAL_TEXT_MAX         (16 * 1024)
#define APPROVAL_CHANGES_MAX      (96 * 1024)
#define APPROVAL_REPLAY_MAX       (32 * 1024)
#define APPROVAL_CHECK_MAX        (16 * 1024)
#define APPROVAL_ALTERNATIVES_MAX 16
#define APPROVAL_ALTERNATIVE_MAX  512

/* The content of an action: borrowed strings, valid as long as the JSON that they are of. */
typedef struct ApprovalContent {
        const char *action, *sandbox, *summary, *text;
        const char *alternatives[APPROVAL_ALTERNATIVES_MAX + 1]; /* ended by NULL */
        const char *profile, *rules; /* NULL where the action has none; and so on */
        const char *playbook, *archive, *changes, *replay, *target;
        const char *origin, *check, *check_log; /* NULL where they are not there */
        Json *json;
} ApprovalContent;

/* FAULT_INVALID_ARGUMENT where it is not the content of a known action, within its bounds. It holds
 * a reference on the JSON: approval_content_clear(). */
int approval_content_parse(const char *bytes, size_t size, ApprovalContent *ret, Fault *f);
void approval_content_clear(ApprovalContent *c);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ApprovalContent, approval_content_clear)

/* The bytes of the members that are set, checked in the same way. The caller frees them. */
int approval_content_format(const ApprovalContent *c, char **ret, Fault *f);

bool approval_content_has_alternative(const ApprovalContent *c, const char *alternative);
