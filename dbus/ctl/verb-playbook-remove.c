/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/playbook.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/verbs.h"

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;
        int r = playbook_find(ctl, args[0], &path, f);

        if (r >= 0)
                r = bus_request(ctl, BUS_TIMEOUT_USEC, path, INTERFACE_PLAYBOOK, "Remove", NULL, f,
                                NULL);
        if (r < 0)
                return r;
        Json *result = json_object_new_object();
        (void) json_object_object_add(result, "removed", json_object_new_string(args[0]));
        print_result(ctl, result, "playbook '%s' is removed", args[0]);
        return 0;
}

const Verb verb_playbook_remove = {
        .name = "playbook remove",
        .summary = "remove a playbook",
        .usage = "PLAYBOOK",
        .help = "With its archive. A snapshot that was made for it stays with its sandbox.",
        .example = "playbook remove site",
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
