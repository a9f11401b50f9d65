/* SPDX-License-Identifier: MIT */
#pragma once

/* A diff's document, of what is at and below one path.
 *
 * It is a whole document again: numbers of changes are put right; packages, services and noise are
 * left out where none of their changes is left, users and groups where /etc/passwd is not below the
 * path; what else names a file goes with it. What was not read stays, unless it is known to be
 * elsewhere. The summary says how many of the changes these are. */

#include "base/fault.h"

#include <stddef.h>

/* "/etc/nginx", from what a person wrote: absolute, without a slash at its end; \xNN is that byte,
 * as paths are printed. FAULT_INVALID_ARGUMENT. The caller frees it. */
int diff_filter_parse_path(const char *text, char **ret, Fault *f);

/* `ret_fd` is the new document, at its beginning. */
int diff_filter(int fd, const char *path, int *ret_fd, Fault *f);
