/* SPDX-License-Identifier: MIT */

/* What can be done with playbooks: every step fails once. */

#include "tests/core/playbook-operations.h"

#include "tests/core/failing.h"

int main(void)
{
        test_operations(playbook_operations, G_N_ELEMENTS(playbook_operations));
        stop_verify_unit();
        return tap_done();
}
