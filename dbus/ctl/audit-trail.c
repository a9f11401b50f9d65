/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/audit-trail.h"

#include "base/cleanup.h"
#include "base/quantity.h"

static struct {
        const char *object, *kind;
        uint64_t caller, since, limit;
} arg = {.caller = UINT64_MAX};

const Option audit_options[AUDIT_OPTIONS] = {
        {.name = "object",
         .argument = "OBJECT",
         .string = &arg.object,
         .help = "only of that path, name or id"},
        {.name = "kind", .argument = "KIND", .string = &arg.kind, .help = "like sandbox.create"},
        {.name = "caller", .argument = "UID", .number = &arg.caller, .help = "only what it called"},
        {.name = "since",
         .argument = "DURATION",
         .usec = &arg.since,
         .help = "not older than that"},
        {.name = "limit", .argument = "N", .number = &arg.limit, .help = "only the newest N"},
};

int audit_load(Ctl *ctl, BusMessage **ret_reply, int *ret_fd, Fault *f)
{
        g_autoptr(BusMessage) m = NULL, reply = NULL;

        int r = bus_method(ctl, PATH_ROOT, INTERFACE_MANAGER, "Audit", &m, f);
        if (r < 0)
                return r;
        bus_options_open(m);
        bus_option_string(m, "object", arg.object);
        bus_option_string(m, "kind", arg.kind);
        if (arg.caller != UINT64_MAX)
                (void) sd_bus_message_append(m, "{sv}", "caller_uid", "u", (uint32_t) arg.caller);
        if (arg.since > 0 && arg.since < now_realtime_usec())
                bus_option_u64(m, "since_usec", now_realtime_usec() - arg.since);
        bus_option_u64(m, "limit", arg.limit);
        bus_options_close(m);
        r = bus_call(ctl, m, BUS_TIMEOUT_LONG_USEC, &reply, f);
        if (r >= 0)
                r = bus_read(reply, f, "h", ret_fd);
        if (r >= 0)
                *ret_reply = TAKE_PTR(reply);
        return r;
}
