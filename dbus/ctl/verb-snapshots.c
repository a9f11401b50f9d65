/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/name.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/tree.h"
#include "dbus/ctl/verbs.h"

static struct {
        bool tree;
} arg;

static const Option options[] = {
        {.name = "tree",
         .flag = &arg.tree,
         .help = "draw which stands on which, and where the head is"},
};

/* Of what a snapshot keeps in memory; the caller frees it. */
static char *format_memory(Json *snapshot)
{
        if (!json_truth(snapshot, "has_memory"))
                return g_strdup("");
        return size_format(json_number(snapshot, "memory_bytes"));
}

static void add_row(Table *table, Json *snapshot)
{
        g_autofree char *size = size_format(json_number(snapshot, "size_bytes"));
        g_autofree char *memory = format_memory(snapshot);
        g_autofree char *created = format_time(json_number(snapshot, "created_usec"));

        table_add(table, json_text(snapshot, "name"), json_text(snapshot, "parent"),
                  json_text(snapshot, "consistency"), size, memory, created,
                  json_text(snapshot, "reason"), NULL);
}

static void add_node(const char *prefix, Json *snapshot, void *table)
{
        g_autofree char *node = g_strdup_printf("%s%s%s", prefix, json_text(snapshot, "name"),
                                                json_truth(snapshot, "head") ? " (head)" : "");
        g_autofree char *size = size_format(json_number(snapshot, "size_bytes"));
        g_autofree char *memory = format_memory(snapshot);
        g_autofree char *created = format_time(json_number(snapshot, "created_usec"));

        table_add(table, node, size, memory, created, NULL);
}

static void print_tree(Json *snapshots, const char *head)
{
        g_autoptr(Table) table = table_new("SNAPSHOT", "SIZE", "MEMORY", "CREATED", NULL);
        bool on_template = g_str_equal(head, POINT_TEMPLATE);

        table_add(table, on_template ? POINT_TEMPLATE " (head)" : POINT_TEMPLATE, "", "", "", NULL);
        tree_draw(snapshots, add_node, table);
        table_print(table);
}

static void print_list(const Ctl *ctl, Json *snapshots)
{
        g_autoptr(Table) table = table_new("NAME", "PARENT", "CONSISTENCY", "SIZE", "MEMORY",
                                           "CREATED", "REASON", NULL);

        for (size_t i = 0; i < json_object_array_length(snapshots); i++) {
                Json *snapshot = json_object_array_get_idx(snapshots, i);
                if (ctl->quiet)
                        print_line("%s", json_text(snapshot, "name"));
                else
                        add_row(table, snapshot);
        }
        if (!ctl->quiet)
                table_print(table);
}

/* Each of them gets "head": whether the sandbox's disk stands on it. */
static int load(Ctl *ctl, const char *name, Json **ret_snapshots, char **ret_head, Fault *f)
{
        g_autofree char *path = NULL;
        g_autoptr(Json) sandbox = NULL;

        int r = sandbox_find(ctl, name, &path, f);
        if (r >= 0)
                r = bus_properties(ctl, path, INTERFACE_SANDBOX, &sandbox, f);
        if (r >= 0)
                r = bus_objects(ctl, INTERFACE_SNAPSHOT, path, "created_usec", ret_snapshots, f);
        if (r < 0)
                return r;
        *ret_head = g_strdup(json_text(sandbox, "head"));
        for (size_t i = 0; i < json_object_array_length(*ret_snapshots); i++) {
                Json *s = json_object_array_get_idx(*ret_snapshots, i);
                bool is_head = g_str_equal(json_text(s, "name"), *ret_head);
                (void) json_object_object_add(s, "head", json_object_new_boolean(is_head));
        }
        return 0;
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(Json) snapshots = NULL;
        g_autofree char *head = NULL;

        int r = load(ctl, args[0], &snapshots, &head, f);
        if (r < 0)
                return r;
        if (ctl->json)
                print_json(snapshots);
        else if (arg.tree && !ctl->quiet)
                print_tree(snapshots, head);
        else
                print_list(ctl, snapshots);
        return 0;
}

const Verb verb_snapshots = {
        .name = "snapshots",
        .summary = "list a sandbox's snapshots, oldest first",
        .usage = "NAME",
        .help = "With --quiet only their names. MEMORY is there where a restore or a branch runs on "
                "instead of booting.",
        .example = "snapshots web1 --tree",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
