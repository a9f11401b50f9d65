/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"
#include "dbus/ctl/warmth.h"

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;
        Fault reason = {0};
        uint64_t size;

        if (number_parse(args[1], &size, &reason) < 0)
                return usage_error(ctl, f, "%s", reason.message);
        int r = template_find(ctl, args[0], &path, f);
        if (r >= 0)
                r = bus_request(ctl, BUS_TIMEOUT_USEC, path, INTERFACE_TEMPLATE, "SetPool", NULL, f,
                                "u", (uint32_t) size);
        return r < 0 ? r : warmth_print(ctl, path, f);
}

const Verb verb_template_pool = {
        .name = "template pool",
        .summary = "keep that many sandboxes of a template ready to be handed out",
        .usage = "TEMPLATE N",
        .help = "They are made in the background, and the template is made warm first. 0 ends the pool.",
        .example = "template pool debian 2",
        .args_min = 2,
        .args_max = 2,
        .run = run,
};
