/* SPDX-License-Identifier: MIT */
#pragma once

/* The objects of dbus/sh.fluid.Host1.*.xml on the bus, and nothing that they mean: a method reads
 * its arguments, authorises, makes one call into core, and replies.
 *
 * What a caller may not see does not exist for it: not in calls, properties, introspection,
 * GetManagedObjects or signals. Signals of an object are therefore sent to its owner's and root's
 * connections only, and of those to each that has called anything here before; the Manager's own
 * are for all. */

#include "base/fault.h"
#include "core/manager.h"

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct Api Api;

/* The connection to the bus is gone; nothing can be done but to free the Api. */
typedef void (*ApiLost)(void *userdata);

/* Registers all objects on `bus`, or where that is NULL on the system bus, which is opened then
 * (DBUS_SYSTEM_BUS_ADDRESS), and becomes the manager's observer. `version` is copied. FAULT_IO
 * where there is no bus. */
int api_new(sd_event *event, Manager *manager, sd_bus *bus, const char *version, ApiLost lost,
            void *userdata, Api **ret, Fault *f);

/* Takes BUS_NAME; calls arrive from then on. FAULT_EXISTS where another process has it,
 * FAULT_DENIED where the bus policy does not allow it. */
int api_claim_name(Api *api, Fault *f);

/* Sends what is queued and leaves the bus. Calls that still wait are never answered; their done()
 * may come later. NULL is allowed. */
Api *api_free(Api *api);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Api, api_free)
