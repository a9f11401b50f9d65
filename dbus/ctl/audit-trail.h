/* SPDX-License-Identifier: MIT */
#pragma once

/* The rows of Manager.Audit() that the verbs `audit`, `audit export` and `show --timeline` choose
 * among. */

#include "dbus/ctl/bus.h"

/* The options of the first two. */
#define AUDIT_OPTIONS 12
extern const Option audit_options[AUDIT_OPTIONS];

/* The reply owns the descriptor of the rows, JSON lines, that match the options. */
int audit_load(Ctl *ctl, BusMessage **ret_reply, int *ret_fd, Fault *f);

/* The same of all that is about a sandbox, there or gone, by name or id. */
int audit_load_sandbox(Ctl *ctl, const char *sandbox, BusMessage **ret_reply, int *ret_fd,
                       Fault *f);

/* An object's path without what all of them begin with. */
const char *audit_shorten(const char *object);

/* audit-journal.c: appends the heads that the journal has, of this host or in the files below
 * `directory` (or NULL), to a message as a(ts); how many. FAULT_NOT_FOUND where there are none. */
int audit_append_journal(BusMessage *m, const char *directory, unsigned *ret_n, Fault *f);
