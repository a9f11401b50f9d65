/* SPDX-License-Identifier: MIT */

/* kill -9 in what can be done with playbooks. */

#include "tests/core/killing.h"
#include "tests/core/playbook-operations.h"

int main(void)
{
        prepare_killing();
        start_verify_unit();
        for (size_t i = 0; i < G_N_ELEMENTS(playbook_operations); i++)
                test_every_step(playbook_operations + i);
        stop_verify_unit();
        end_killing();
        return tap_done();
}
