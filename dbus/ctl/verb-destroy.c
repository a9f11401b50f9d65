/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/progress.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

static int destroy(Ctl *ctl, const char *name, Fault *f)
{
        g_autofree char *path = NULL;

        int r = sandbox_find(ctl, name, &path, f);
        if (r < 0)
                return r;
        progress_begin(ctl, "destroying '%s'", name);
        r = sandbox_call(ctl, path, "Destroy", f);
        progress_end(ctl);
        return r;
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(Json) gone = json_object_new_array();
        Fault first = {0};

        for (char **name = args; *name; name++) {
                Fault reason = {0};
                if (destroy(ctl, *name, &reason) >= 0) {
                        (void) json_object_array_add(gone, json_object_new_string(*name));
                        if (!ctl->json && !ctl->quiet)
                                print_line("sandbox '%s' is destroyed", *name);
                        continue;
                }
                if (!fault_is_set(&first))
                        first = reason;
                else
                        fprintf(stderr, "fluidctl: %s\n", reason.message);
                if (reason.code == FAULT_CANCELLED)
                        break;
        }
        if (ctl->json) {
                Json *result = json_object_new_object();
                (void) json_object_object_add(result, "destroyed", TAKE_PTR(gone));
                print_result(ctl, result, "%s", "");
        }
        return fault_is_set(&first) ? fault_set(f, first.code, "%s", first.message) : 0;
}

const Verb verb_destroy = {
        .name = "destroy",
        .summary = "remove sandboxes with all that is in them",
        .usage = "NAME...",
        .help = "Returns when they are gone. Those that can be destroyed are, where others cannot.",
        .example = "destroy web1 web2",
        .args_min = 1,
        .args_max = VERB_ARGS_ANY,
        .run = run,
};
