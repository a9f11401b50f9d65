/* SPDX-License-Identifier: MIT */

/* kill -9 in what can be done with memory. */

#include "tests/core/killing.h"
#include "tests/core/memory-operations.h"

int main(void)
{
        prepare_killing();
        for (size_t i = 0; i < G_N_ELEMENTS(memory_operations); i++)
                test_every_step(memory_operations + i);
        end_killing();
        return tap_done();
}
