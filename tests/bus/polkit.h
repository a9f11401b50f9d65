/* SPDX-License-Identifier: MIT */
#pragma once

/* A polkit that says what it is told to: yes at first. */

#include "tests/bus/fixture.h"

#include <glib.h>

static char polkit_action[64];
static bool is_allowed;

static inline int on_check(sd_bus_message *m, G_GNUC_UNUSED void *userdata,
                           G_GNUC_UNUSED sd_bus_error *error)
{
        const char *kind, *key, *name, *action;

        if (sd_bus_message_read(m, "(sa{sv})s", &kind, 1, &key, "s", &name, &action) < 0)
                tap_bail_out("polkit was asked nonsense");
        (void) g_strlcpy(polkit_action, action, sizeof polkit_action);
        return sd_bus_reply_method_return(m, "(bba{ss})", is_allowed, 0, 0);
}

static const sd_bus_vtable polkit[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", on_check,
                      SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static inline void start_polkit(void)
{
        sd_bus *bus = fixture_connect(0);

        is_allowed = true;
        if (sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/PolicyKit1/Authority",
                                     "org.freedesktop.PolicyKit1.Authority", polkit, NULL) < 0 ||
            sd_bus_request_name(bus, "org.freedesktop.PolicyKit1", 0) < 0)
                tap_bail_out("polkit cannot be put on the bus");
}
