/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/timeline.h"
#include "dbus/ctl/timing.h"
#include "dbus/ctl/verbs.h"

#define COMMANDS_SHOWN 5

static bool is_timeline;

static const Option options[] = {
        {.name = "timeline",
         .flag = &is_timeline,
         .help = "show instead what happened to it, when and by whom, also when it is gone"},
};

static void print_labels(Json *labels)
{
        json_object_object_foreach(labels, key, value)
                print_field("label", "%s=%s", key, json_object_get_string(value));
}

static void print_times(Json *sandbox)
{
        g_autofree char *created = format_time(json_number(sandbox, "created_usec"));
        g_autofree char *expiry = sandbox_format_expiry(sandbox);
        g_autofree char *idle = duration_format(json_number(sandbox, "idle_timeout_usec"));
        uint64_t paused_usec = json_number(sandbox, "paused_usec");
        uint64_t held_usec = json_number(sandbox, "held_usec");

        print_field("created", "%s", created);
        print_field("expires", "%s%s%s", g_str_equal(expiry, "never") ? "" : "in ", expiry,
                    (paused_usec || held_usec) && !g_str_equal(expiry, "never")
                            ? ", counted from when it goes on"
                            : "");
        if (held_usec)
                print_field("held", "an approval of it waits: see 'approvals'");
        if (json_number(sandbox, "idle_timeout_usec") > 0)
                print_field("idle", "expires when nobody worked in it for %s", idle);
        if (paused_usec) {
                g_autofree char *age = format_age(paused_usec);
                print_field("paused", "%s ago", age);
        }
}

static void print_start(Json *sandbox)
{
        g_autofree char *steps = NULL;
        Json *timing = NULL;

        print_field("started from", "%s", json_text(sandbox, "started_from"));
        (void) json_find_object(sandbox, "timing", &timing);
        steps = timing_format(timing);
        print_field("timing", "%s", steps);
}

static void print_network(Json *sandbox)
{
        const char *state = json_text(sandbox, "network_state");
        const char *reason = json_text(sandbox, "network_reason");
        const char *profile = json_text(sandbox, "network");

        print_field("network", "%s%s%s%s%s", profile,
                    *state && !g_str_equal(state, profile) ? ", " : "",
                    g_str_equal(state, profile) ? "" : state, *reason ? ": " : "", reason);
        print_field("address", "%s", json_text(sandbox, "address"));
        sandbox_print_ports(sandbox);
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
        print_network(sandbox);
        print_field("vcpus", "%" PRIu64, json_number(sandbox, "vcpus"));
        print_field("memory", "%s", memory);
        print_start(sandbox);
        print_times(sandbox);
        if (json_find_object(sandbox, "labels", &labels))
                print_labels(labels);
}

static void print_snapshots(Json *snapshots)
{
        for (size_t i = 0; i < json_object_array_length(snapshots); i++) {
                Json *s = json_object_array_get_idx(snapshots, i);
                print_field("snapshot", "%s on %s (%s%s)", json_text(s, "name"),
                            json_text(s, "parent"), json_text(s, "consistency"),
                            json_truth(s, "has_memory") ? ", with memory" : "");
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

        if (is_timeline)
                return timeline_print(ctl, args[0], f);
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
        .help = "With its snapshots and its newest commands. --timeline tells from the audit trail "
                "what became of it: commands with their exit status, files that were read and "
                "written, snapshots, restores and branches, its network, questions to people and "
                "their answers, and its states. Who is not root sees what they called, and what "
                "concerns sandboxes of theirs.",
        .example = "show web1 --timeline",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
