/* SPDX-License-Identifier: MIT */
#pragma once

/* The archive of a playbook onto a disk, below one directory and nowhere else.
 *
 * What is taken is what a playbook of fluid's consists of, and nothing by which a playbook could
 * bring its own configuration, plugins or modules for the host that Ansible runs on:
 *
 *   playbook.yml, and beside it NAME.yml, NAME.json, NAME.md, NAME.txt
 *   roles/ROLE/tasks, handlers, defaults, vars, meta, templates and files, with files named NAME
 *
 * Names and roles are of A-Z a-z 0-9 . _ -, and begin with a letter or digit. A member is a regular
 * file, or one of those directories; each is there once. */

#include "base/fault.h"

#include <stdint.h>

#define PLAYBOOK_FILES_MAX 100000
#define PLAYBOOK_NAME_MAX  255
#define PLAYBOOK_BYTES_MAX (UINT64_C(4) << 30)

/* Reads the archive from where `archive_fd` stands to its end. `directory_fd` is an empty directory
 * of the caller's; files get mode 0600, directories 0700. What was written before an error stays.
 * FAULT_INVALID_ARGUMENT, with the name, for whatever is not as above; FAULT_IO where it is no
 * archive or cannot be written; FAULT_LIMITS_EXCEEDED. */
int playbook_files_unpack(int archive_fd, int directory_fd, Fault *f);
