/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/approval.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/verbs.h"

static struct {
        const char *comment;
} arg = {.comment = ""};

static const Option options[] = {
        {.name = "comment",
         .argument = "TEXT",
         .string = &arg.comment,
         .help = "for whoever asked"},
};

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;
        int r = approval_find(ctl, args[0], &path, f);

        if (r >= 0)
                r = bus_request(ctl, BUS_TIMEOUT_PERSON_USEC, path, INTERFACE_APPROVAL, "Deny",
                                NULL, f, "s", arg.comment);
        if (r < 0)
                return r;
        Json *result = json_object_new_object();
        (void) json_object_object_add(result, "id", json_object_new_string(args[0]));
        print_result(ctl, result, "denied");
        return 0;
}

const Verb verb_deny = {
        .name = "deny",
        .summary = "say no to what was asked",
        .usage = "APPROVAL",
        .help = "Not to what you asked yourself: that you can 'cancel'.",
        .example = "deny 0123456789ab --comment 'Use the mirror'",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
