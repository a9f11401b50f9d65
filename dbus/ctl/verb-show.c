/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

#define COMMANDS_SHOWN 5

static void print_labels(Json *labels)
{
        json_object_object_foreach(labels, key, value)
                print_field("label", "%s=%s", key, json_object_get_string(value));
}

static void print_times(Json *sandbox)
{
        g_autofree char *created = format_time(json_number(sandbox, "created_usec"));
        g_autofree char *expiry = format_expiry(json_number(sandbox, "expires_usec"));

        print_field("created", "%s", created);
        print_field("expires", "%s%s", g_str_equal(expiry, "never") ? "" : "in ", expiry);
}

static void print_sandbox(Json *sandbox)
{
        g_autofree char *owner = format_user((uint32_t) json_number(sandbox, "owner_uid"));
        g_autofree char *memory = size_format(json_number(sandbox, "memory_bytes"));
        Json *labels;

        print_field("name", "%s", json_text(sandbox, "name"));
        print_field("id", "%s", json_text(sandbox, "id"));
        print_field("state", "%s", json_text(sandbox, "state"));
        print_field("reason", "%s", json_text(sandbox, "reason"));
        print_field("template", "%s", json_text(sandbox, "template"));
        print_field("head", "%s", json_text(sandbox, "head"));
        print_field("agent", "%s", json_text(sandbox, "agent"));
        print_field("owner", "%s", owner);
        print_field("network", "%s", json_text(sandbox, "network"));
        print_field("vcpus", "%" PRIu64, json_number(sandbox, "vcpus"));
        print_field("memory", "%s", memory);
        print_times(sandbox);
        if (json_find_object(sandbox, "labels", &labels))
                print_labels(labels);
}

static void print_snapshots(Json *snapshots)
{
        for (size_t i = 0; i < json_object_array_length(snapshots); i++) {
                Json *s = json_object_array_get_idx(snapshots, i);
                print_field("snapshot", "%s on %s (%s)", json_text(s, "name"),
                            json_text(s, "parent"), json_text(s, "consistency"));
        }
}

static void print_commands(Json *commands)
{
        size_t n = json_object_array_length(commands);

        for (size_t i = n > COMMANDS_SHOWN ? n - COMMANDS_SHOWN : 0; i < n; i++) {
                Json *command = json_object_array_get_idx(commands, i), *argv = NULL;
                (void) json_find_array(command, "argv", &argv);
                g_autofree char *text = json_join(argv);
                print_field("command", "%s %s: %s", json_text(command, "id"),
                            json_text(command, "state"), text);
        }
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;
        g_autoptr(Json) sandbox = NULL, snapshots = NULL, commands = NULL;

        int r = sandbox_find(ctl, args[0], &path, f);
        if (r >= 0)
                r = bus_properties(ctl, path, INTERFACE_SANDBOX, &sandbox, f);
        if (r >= 0)
                r = bus_objects(ctl, INTERFACE_SNAPSHOT, path, "created_usec", &snapshots, f);
        if (r >= 0)
                r = bus_objects(ctl, INTERFACE_COMMAND, path, "started_usec", &commands, f);
        if (r < 0)
                return r;
        if (ctl->json) {
                (void) json_object_object_add(sandbox, "snapshots", TAKE_PTR(snapshots));
                (void) json_object_object_add(sandbox, "commands", TAKE_PTR(commands));
                print_json(sandbox);
                return 0;
        }
        print_sandbox(sandbox);
        print_snapshots(snapshots);
        print_commands(commands);
        return 0;
}

const Verb verb_show = {
        .name = "show",
        .summary = "show all about a sandbox",
        .usage = "NAME",
        .help = "With its snapshots and its newest commands.",
        .example = "show web1",
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
