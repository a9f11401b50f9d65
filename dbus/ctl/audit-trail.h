/* SPDX-License-Identifier: MIT */
#pragma once

/* The rows of Manager.Audit() that the verbs `audit` and `audit export` choose among. */

#include "dbus/ctl/bus.h"

/* The options of both verbs. */
#define AUDIT_OPTIONS 5
extern const Option audit_options[AUDIT_OPTIONS];

/* The reply owns the descriptor of the rows, JSON lines, that match the options. */
int audit_load(Ctl *ctl, BusMessage **ret_reply, int *ret_fd, Fault *f);
