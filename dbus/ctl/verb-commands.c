/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

static struct {
        uint64_t limit;
} arg;

static const Option options[] = {
        {.name = "limit", .argument = "N", .number = &arg.limit, .help = "only the newest N"},
};

static void add_row(Table *table, Json *command)
{
        uint64_t began = json_number(command, "started_usec");
        uint64_t ended = json_number(command, "ended_usec");
        g_autofree char *started = format_time(began);
        g_autofree char *took = ended > began ? duration_format(ended - began) : g_strdup("");
        g_autofree char *status = NULL, *text = NULL;
        Json *argv = NULL;

        (void) json_find_array(command, "argv", &argv);
        text = json_join(argv);
        status = ended > 0 ? g_strdup_printf("%" PRIu64, json_number(command, "exit_status"))
                           : g_strdup("");
        if (g_str_equal(json_text(command, "state"), "failed"))
                *status = '\0';
        table_add(table, json_text(command, "id"), json_text(command, "state"), status, started,
                  took, text, NULL);
}

static void keep_newest(Json *commands)
{
        size_t n = json_object_array_length(commands);

        if (arg.limit > 0 && n > arg.limit)
                (void) json_object_array_del_idx(commands, 0, n - arg.limit);
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(Table) table =
                table_new("ID", "STATE", "EXIT", "STARTED", "TOOK", "COMMAND", NULL);
        g_autofree char *path = NULL;
        g_autoptr(Json) commands = NULL;

        int r = sandbox_find(ctl, args[0], &path, f);
        if (r >= 0)
                r = bus_objects(ctl, INTERFACE_COMMAND, path, "started_usec", &commands, f);
        if (r < 0)
                return r;
        keep_newest(commands);
        if (ctl->json) {
                print_json(commands);
                return 0;
        }
        for (size_t i = 0; i < json_object_array_length(commands); i++) {
                Json *command = json_object_array_get_idx(commands, i);
                if (ctl->quiet)
                        print_line("%s", json_text(command, "id"));
                else
                        add_row(table, command);
        }
        if (!ctl->quiet)
                table_print(table);
        return 0;
}

const Verb verb_commands = {
        .name = "commands",
        .summary = "list what was run in a sandbox, oldest first",
        .usage = "NAME",
        .help = "The newest 256 are kept. With --quiet only their ids.",
        .example = "commands web1 --limit 10",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
