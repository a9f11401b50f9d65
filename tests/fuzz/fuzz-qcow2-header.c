/* SPDX-License-Identifier: MIT */

/* Any bytes as the beginning of a qcow2 file: what is accepted keeps the promises of base/qcow2.h.
 */

#include "base/qcow2.h"

#include <glib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        DiskFormat format;
        Qcow2Header header;
        Fault fault = {0};

        (void) disk_format_probe(data, size, &format, NULL);
        for (unsigned i = 0; i < 2; i++) {
                uint64_t file_size = i == 0 ? size : UINT64_C(1) << 40;

                if (qcow2_header_parse(data, size, file_size, &header, &fault) < 0)
                        continue;
                g_assert(header.virtual_size <= QCOW2_VIRTUAL_SIZE_MAX);
                g_assert(header.l1_offset + header.l1_size * UINT64_C(8) <= file_size);
                g_assert(strlen(header.backing_file) <= QCOW2_BACKING_NAME_MAX);
                (void) qcow2_header_check_standalone(&header, &fault);
        }
        return 0;
}
