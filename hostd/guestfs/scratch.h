/* SPDX-License-Identifier: MIT */
#pragma once

/* The directory that copies are made in, which goes when they are done, or not. */

#include "base/fault.h"

#include <sys/types.h>

/* Who works in it, and who the appliance runs as: for root, somebody who owns nothing. */
typedef struct ScratchUser {
        uid_t uid;
        gid_t gid;
        const char *name; /* NULL: who this is already */
} ScratchUser;

/* FAULT_IO. */
int scratch_find_user(ScratchUser *ret, Fault *f);

/* For good. FAULT_INTERNAL. */
int scratch_become(const ScratchUser *user, Fault *f);

/* Below TMPDIR or /var/tmp; g_free() the path, and remove_tree() it. FAULT_IO. */
int scratch_make(const ScratchUser *user, char **ret, Fault *f);

/* A socket that the user can connect to; close() it. FAULT_IO. */
int scratch_listen(const ScratchUser *user, const char *path, int *ret, Fault *f);
