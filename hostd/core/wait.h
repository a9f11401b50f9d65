/* SPDX-License-Identifier: MIT */
#pragma once

/* Callers that wait for an object to get somewhere, each with a deadline. */

#include "base/fault.h"

#include <glib.h>
#include <stdint.h>
#include <systemd/sd-event.h>

/* Embedded in the object; zeroed is empty. */
typedef struct WaitList {
        GPtrArray *waiters;
} WaitList;

/* Ends the wait: r >= 0, or the reason. Never before wait_add() returned. */
typedef void (*WaitDone)(int r, const Fault *f, void *userdata);

typedef bool (*WaitIsReached)(const char *wanted, void *object);

/* `wanted` is a word for the predicate. Where that holds already, the wait ends well as soon as the
 * loop goes on; else FAULT_TIMED_OUT after `timeout_usec`, of which 0 means to ask without waiting.
 * FAULT_LIMITS_EXCEEDED when too many wait already. */
int wait_add(WaitList *list, sd_event *event, const char *wanted, uint64_t timeout_usec,
             WaitIsReached is_reached, void *object, WaitDone done, void *userdata, Fault *f);

/* Ends every wait for which the predicate holds. */
void wait_notify(WaitList *list, WaitIsReached is_reached, void *object);

/* Ends all, with that reason. The list is empty afterwards. */
void wait_fail(WaitList *list, const Fault *f);

/* Forgets all, without a word: for an object that is freed with the manager. */
void wait_clear(WaitList *list);
