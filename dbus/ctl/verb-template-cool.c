/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/progress.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"
#include "dbus/ctl/warmth.h"

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;

        int r = template_find(ctl, args[0], &path, f);
        if (r < 0)
                return r;
        progress_begin(ctl, "cooling '%s'", args[0]);
        r = bus_request(ctl, BUS_TIMEOUT_LONG_USEC, path, INTERFACE_TEMPLATE, "Cool", NULL, f,
                        NULL);
        progress_end(ctl);
        return r < 0 ? r : warmth_print(ctl, path, f);
}

const Verb verb_template_cool = {
        .name = "template cool",
        .summary = "remove a template's memory images and its pool",
        .usage = "TEMPLATE",
        .help = "Sandboxes that were made from them stay. New ones boot.",
        .example = "template cool debian",
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
