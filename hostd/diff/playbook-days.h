/* SPDX-License-Identifier: MIT */
#pragma once

/* How long accounts and passwords are good (shadow(5)), as far as ansible.builtin.user of
 * ansible-core 2.14 sets it. */

#include "diff/playbook-plan.h"

typedef enum AccountMaker {
        MAKER_USERADD,
        MAKER_USERADD_SYSTEM, /* which gives no days, whatever it is told */
        MAKER_PACKAGE,        /* what it gives is not known */
} AccountMaker;

/* Reads what useradd gives; before the others. */
void plan_read_days(Plan *plan);

/* What of a user's days has to be said, and can be: the task gets it. False where that is nothing.
 * `old` is NULL where the user is new; what cannot be said is left out by name. */
bool plan_user_days(Plan *plan, Task *task, const char *name, Json *old, Json *new,
                    AccountMaker maker);

/* Whether a password of the user has to be changed some day: not of those that useradd --system
 * made. */
bool user_has_days(Json *user);
