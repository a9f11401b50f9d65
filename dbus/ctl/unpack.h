/* SPDX-License-Identifier: MIT */
#pragma once

/* An archive of a guest's files onto this host's disk, below one directory and nowhere else.
 *
 * No symbolic link is followed on the way, whether the archive made it or it was there: each
 * directory is opened by the one above it. Files get the caller's owner, umask and no bits but rwx;
 * devices and pipes are left out; extended attributes and ACLs are not taken over. Links are made
 * as they are in the guest, and point wherever the guest wants. */

#include "base/fault.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct UnpackOptions {
        bool replace;    /* what is there; directories are joined. Else it is FAULT_EXISTS */
        bool keep_owner; /* the numbers of the guest's; for root */
} UnpackOptions;

typedef struct Unpacked {
        uint64_t n_files, n_directories, n_links, n_bytes;
        uint64_t n_left_out; /* devices and pipes */
        uint64_t n_plain;    /* files that lost setuid, setgid or sticky bits */
} Unpacked;

/* `directory` is made where it is not there (its parent has to be). Whole files that were
 * written before an error stay. FAULT_EXISTS, FAULT_IO, FAULT_NO_SPACE. */
int unpack(int archive_fd, const char *directory, const UnpackOptions *options, Unpacked *ret,
           Fault *f);
