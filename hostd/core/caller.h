/* SPDX-License-Identifier: MIT */
#pragma once

/* Who asks. The api layer fills one per call; everything that core does for a call carries it. */

#include <stdbool.h>
#include <sys/types.h>

typedef struct Caller {
        uid_t uid;
        char text[64];   /* "fluidctl[1234]", for the audit trail */
        bool is_audited; /* an audit row for this call was begun */
} Caller;

/* May do everything on every object. */
static inline bool caller_is_admin(const Caller *c)
{
        return c->uid == 0;
}
