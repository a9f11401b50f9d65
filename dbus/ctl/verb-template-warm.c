/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"
#include "dbus/ctl/warmth.h"

static struct {
        uint64_t vcpus, memory, pool, wait_timeout;
        bool no_wait;
} arg = {.wait_timeout = USEC_INFINITY};

static const Option options[] = {
        {.name = "vcpus",
         .argument = "N",
         .number = &arg.vcpus,
         .help = "of sandboxes with that many virtual CPUs, not the template's number"},
        {.name = "memory",
         .argument = "SIZE",
         .bytes = &arg.memory,
         .help = "of sandboxes with that much memory, not the template's"},
        {.name = "pool",
         .argument = "N",
         .number = &arg.pool,
         .help = "and keep that many sandboxes ready, as 'template pool' does"},
        OPTION_NO_WAIT(arg.no_wait),
        OPTION_WAIT_TIMEOUT(arg.wait_timeout),
};

static int begin(Ctl *ctl, const char *path, Fault *f)
{
        g_autoptr(BusMessage) m = NULL;

        int r = bus_method(ctl, path, INTERFACE_TEMPLATE, "Warm", &m, f);
        if (r < 0)
                return r;
        bus_options_open(m);
        bus_option_u32(m, "vcpus", arg.vcpus);
        bus_option_u64(m, "memory_bytes", arg.memory);
        bus_options_close(m);
        return bus_call(ctl, m, BUS_TIMEOUT_USEC, NULL, f);
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;

        int r = template_find(ctl, args[0], &path, f);
        if (r >= 0)
                r = begin(ctl, path, f);
        /* Afterwards: a pool makes the template's own size warm, and one is made at a time. */
        if (r >= 0 && arg.pool > 0)
                r = bus_request(ctl, BUS_TIMEOUT_USEC, path, INTERFACE_TEMPLATE, "SetPool", NULL, f,
                                "u", (uint32_t) arg.pool);
        if (r >= 0 && !arg.no_wait)
                r = warmth_wait(ctl, path, args[0], arg.wait_timeout, f);
        return r < 0 ? r : warmth_print(ctl, path, f);
}

const Verb verb_template_warm = {
        .name = "template warm",
        .summary = "boot a template once, so that new sandboxes run on from there",
        .usage = "TEMPLATE",
        .help = "What the booted guest has in memory is kept, and made again by itself where an upgrade "
                "of QEMU or libvirt makes it useless. Interrupting this does not interrupt that.",
        .example = "template warm debian --pool 2",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
