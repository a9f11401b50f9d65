/* SPDX-License-Identifier: MIT */
#pragma once

/* One line on the terminal while something is awaited, and what Ctrl-C means meanwhile. */

#include "dbus/ctl/ctl.h"

#include <signal.h>

/* How often bus_call() ticks. */
#define PROGRESS_TICK_USEC (100 * UINT64_C(1000))

/* Says what is awaited, with the time that has passed, until progress_end(). Nothing is drawn
 * before half a second has passed, with --quiet, or where stderr is no terminal; Ctrl-C is caught
 * anyway. */
void progress_begin(Ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Says something else from now on; the time goes on. */
void progress_say(Ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Whether anybody can see it. */
bool progress_is_shown(const Ctl *ctl);
void progress_tick(Ctl *ctl);
/* Takes the line away until the next tick, for something else to be written. */
void progress_hide(Ctl *ctl);
void progress_end(Ctl *ctl);

/* Whether SIGINT or SIGTERM came since progress_begin(), and forgets it. */
bool progress_take_interrupt(Ctl *ctl);

/* Which of both it was the last time. */
int progress_last_signal(void);

/* The mask for ppoll() under which they come; NULL where nothing is awaited. */
const sigset_t *progress_mask(const Ctl *ctl);
