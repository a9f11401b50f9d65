/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

static void add_row(Table *table, Json *snapshot)
{
        g_autofree char *size = size_format(json_number(snapshot, "size_bytes"));
        g_autofree char *created = format_time(json_number(snapshot, "created_usec"));

        table_add(table, json_text(snapshot, "name"), json_text(snapshot, "parent"),
                  json_text(snapshot, "consistency"), size, created, json_text(snapshot, "reason"),
                  NULL);
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(Table) table =
                table_new("NAME", "PARENT", "CONSISTENCY", "SIZE", "CREATED", "REASON", NULL);
        g_autofree char *path = NULL;
        g_autoptr(Json) snapshots = NULL;

        int r = sandbox_find(ctl, args[0], &path, f);
        if (r >= 0)
                r = bus_objects(ctl, INTERFACE_SNAPSHOT, path, "created_usec", &snapshots, f);
        if (r < 0)
                return r;
        if (ctl->json) {
                print_json(snapshots);
                return 0;
        }
        for (size_t i = 0; i < json_object_array_length(snapshots); i++) {
                Json *snapshot = json_object_array_get_idx(snapshots, i);
                if (ctl->quiet)
                        print_line("%s", json_text(snapshot, "name"));
                else
                        add_row(table, snapshot);
        }
        if (!ctl->quiet)
                table_print(table);
        return 0;
}

const Verb verb_snapshots = {
        .name = "snapshots",
        .summary = "list a sandbox's snapshots, oldest first",
        .usage = "NAME",
        .help = "With --quiet only their names.",
        .example = "snapshots web1",
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
