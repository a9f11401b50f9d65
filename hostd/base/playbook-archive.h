/* SPDX-License-Identifier: MIT */
#pragma once

/* What the archive of a playbook may hold, whoever wrote it: what a playbook of fluid's consists
 * of, and nothing by which a playbook could bring its own configuration, plugins or modules for the
 * host that Ansible runs on:
 *
 *   playbook.yml, and beside it NAME.yml, NAME.json, NAME.md, NAME.txt
 *   roles/ROLE/tasks, handlers, defaults, vars, meta, templates and files, with files named NAME
 *
 * Names and roles are of A-Z a-z 0-9 . _ -, and begin with a letter or digit. A member is a regular
 * file, or one of those directories; each is there once. */

#include "base/archive.h"

#include <stdbool.h>

#define PLAYBOOK_FILES_MAX 100000
#define PLAYBOOK_NAME_MAX  255
#define PLAYBOOK_BYTES_MAX (UINT64_C(4) << 30)
#define PLAYBOOK_MAIN_FILE "playbook.yml"

/* The parts of a member's name, which g_strfreev() frees. FAULT_INVALID_ARGUMENT, with the name,
 * where no playbook has it. */
int playbook_member_check(const ArchiveEntry *e, char ***ret_parts, Fault *f);

/* Behind the end of an archive, where `fd` stands, are zeros, if anything. FAULT_INVALID_ARGUMENT,
 * IO. */
int playbook_archive_check_rest(int fd, Fault *f);

/* A refusal that names a member. */
int playbook_member_refuse(const char *name, const char *why, Fault *f);

/* What somebody wrote by hand, from where `fd` stands to its end, without unpacking it: as above,
 * and so that a reviewer can read it: no member but those below files/ is larger than
 * PLAYBOOK_TEXT_MAX or holds what is not UTF-8 text. FAULT_INVALID_ARGUMENT, LIMITS_EXCEEDED, IO.
 */
#define PLAYBOOK_TEXT_MAX (1 << 20)
int playbook_archive_check(int fd, Fault *f);
