/* SPDX-License-Identifier: MIT */
#pragma once

/* Who asks. The api layer fills one per call; everything that core does for a call carries it. */

#include <stdbool.h>
#include <sys/types.h>

#define CALLER_SESSION_MAX 128

typedef struct Caller {
        uid_t uid;
        char text[64];    /* "fluidctl[1234]", for the audit trail */
        bool is_approver; /* sees what all users ask for, and may answer */
        bool has_login;   /* somebody logged in, and all that led here came of it: */
        uid_t login_uid;
        char session[CALLER_SESSION_MAX]; /* unique among all of this host's, ever; or "" */
        bool is_audited;                  /* an audit row for this call was begun */
} Caller;

/* May do everything on every object. */
static inline bool caller_is_admin(const Caller *c)
{
        return c->uid == 0;
}
