/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/verbs.h"

static void print_capacity(Json *capacity)
{
        g_autofree char *room = size_format(json_number(capacity, "disk_free_bytes"));
        g_autofree char *floor = size_format(json_number(capacity, "disk_floor_bytes"));
        g_autofree char *memory = size_format(json_number(capacity, "memory_used_bytes"));

        print_field("sandboxes", "%" PRIu64 " of %" PRIu64, json_number(capacity, "sandboxes"),
                    json_number(capacity, "sandboxes_max"));
        print_field("vcpus", "%" PRIu64 " in use", json_number(capacity, "vcpus_used"));
        print_field("memory", "%s in use", memory);
        print_field("disk", "%s free, %s kept free", room, floor);
}

static void print_features(Json *features)
{
        g_autofree char *words = json_join(features);

        print_field("features", "%s", words);
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(Json) properties = NULL;
        Json *capacity = NULL, *features = NULL;

        (void) args;
        int r = bus_properties(ctl, PATH_ROOT, INTERFACE_MANAGER, &properties, f);
        if (r < 0)
                return r;
        if (ctl->json) {
                print_json(properties);
                return 0;
        }
        if (ctl->quiet)
                return 0;
        print_field("host", "%s", json_text(properties, "host_name"));
        print_field("state", "%s", json_text(properties, "state"));
        print_field("version", "%s", json_text(properties, "version"));
        if (*json_text(properties, "network_fault"))
                print_field("networks", "none: %s", json_text(properties, "network_fault"));
        if (json_find_object(properties, "capacity", &capacity))
                print_capacity(capacity);
        if (json_find_array(properties, "features", &features))
                print_features(features);
        return 0;
}

const Verb verb_status = {
        .name = "status",
        .summary = "show whether the host's daemon runs and how much room it has",
        .usage = "",
        .example = "status",
        .run = run,
};
