/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/progress.h"
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

/* One that was stopped stays so; one that ran has to come up again. */
static int wait_settled(Ctl *ctl, const char *path, const char *name, Fault *f)
{
        g_autoptr(Json) properties = NULL;

        int r = bus_properties(ctl, path, INTERFACE_SANDBOX, &properties, f);
        if (r < 0 || g_str_equal(json_text(properties, "state"), "stopped"))
                return r;
        return sandbox_wait_for(ctl, path, name, "ready", arg.wait_timeout, f);
}

static int print(Ctl *ctl, const char *path, Fault *f)
{
        g_autoptr(Json) sandbox = NULL;

        int r = bus_properties(ctl, path, INTERFACE_SANDBOX, &sandbox, f);
        if (r < 0)
                return r;
        const char *state = json_text(sandbox, "state");
        bool runs_on = !g_str_equal(state, "stopped") &&
                       g_str_equal(json_text(sandbox, "started_from"), "memory");
        g_autofree char *line =
                g_strdup_printf("sandbox '%s' is %s%s", json_text(sandbox, "name"), state,
                                runs_on ? ", running on from the snapshot's memory" : "");
        print_result(ctl, TAKE_PTR(sandbox), "%s", line);
        return 0;
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;

        int r = sandbox_find(ctl, args[0], &path, f);
        if (r < 0)
                return r;
        progress_begin(ctl, "restoring '%s' to '%s'", args[0], args[1]);
        r = bus_request(ctl, BUS_TIMEOUT_LONG_USEC, path, INTERFACE_SANDBOX, "Restore", NULL, f,
                        "s", args[1]);
        progress_end(ctl);
        if (r >= 0 && !arg.no_wait)
                r = wait_settled(ctl, path, args[0], f);
        return r < 0 ? r : print(ctl, path, f);
}

const Verb verb_restore = {
        .name = "restore",
        .summary = "put a sandbox back to a snapshot, or to 'template'",
        .usage = "NAME SNAP",
        .help = "What was written since is lost. From a snapshot with memory it runs on, with all that "
                "ran in it; else a running one is stopped and booted again. It is ready when this "
                "returns.",
        .example = "restore web1 installed",
        VERB_OPTIONS(options),
        .args_min = 2,
        .args_max = 2,
        .run = run,
};
