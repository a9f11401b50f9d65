/* SPDX-License-Identifier: MIT */
#pragma once

/* Whether there is something to read that fluid-diff-guestfs can and this cannot. */

#include "diff/arguments.h"
#include "diff/foreign.h"

/* The places that have to be copied for what was asked, as foreign_find() has them, and what they
 * are, for a message. `old` and `new` are the chains of the disks; the former is not looked at
 * where one point is enough. g_array_unref() and g_free() them. FAULT_IMAGE_REFUSED, IO, NO_MEMORY.
 */
int defer_find(const Arguments *arguments, Chain *const *old, Chain *const *new, GArray **ret,
               char **ret_text, Fault *f);

/* As that, but also none where the file that was asked for can be read without them. */
int defer_find_needed(const Arguments *arguments, Chain *const *old, Chain *const *new,
                      GArray **ret, char **ret_text, Fault *f);
