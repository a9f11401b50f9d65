/* SPDX-License-Identifier: MIT */

/* What can be done with approvals: every step fails once. */

#include "tests/core/approval-operations.h"
#include "tests/core/failing.h"

int main(void)
{
        test_operations(approval_operations, G_N_ELEMENTS(approval_operations));
        return tap_done();
}
