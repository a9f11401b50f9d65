/* SPDX-License-Identifier: MIT */

/* kill -9 in what can be done with networks. */

#include "tests/core/killing.h"
#include "tests/core/network-operations.h"

int main(void)
{
        prepare_killing();
        for (size_t i = 0; i < G_N_ELEMENTS(network_operations); i++)
                test_every_step(network_operations + i);
        end_killing();
        return tap_done();
}
