/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

static struct {
        uint64_t wait_timeout;
        bool no_wait;
} arg = {.wait_timeout = USEC_INFINITY};

static const Option options[] = {
        OPTION_NO_WAIT(arg.no_wait),
        OPTION_WAIT_TIMEOUT(arg.wait_timeout),
};

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *sandbox = NULL, *snapshot = NULL;
        g_autoptr(BusMessage) reply = NULL;
        const char *path;

        int r = sandbox_find(ctl, args[0], &sandbox, f);
        if (r >= 0)
                r = snapshot_find(ctl, sandbox, args[1], &snapshot, f);
        if (r >= 0)
                r = bus_request(ctl, BUS_TIMEOUT_USEC, snapshot, INTERFACE_SNAPSHOT, "Promote",
                                &reply, f, "s", args[2]);
        if (r >= 0)
                r = bus_read(reply, f, "o", &path);
        if (r >= 0 && !arg.no_wait)
                r = template_wait(ctl, path, args[2], arg.wait_timeout, f);
        return r < 0 ? r : template_print(ctl, path, f);
}

const Verb verb_promote = {
        .name = "promote",
        .summary = "make a template of a snapshot's disk",
        .usage = "NAME SNAP TEMPLATE",
        .help = "It is a copy that depends on nothing, with all that was written into the guest: also "
                "its secrets.",
        .example = "promote web1 installed web-base",
        VERB_OPTIONS(options),
        .args_min = 3,
        .args_max = 3,
        .run = run,
};
