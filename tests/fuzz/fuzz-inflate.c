/* SPDX-License-Identifier: MIT */

/* Any bytes as a compressed cluster. */

#include "diff/inflate.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static uint8_t cluster[65536];

        (void) inflate_cluster(QCOW2_ZLIB, data, size, cluster, sizeof(cluster));
        (void) inflate_cluster(QCOW2_ZSTD, data, size, cluster, sizeof(cluster));
        return 0;
}
