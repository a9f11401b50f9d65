/* SPDX-License-Identifier: MIT */

/* Any bytes as the header of a package in rpm's database. */

#include "base/cleanup.h"
#include "diff/rpm-header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(Span path, bool is_configuration, void *data)
{
        unsigned *n = data;

        (void) is_configuration;
        g_assert(path.size <= 4096 && !span_has(path, '\0'));
        (*n)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        g_autofree uint8_t *copy = g_memdup2(data, size);
        RpmHeader header;
        unsigned n = 0;

        if (!rpm_header_parse(copy, size, &header))
                return 0;
        g_autoptr(Package) package = rpm_header_to_package(&header);
        if (package)
                g_assert(package->name && package->version && package->architecture);
        rpm_header_foreach_file(&header, check_path, &n);
        g_assert(n <= size);
        return 0;
}
