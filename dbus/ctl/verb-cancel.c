/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/approval.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/verbs.h"

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;
        int r = approval_find(ctl, args[0], &path, f);

        if (r >= 0)
                r = bus_request(ctl, BUS_TIMEOUT_USEC, path, INTERFACE_APPROVAL, "Cancel", NULL, f,
                                NULL);
        if (r < 0)
                return r;
        Json *result = json_object_new_object();
        (void) json_object_object_add(result, "id", json_object_new_string(args[0]));
        print_result(ctl, result, "cancelled");
        return 0;
}

const Verb verb_cancel = {
        .name = "cancel",
        .summary = "take back what you asked, or a yes that was not applied",
        .usage = "APPROVAL",
        .example = "cancel 0123456789ab",
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
