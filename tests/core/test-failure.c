/* SPDX-License-Identifier: MIT */

/* What can be done with disks: every step fails once. */

#include "tests/core/failing.h"

int main(void)
{
        test_operations(operations, G_N_ELEMENTS(operations));
        return tap_done();
}
