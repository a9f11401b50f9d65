/* SPDX-License-Identifier: MIT */
#pragma once

/* What a disk is divided into: nothing (a file system begins at its start), an MBR with logical
 * partitions, or a GPT with sectors of 512 or 4096 bytes.
 *
 * A bounded reader of hostile tables: entries that lie outside the disk are dropped. libblkid is
 * not used because it reads from a file descriptor only, and there is none for a chain. */

#include "diff/chain.h"

#define PARTITIONS_MAX 256

typedef struct Partition {
        unsigned number; /* as Linux counts them; 0: the whole disk */
        uint64_t start;  /* bytes */
        uint64_t length;
        /* What its first bytes say: "ext4" (also for ext2 and ext3), "xfs", "vfat", … or "unknown".
         * A static string. */
        const char *type;
} Partition;

/* Sorted by number; FAULT_IMAGE_REFUSED, IO. Extended partitions themselves are left out. A disk
 * without a table that is known is one partition, number 0. */
int partitions_read(Chain *chain, Partition *ret, unsigned *ret_n, Fault *f);

bool partition_is_ext(const Partition *partition);
