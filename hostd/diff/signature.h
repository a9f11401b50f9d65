/* SPDX-License-Identifier: MIT */
#pragma once

/* What the first bytes of a volume say that it holds.
 *
 * A table of marks, not libblkid: that reads from a file descriptor only, and there is none for a
 * chain. A memory file with the first and last MiB of a volume would do for its probes of file
 * systems, at the price of system calls that fluid-diff goes without (memfd_create, fstat, lseek,
 * ioctl) and of some hundred more parsers for hostile bytes. But what decides anything here is not
 * in them: logical partitions and LVM's metadata lie anywhere on a disk, libblkid knows a physical
 * volume but no volume in it, and whether an ext4 file system can be read is libext2fs's to say.
 * All other names are for a message; a test holds them against blkid(8)'s. */

#include "diff/volume.h"

typedef struct Signature {
        /* A static string, as blkid(8) names it, or "unknown". */
        const char *type;
        /* Another file system's mark that is there as well: one of the two is not what the guest
         * uses. NULL mostly. */
        const char *also;
} Signature;

/* FAULT_IMAGE_REFUSED, IO. */
int signature_read(const Volume *volume, Signature *ret, Fault *f);

/* "ext2", "ext3" or "ext4", which differ in features only. */
bool signature_is_ext(const Signature *signature);
