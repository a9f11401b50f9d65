/* SPDX-License-Identifier: MIT */

/* What can be done with the approval of a playbook: every step fails once. */

#include "tests/core/apply-operations.h"
#include "tests/core/failing.h"

int main(void)
{
        test_operations(apply_operations, G_N_ELEMENTS(apply_operations));
        return tap_done();
}
