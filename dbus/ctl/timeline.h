/* SPDX-License-Identifier: MIT */
#pragma once

/* What happened to a sandbox, and who did it, from the rows of the audit trail about it. */

#include "dbus/ctl/ctl.h"

/* Prints it, one line or with --json one object for each thing that happened, oldest first. `name`
 * is that of a sandbox, there or gone, or its id. FAULT_NOT_FOUND where there are no rows. */
int timeline_print(Ctl *ctl, const char *name, Fault *f);
