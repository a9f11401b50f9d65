/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/creation.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/timing.h"
#include "dbus/ctl/verbs.h"

static struct {
        const char *template, *name;
        uint64_t vcpus, memory;
        bool timing;
        Creation creation;
} arg = {.creation = {CREATION_INIT}};

static const Option options[] = {
        {.name = "template",
         .argument = "TEMPLATE",
         .string = &arg.template,
         .help = "what it is made from"},
        {.name = "name", .argument = "NAME", .string = &arg.name, .help = "by default its id"},
        {.name = "vcpus", .argument = "N", .number = &arg.vcpus, .help = "virtual CPUs"},
        {.name = "memory", .argument = "SIZE", .bytes = &arg.memory, .help = "memory"},
        {.name = "cold",
         .flag = &arg.creation.boots,
         .help = "boot it even where a warm template or its pool would be faster"},
        {.name = "timing",
         .flag = &arg.timing,
         .help = "tell on standard error where the time went"},
        CREATION_OPTIONS(arg.creation),
};

static int begin(Ctl *ctl, char **ret_path, Fault *f)
{
        g_autoptr(BusMessage) m = NULL;

        int r = bus_method(ctl, PATH_ROOT, INTERFACE_MANAGER, "CreateSandbox", &m, f);
        if (r < 0)
                return r;
        (void) sd_bus_message_append(m, "s", arg.template);
        bus_options_open(m);
        bus_option_u32(m, "vcpus", arg.vcpus);
        bus_option_u64(m, "memory_bytes", arg.memory);
        r = creation_append(ctl, &arg.creation, arg.name, m, f);
        if (r < 0)
                return r;
        bus_options_close(m);
        return bus_call_path(ctl, m, BUS_TIMEOUT_USEC, ret_path, f);
}

/* With --json it is a part of what is printed. */
static void tell_timing(const Ctl *ctl, Json *sandbox)
{
        Json *timing = NULL;

        (void) json_find_object(sandbox, "timing", &timing);
        if (!ctl->json)
                timing_print(stderr, timing, json_text(sandbox, "started_from"));
        else
                (void) json_object_object_add(sandbox, "timing_total_usec",
                                              json_object_new_uint64(timing_total(timing)));
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL, *name = NULL;
        g_autoptr(Json) sandbox = NULL;

        (void) args;
        if (!arg.template)
                return usage_error(ctl, f, "--template is missing");
        if (arg.timing && arg.creation.no_wait)
                return usage_error(ctl, f, "--timing has to wait: it goes without --no-wait");
        int r = creation_check(ctl, &arg.creation, f);
        if (r >= 0)
                r = begin(ctl, &path, f);
        if (r >= 0)
                r = bus_properties(ctl, path, INTERFACE_SANDBOX, &sandbox, f);
        if (r < 0)
                return r;
        name = g_strdup(json_text(sandbox, "name"));
        if (!arg.creation.no_wait) {
                r = creation_wait(ctl, &arg.creation, path, name, f);
                json_object_put(TAKE_PTR(sandbox));
                if (r >= 0)
                        r = bus_properties(ctl, path, INTERFACE_SANDBOX, &sandbox, f);
                if (r < 0)
                        return r;
        }
        if (arg.timing)
                tell_timing(ctl, sandbox);
        if (ctl->json)
                print_json(sandbox);
        else
                print_line("%s", name);
        return 0;
}

const Verb verb_create = {
        .name = "create",
        .summary = "make a sandbox from a template and wait until it is ready",
        .usage = "--template TEMPLATE",
        .help = "Prints its name. One that fails is destroyed after its reason is shown. It is taken from "
                "the template's pool or runs on from its memory image where there is one ('template "
                "warm'), else it boots. With --wait ip it is left as it is where its address does not answer.",
        .example =
                "create --template debian --name web1 --agent claude --ttl 2h --network internet",
        VERB_OPTIONS(options),
        .run = run,
};
