/* SPDX-License-Identifier: MIT */

/* What can be done with networks: every step fails once. */

#include "tests/core/failing.h"
#include "tests/core/network-operations.h"

int main(void)
{
        test_operations(network_operations, G_N_ELEMENTS(network_operations));
        return tap_done();
}
