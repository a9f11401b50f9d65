/* SPDX-License-Identifier: MIT */
#pragma once

/* Files of this host as a tar archive (ustar), to be sent. Nothing is followed: a link, device or
 * pipe is an error that names it. Times, owners and modes are not taken over. */

#include "base/fault.h"

/* A directory with all below it, by names relative to it, sorted; or one file, which is called
 * `name` in it. A descriptor that stands at its start. FAULT_NOT_FOUND, INVALID_ARGUMENT,
 * LIMITS_EXCEEDED, IO. */
int pack(const char *path, const char *name, int *ret_fd, Fault *f);
