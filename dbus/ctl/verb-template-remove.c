/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;

        int r = template_find(ctl, args[0], &path, f);
        if (r >= 0)
                r = bus_request(ctl, BUS_TIMEOUT_LONG_USEC, path, INTERFACE_TEMPLATE, "Remove",
                                NULL, f, NULL);
        if (r < 0)
                return r;
        Json *result = json_object_new_object();
        (void) json_object_object_add(result, "removed", json_object_new_string(args[0]));
        print_result(ctl, result, "template '%s' is removed", args[0]);
        return 0;
}

const Verb verb_template_remove = {
        .name = "template remove",
        .summary = "remove a template that no sandbox stands on",
        .usage = "TEMPLATE",
        .help = "Its image is deleted; the disks of a domain are left as they are.",
        .example = "template remove debian",
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
