/* SPDX-License-Identifier: MIT */
#pragma once

/* What a disk is divided into: nothing (a file system begins at its start), an MBR with logical
 * partitions, or a GPT with sectors of 512 or 4096 bytes.
 *
 * A bounded reader of hostile tables: entries that lie outside the disk are dropped, longer ones
 * are cut. Why not libblkid: see diff/signature.h. */

#include "diff/volume.h"

#define PARTITIONS_MAX      256
#define PARTITION_UUID_SIZE 37
#define PARTITION_NAME_SIZE (36 * 3 + 1)

typedef struct Partition {
        unsigned number; /* as Linux counts them; 0: the whole disk */
        uint64_t start;  /* bytes */
        uint64_t length;
        /* As Linux names it: of a GPT its UUID, of an MBR "12345678-01"; empty for a whole disk. */
        char uuid[PARTITION_UUID_SIZE];
        char name[PARTITION_NAME_SIZE]; /* of a GPT, UTF-8; hostile text */
} Partition;

/* Sorted by number; FAULT_IMAGE_REFUSED, IO. Extended partitions themselves are left out. A disk
 * without a table that is known is one partition, number 0; one that has a table and the mark of
 * ext4 has that partition as well. */
int partitions_read(const Volume *disk, Partition ret[static PARTITIONS_MAX], unsigned *ret_n,
                    Fault *f);
