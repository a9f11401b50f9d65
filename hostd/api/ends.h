/* SPDX-License-Identifier: MIT */
#pragma once

/* Why objects are gone that were never complete.
 *
 * An import or a creation may fail before its caller has called Wait() on the new object, which
 * then does not exist any more. So each is watched from its beginning, and the newest ENDS_MAX
 * reasons are kept for those Wait() calls, for whoever may have seen the object. */

#include "base/name.h"
#include "core/manager.h"

#define ENDS_MAX 64

typedef struct Ends Ends;

Ends *ends_new(void);
Ends *ends_free(Ends *e);

/* Watches an object that `caller` has just begun to make. One that cannot be watched is not. */
void ends_watch_template(Ends *e, Template *t);
void ends_watch_sandbox(Ends *e, Sandbox *s);

/* NULL where nothing is known, or the caller may not know it. Valid until the loop goes on. */
const Fault *ends_find(const Ends *e, const Caller *caller, ObjectKind kind, const char *id);
