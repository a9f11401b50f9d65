/* SPDX-License-Identifier: MIT */
#pragma once

/* The archive of a playbook (base/playbook-archive.h) onto a disk, below one directory and nowhere
 * else. */

#include "base/fault.h"
#include "base/playbook-archive.h"

/* Reads the archive from where `archive_fd` stands to its end. `directory_fd` is an empty directory
 * of the caller's; files get mode 0600, directories 0700. What was written before an error stays.
 * FAULT_INVALID_ARGUMENT, with the name, for whatever no playbook has; FAULT_IO where it is no
 * archive or cannot be written; FAULT_LIMITS_EXCEEDED. */
int playbook_files_unpack(int archive_fd, int directory_fd, Fault *f);
