/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

static struct {
        uint64_t wait_timeout;
} arg = {.wait_timeout = USEC_INFINITY};

static const Option options[] = {
        OPTION_WAIT_TIMEOUT(arg.wait_timeout),
};

static int wait_for(Ctl *ctl, const char *path, const char *name, const char *state, Fault *f)
{
        uint64_t begun = now_monotonic_usec();

        if (!g_str_equal(state, "online"))
                return sandbox_wait_for(ctl, path, name, state, arg.wait_timeout, f);
        int r = sandbox_wait_for(ctl, path, name, "ready", arg.wait_timeout, f);
        return r < 0 ? r : sandbox_wait_online(ctl, path, name, arg.wait_timeout, begun, f);
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        const char *state = args[1] ? args[1] : "ready";
        g_autofree char *path = NULL;

        int r = sandbox_find(ctl, args[0], &path, f);
        if (r >= 0)
                r = wait_for(ctl, path, args[0], state, f);
        if (r < 0)
                return r;
        Json *result = json_object_new_object();
        (void) json_object_object_add(result, "state", json_object_new_string(state));
        print_result(ctl, result, "%s", state);
        return 0;
}

const Verb verb_wait = {
        .name = "wait",
        .summary = "wait until a sandbox is in a state",
        .usage = "NAME [STATE]",
        .help = "STATE is ready (the default), online (ready, and its address answers), paused, stopped or "
                "failed. Exits with 1 where it comes to "
                "another state and will not get there by itself.",
        .example = "wait web1 stopped --wait-timeout 1min",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 2,
        .run = run,
};
