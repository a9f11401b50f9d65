/* SPDX-License-Identifier: MIT */
#pragma once

/* Whether a caller may do what it asks, by polkit. Ownership is not asked here: what a caller does
 * not own it does not find. Root may do everything. Without polkit on the bus nobody else may do
 * anything.
 *
 * https://www.freedesktop.org/software/polkit/docs/latest/eggdbus-interface-org.freedesktop.PolicyKit1.Authority.html
 */

#include "api/call.h"

/* Returns 1 if the call may go on at once, or 0 after asking: done() follows, r >= 0 or
 * FAULT_DENIED. Dropping call->polkit takes the question back. */
typedef void (*AuthoriseDone)(Call *call, int r, const Fault *f);
int authorise(Call *call, AuthoriseDone done, Fault *f);
