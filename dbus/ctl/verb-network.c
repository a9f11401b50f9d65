/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/explain.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/progress.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/traffic.h"
#include "dbus/ctl/verbs.h"

#include <string.h>

static struct {
        const char *explain;
        GPtrArray *publish;
        bool rules, unpublish;
} arg;

static const Option options[] = {
        OPTION_PUBLISH(arg.publish),
        {.name = "unpublish", .flag = &arg.unpublish, .help = "open no port any more"},
        {.name = "explain",
         .argument = "DEST:PORT",
         .string = &arg.explain,
         .help = "whether it may connect there, and why; or DEST:PORT/udp, DEST/icmp"},
        {.name = "rules", .flag = &arg.rules, .help = "show its rules in the kernel"},
};

/* -- the profiles ------------------------------------------------------------------------------ */

static int list_profiles(Ctl *ctl, Fault *f)
{
        g_autoptr(Table) table = table_new("PROFILE", "FOR", "REACHES", NULL);
        g_autoptr(BusMessage) reply = NULL;
        g_autoptr(Json) profiles = NULL;

        int r = bus_request(ctl, BUS_TIMEOUT_USEC, PATH_ROOT, INTERFACE_MANAGER, "ListNetworks",
                            &reply, f, NULL);
        if (r >= 0)
                r = bus_read_json(reply, &profiles, f);
        if (r < 0)
                return r;
        if (ctl->json) {
                print_json(profiles);
                return 0;
        }
        for (size_t i = 0; i < json_object_array_length(profiles); i++) {
                Json *profile = json_object_array_get_idx(profiles, i);
                if (ctl->quiet)
                        print_line("%s", json_text(profile, "name"));
                else
                        table_add(table, json_text(profile, "name"),
                                  json_truth(profile, "admins_only") ? "root" : "all",
                                  json_text(profile, "description"), NULL);
        }
        if (!ctl->quiet)
                table_print(table);
        return 0;
}

/* -- one sandbox ------------------------------------------------------------------------------- */

static int set_network(Ctl *ctl, const char *path, const char *profile, Fault *f)
{
        g_autoptr(GPtrArray) none = g_ptr_array_new();
        g_autoptr(BusMessage) m = NULL;

        int r = bus_method(ctl, path, INTERFACE_SANDBOX, "SetNetwork", &m, f);
        if (r < 0)
                return r;
        (void) sd_bus_message_append(m, "s", profile);
        bus_options_open(m);
        bus_option_strings(m, "publish", arg.unpublish ? none : arg.publish);
        bus_options_close(m);
        progress_begin(ctl, "changing the network");
        r = bus_call(ctl, m, BUS_TIMEOUT_LONG_USEC, NULL, f);
        progress_end(ctl);
        return r;
}

static int change(Ctl *ctl, const char *path, const char *profile, Fault *f)
{
        g_autoptr(Json) sandbox = NULL;

        int r = set_network(ctl, path, profile, f);
        if (r >= 0)
                r = bus_properties(ctl, path, INTERFACE_SANDBOX, &sandbox, f);
        if (r < 0)
                return r;
        const char *address = json_text(sandbox, "address");
        g_autofree char *line = g_strdup_printf(
                "sandbox '%s' has network '%s'%s%s", json_text(sandbox, "name"),
                json_text(sandbox, "network"), *address ? ", address " : "", address);
        print_result(ctl, TAKE_PTR(sandbox), "%s", line);
        return 0;
}

static int show_rules(Ctl *ctl, const char *path, Fault *f)
{
        Stream out = {.file = stdout, .escape = true};
        g_autoptr(BusMessage) reply = NULL;
        const char *rules;

        int r = bus_request(ctl, BUS_TIMEOUT_USEC, path, INTERFACE_SANDBOX, "GetNetworkRules",
                            &reply, f, NULL);
        if (r >= 0)
                r = bus_read(reply, f, "s", &rules);
        if (r < 0)
                return r;
        if (ctl->json) {
                g_autoptr(Json) object = json_object_new_object();
                (void) json_object_object_add(object, "rules", json_object_new_string(rules));
                print_json(object);
                return 0;
        }
        stream_write(&out, rules, strlen(rules));
        stream_write(&out, NULL, 0);
        return 0;
}

static int check(Ctl *ctl, char **args, Fault *f)
{
        bool changes = args[0] && args[1];

        if (!args[0] && (arg.publish || arg.unpublish || arg.explain || arg.rules))
                return usage_error(ctl, f, "of which sandbox? NAME is missing");
        if (!changes && (arg.publish || arg.unpublish))
                return usage_error(ctl, f, "--publish and --unpublish go with a PROFILE");
        if (arg.publish && arg.unpublish)
                return usage_error(ctl, f, "--publish does not go with --unpublish");
        if (changes + (arg.explain != NULL) + arg.rules > 1)
                return usage_error(ctl, f, "a PROFILE, --explain and --rules go one at a time");
        return 0;
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;
        g_auto(Destination) to = {0};

        int r = check(ctl, args, f);
        if (r >= 0 && arg.explain)
                r = destination_parse(ctl, arg.explain, &to, f);
        if (r < 0)
                return r;
        if (!args[0])
                return list_profiles(ctl, f);
        r = sandbox_find(ctl, args[0], &path, f);
        if (r < 0)
                return r;
        if (args[1])
                return change(ctl, path, args[1], f);
        if (arg.explain)
                return explain_print(ctl, path, &to, f);
        return arg.rules ? show_rules(ctl, path, f) : traffic_print(ctl, path, f);
}

const Verb verb_network = {
        .name = "network",
        .summary = "show or change what a sandbox reaches on the network",
        .usage = "[NAME [PROFILE]]",
        .help = "Without NAME: the profiles that there are; with --quiet only their names. With NAME: its "
                "address, what it sent and what became of it, what was refused last, and names that it "
                "asked for in vain. With PROFILE: changes it, at once where it runs; published ports stay "
                "unless --publish or --unpublish is given. DEST is an address, or a name, of which each "
                "address is asked about that your own resolver knows; the exit status is 0 where it may "
                "connect to all of them, and 1 where not.",
        .example = "network web1 internet --publish 127.0.0.1:8080:80",
        VERB_OPTIONS(options),
        .args_max = 2,
        .run = run,
};
