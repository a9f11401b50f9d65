/* SPDX-License-Identifier: MIT */

/* kill -9 in what can be done with approvals. */

#include "tests/core/approval-operations.h"
#include "tests/core/killing.h"

int main(void)
{
        prepare_killing();
        for (size_t i = 0; i < G_N_ELEMENTS(approval_operations); i++)
                test_every_step(approval_operations + i);
        end_killing();
        return tap_done();
}
