/* SPDX-License-Identifier: MIT */
#pragma once

/* What is in the archive of a playbook, for people. */

#include "dbus/ctl/bus.h"
#include "dbus/ctl/ctl.h"

/* Its texts, escaped and behind a bar, and the names and sizes of its other files. Of one that was
 * written by hand all files are shown that are text, wherever they are: Ansible can be told to read
 * tasks from any. FAULT_WRONG_HASH where the archive has not that SHA-256. */
int playbook_print_files(Ctl *ctl, const char *id, const char *sha256, bool is_written, Fault *f);
