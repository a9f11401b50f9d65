/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL, *left = NULL;
        g_autoptr(Json) sandbox = NULL;
        Fault reason = {0};
        uint64_t ttl;

        if (duration_parse(args[1], &ttl, &reason) < 0)
                return usage_error(ctl, f, "%s", reason.message);
        int r = sandbox_find(ctl, args[0], &path, f);
        if (r >= 0)
                r = bus_request(ctl, BUS_TIMEOUT_USEC, path, INTERFACE_SANDBOX, "ExtendTtl", NULL,
                                f, "t", ttl);
        if (r >= 0)
                r = bus_properties(ctl, path, INTERFACE_SANDBOX, &sandbox, f);
        if (r < 0)
                return r;
        left = sandbox_format_expiry(sandbox);
        print_result(ctl, TAKE_PTR(sandbox), "sandbox '%s' has %s left", args[0], left);
        return 0;
}

const Verb verb_extend = {
        .name = "extend",
        .summary = "give a sandbox that much time from now on",
        .usage = "NAME DURATION",
        .example = "extend web1 2h",
        .args_min = 2,
        .args_max = 2,
        .run = run,
};
