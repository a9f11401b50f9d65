/* SPDX-License-Identifier: MIT */
#pragma once

/* What a sandbox does on the network, for people and as JSON. */

#include "dbus/ctl/ctl.h"

/* Its address, interface, profile and state, what it sent by what became of it, and what was
 * refused last. Where the kernel does not tell, that is said, and the rest is shown. */
int traffic_print(Ctl *ctl, const char *sandbox, Fault *f);
