/* SPDX-License-Identifier: MIT */
#pragma once

/* Who is behind a connection to the bus. The uid is what the bus daemon says, and never changes for
 * a unique name, so it is asked once, with the login that its process came of and whether it is in
 * approver_group; the newest CALLERS_MAX connections are remembered until they end. */

#include "base/fault.h"
#include "core/caller.h"
#include "core/manager.h"

#include <stdint.h>
#include <systemd/sd-bus.h>

#define CALLERS_MAX 1024

typedef struct Callers Callers;

/* `gone` tells that a connection has ended, of anybody's on the bus. FAULT_INTERNAL. */
typedef void (*CallerGone)(const char *name, void *userdata);
int callers_new(sd_bus *bus, const Manager *manager, CallerGone gone, void *userdata, Callers **ret,
                Fault *f);
Callers *callers_free(Callers *c);

/* Of the sender of `m`. FAULT_DENIED where the bus does not know it any more. */
int callers_get(Callers *c, sd_bus_message *m, Caller *ret, Fault *f);

/* Puts `m` off until the bus has said who sends it, so that nobody else waits for that, and after
 * what was put off of the same sender; `known` is called then, also where the bus did not say.
 * False where that is known already, or cannot be asked: callers_get() has it. */
typedef void (*CallerKnown)(sd_bus_message *m, void *userdata);
bool callers_defer(Callers *c, sd_bus_message *m, CallerKnown known, void *userdata);

/* Calls `each` for every connection that is remembered. */
void callers_foreach(Callers *c,
                     void (*each)(const char *name, const Caller *caller, void *userdata),
                     void *userdata);

/* A permission to look that was given a short time ago need not be asked for again. */
void callers_set_observes(Callers *c, const char *name, uint64_t until_usec);
bool callers_observes(const Callers *c, const char *name);
