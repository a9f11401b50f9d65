/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
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

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;

        int r = sandbox_find(ctl, args[0], &path, f);
        if (r < 0)
                return r;
        progress_begin(ctl, "resuming '%s'", args[0]);
        r = sandbox_call(ctl, path, "Resume", f);
        progress_end(ctl);
        if (r >= 0 && !arg.no_wait)
                r = sandbox_wait_for(ctl, path, args[0], "ready", arg.wait_timeout, f);
        return r < 0 ? r : sandbox_print(ctl, path, f);
}

const Verb verb_resume = {
        .name = "resume",
        .summary = "let a paused sandbox go on and wait until it is ready",
        .usage = "NAME",
        .help = "Its clock is put right. One that was paused for want of room on the disk needs room first.",
        .example = "resume web1",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
