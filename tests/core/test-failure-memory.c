/* SPDX-License-Identifier: MIT */

/* What can be done with memory: every step fails once. */

#include "tests/core/failing.h"
#include "tests/core/memory-operations.h"

int main(void)
{
        test_operations(memory_operations, G_N_ELEMENTS(memory_operations));
        return tap_done();
}
