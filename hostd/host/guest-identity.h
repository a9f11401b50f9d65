/* SPDX-License-Identifier: MIT */
#pragma once

/* What the parts of a guest's identity share; private to them. */

#include "host/guest-task.h"

/* The shell's way; see there for its parameters and its input. */
extern const char guest_identity_script[];

/* Where guest_put_program() puts the program guest/identity.c, and guest_renew_identity() looks for
 * it: a link in a folder that is root's alone. The number goes up with each change of the program's
 * arguments or input, so that an older image's is not taken. */
#define GUEST_PROGRAM_LINK "/run/fluid-identity-1"

int guest_check_hostname(const char *hostname, Fault *f);
