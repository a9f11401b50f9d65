/* SPDX-License-Identifier: MIT */
#pragma once

/* How warm a template is, for the verbs that show or change it. */

#include "base/json.h"
#include "dbus/ctl/ctl.h"

/* Waits, saying what is being done, until no memory image of the template is being made any more.
 * The reason where that failed; FAULT_TIMED_OUT; FAULT_CANCELLED, and it goes on. */
int warmth_wait(Ctl *ctl, const char *path, const char *name, uint64_t timeout_usec, Fault *f);

/* "yes", or what is being done for it, or "". Borrowed. */
const char *warmth_describe(Json *template);

/* "2/3" of a pool that is ready, or "" where none is wanted. The caller frees it. */
char *warmth_format_pool(Json *template);

/* The template's warmth as the result of a verb. */
int warmth_print(Ctl *ctl, const char *path, Fault *f);
