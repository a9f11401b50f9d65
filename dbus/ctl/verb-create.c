/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

#include <string.h>

static struct {
        const char *template, *name, *agent, *network;
        GPtrArray *labels;
        uint64_t ttl, vcpus, memory, boot_timeout, wait_timeout;
        bool no_wait, keep_failed;
} arg = {.wait_timeout = USEC_INFINITY};

static const Option options[] = {
        {.name = "template",
         .argument = "TEMPLATE",
         .string = &arg.template,
         .help = "what it is made from"},
        {.name = "name", .argument = "NAME", .string = &arg.name, .help = "by default its id"},
        {.name = "agent",
         .argument = "AGENT",
         .string = &arg.agent,
         .help = "who is going to work in it"},
        {.name = "network",
         .argument = "PROFILE",
         .string = &arg.network,
         .help = "its network; none has no network interface"},
        {.name = "ttl",
         .argument = "DURATION",
         .usec = &arg.ttl,
         .help = "destroy it after that long; by default the host decides"},
        {.name = "label",
         .argument = "KEY=VALUE",
         .list = &arg.labels,
         .help = "a label of your own"},
        {.name = "vcpus", .argument = "N", .number = &arg.vcpus, .help = "virtual CPUs"},
        {.name = "memory", .argument = "SIZE", .bytes = &arg.memory, .help = "memory"},
        {.name = "boot-timeout",
         .argument = "DURATION",
         .usec = &arg.boot_timeout,
         .help = "it has failed if its guest agent does not answer by then"},
        {.name = "keep-failed",
         .flag = &arg.keep_failed,
         .help = "do not destroy it where it fails"},
        OPTION_NO_WAIT(arg.no_wait),
        OPTION_WAIT_TIMEOUT(arg.wait_timeout),
};

static int append_labels(Ctl *ctl, BusMessage *m, Fault *f)
{
        if (!arg.labels)
                return 0;
        (void) sd_bus_message_open_container(m, 'e', "sv");
        (void) sd_bus_message_append(m, "s", "labels");
        (void) sd_bus_message_open_container(m, 'v', "a{ss}");
        (void) sd_bus_message_open_container(m, 'a', "{ss}");
        for (guint i = 0; i < arg.labels->len; i++) {
                const char *label = g_ptr_array_index(arg.labels, i);
                const char *equals = strchr(label, '=');
                if (!equals || equals == label)
                        return usage_error(ctl, f, "--label: '%.80s' is not KEY=VALUE", label);
                g_autofree char *key = g_strndup(label, (gsize) (equals - label));
                (void) sd_bus_message_append(m, "{ss}", key, equals + 1);
        }
        (void) sd_bus_message_close_container(m);
        (void) sd_bus_message_close_container(m);
        (void) sd_bus_message_close_container(m);
        return 0;
}

static int begin(Ctl *ctl, char **ret_path, Fault *f)
{
        g_autoptr(BusMessage) m = NULL, reply = NULL;
        const char *path;

        int r = bus_method(ctl, PATH_ROOT, INTERFACE_MANAGER, "CreateSandbox", &m, f);
        if (r < 0)
                return r;
        (void) sd_bus_message_append(m, "s", arg.template);
        bus_options_open(m);
        bus_option_string(m, "name", arg.name);
        bus_option_string(m, "agent", arg.agent);
        bus_option_string(m, "network", arg.network);
        bus_option_u64(m, "ttl_usec", arg.ttl);
        bus_option_u32(m, "vcpus", arg.vcpus);
        bus_option_u64(m, "memory_bytes", arg.memory);
        bus_option_u64(m, "boot_timeout_usec", arg.boot_timeout);
        r = append_labels(ctl, m, f);
        if (r < 0)
                return r;
        bus_options_close(m);
        r = bus_call(ctl, m, BUS_TIMEOUT_USEC, &reply, f);
        if (r >= 0)
                r = bus_read(reply, f, "o", &path);
        if (r >= 0)
                *ret_path = g_strdup(path);
        return r;
}

static void clean_up(Ctl *ctl, const char *path, const char *name)
{
        Fault f = {0};

        if (arg.keep_failed)
                fprintf(stderr, "fluidctl: it is kept: see 'fluidctl show %s'\n", name);
        else if (sandbox_call(ctl, path, "Destroy", &f) < 0)
                fprintf(stderr, "fluidctl: cannot destroy it: %s\n", f.message);
        else
                fputs("fluidctl: it is destroyed; --keep-failed keeps such a one\n", stderr);
}

static int wait_ready(Ctl *ctl, const char *path, const char *name, Fault *f)
{
        int r = sandbox_wait_for(ctl, path, name, "ready", arg.wait_timeout, f);
        if (r >= 0)
                return r;
        if (f->code == FAULT_WRONG_STATE)
                clean_up(ctl, path, name);
        if (f->code == FAULT_CANCELLED || f->code == FAULT_TIMED_OUT)
                fprintf(stderr, "fluidctl: '%s' is left as it is: see 'fluidctl wait %s'\n", name,
                        name);
        return r;
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL, *name = NULL;
        g_autoptr(Json) sandbox = NULL;

        (void) args;
        if (!arg.template)
                return usage_error(ctl, f, "--template is missing");
        int r = begin(ctl, &path, f);
        if (r >= 0)
                r = bus_properties(ctl, path, INTERFACE_SANDBOX, &sandbox, f);
        if (r < 0)
                return r;
        name = g_strdup(json_text(sandbox, "name"));
        if (!arg.no_wait) {
                r = wait_ready(ctl, path, name, f);
                json_object_put(TAKE_PTR(sandbox));
                if (r >= 0)
                        r = bus_properties(ctl, path, INTERFACE_SANDBOX, &sandbox, f);
                if (r < 0)
                        return r;
        }
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
        .help = "Prints its name. One that fails is destroyed after its reason is shown.",
        .example = "create --template debian --name web1 --agent claude --ttl 2h",
        VERB_OPTIONS(options),
        .run = run,
};
