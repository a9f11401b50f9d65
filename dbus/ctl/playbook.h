/* SPDX-License-Identifier: MIT */
#pragma once

/* What several verbs do with playbooks. */

#include "dbus/ctl/bus.h"
#include "dbus/ctl/ctl.h"

/* A new string, the path of the playbook of that id, or of the only one of that name. NOT_FOUND;
 * INVALID_ARGUMENT where there are several. */
int playbook_find(Ctl *ctl, const char *name, char **ret_path, Fault *f);

/* All about it, as the result of a verb: with --json its properties, with --quiet its id. */
int playbook_print(Ctl *ctl, const char *path, Fault *f);

/* Waits with progress until it is not being verified. */
int playbook_wait(Ctl *ctl, const char *path, uint64_t timeout_usec, Fault *f);

/* "not verified", "exact" and so on, for a value of Verified. */
const char *playbook_verdict(const char *verified);
