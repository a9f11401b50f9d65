/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/progress.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

static struct {
        bool to_disk;
} arg;

static const Option options[] = {
        {.name = "to-disk",
         .flag = &arg.to_disk,
         .help = "write its memory to disk, so that it takes none on the host"},
};

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;
        g_autoptr(BusMessage) m = NULL;

        int r = sandbox_find(ctl, args[0], &path, f);
        if (r >= 0)
                r = bus_method(ctl, path, INTERFACE_SANDBOX, "Pause", &m, f);
        if (r < 0)
                return r;
        bus_options_open(m);
        bus_option_bool(m, "to_disk", arg.to_disk);
        bus_options_close(m);
        progress_begin(ctl, "pausing '%s'", args[0]);
        r = bus_call(ctl, m, BUS_TIMEOUT_LONG_USEC, NULL, f);
        progress_end(ctl);
        return r < 0 ? r : sandbox_print(ctl, path, f);
}

const Verb verb_pause = {
        .name = "pause",
        .summary = "stop a sandbox's CPUs and its time, and keep all that runs in it",
        .usage = "NAME",
        .help = "'resume' lets it go on. The time-outs of commands in it do not stand still.",
        .example = "pause web1 --to-disk",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
