/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

static struct {
        uint64_t wait_timeout;
        bool no_wait, force;
} arg = {.wait_timeout = USEC_INFINITY};

static const Option options[] = {
        {.name = "force", .flag = &arg.force, .help = "pull the plug at once"},
        OPTION_NO_WAIT(arg.no_wait),
        OPTION_WAIT_TIMEOUT(arg.wait_timeout),
};

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;

        int r = sandbox_find(ctl, args[0], &path, f);
        if (r >= 0)
                r = bus_request(ctl, BUS_TIMEOUT_LONG_USEC, path, INTERFACE_SANDBOX, "Stop", NULL,
                                f, "b", arg.force);
        if (r >= 0 && !arg.no_wait)
                r = sandbox_wait_for(ctl, path, args[0], "stopped", arg.wait_timeout, f);
        return r < 0 ? r : sandbox_print(ctl, path, f);
}

const Verb verb_stop = {
        .name = "stop",
        .summary = "shut a sandbox down and wait until it is off",
        .usage = "NAME",
        .help = "Its power button is pressed; a guest that does not heed it loses its power after "
                "the host's stop_timeout.",
        .example = "stop web1",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
