/* SPDX-License-Identifier: MIT */

/* kill -9 between asking, approving and applying a playbook, and on the way: it is never applied
 * twice, nor said to be applied where it was not. */

#include "tests/core/apply-operations.h"
#include "tests/core/killing.h"

int main(void)
{
        /* There are few steps, and after each of them it has to be seen what can be done. */
        (void) g_setenv("FLUID_TEST_ALL", "1", TRUE);
        prepare_killing();
        start_apply_unit();
        for (size_t i = 0; i < G_N_ELEMENTS(apply_operations); i++)
                test_every_step(apply_operations + i);
        stop_apply_unit();
        end_killing();
        return tap_done();
}
