/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/verbs.h"
#include "dbus/ctl/warmth.h"

static void add_row(Table *table, Json *template)
{
        uint64_t images = json_number(template, "warm_bytes");
        g_autofree char *memory = images > 0 ? size_format(images) : g_strdup("");
        g_autofree char *pool = warmth_format_pool(template);
        g_autofree char *size = size_format(json_number(template, "size_bytes"));
        g_autofree char *age = format_age(json_number(template, "created_usec"));

        table_add(table, json_text(template, "name"), json_text(template, "state"),
                  warmth_describe(template), pool, json_text(template, "source"), size, memory, age,
                  NULL);
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(Table) table =
                table_new("NAME", "STATE", "WARM", "POOL", "SOURCE", "SIZE", "MEMORY", "AGE", NULL);
        g_autoptr(Json) templates = NULL;

        (void) args;
        int r = bus_objects(ctl, INTERFACE_TEMPLATE, NULL, "created_usec", &templates, f);
        if (r < 0)
                return r;
        if (ctl->json) {
                print_json(templates);
                return 0;
        }
        for (size_t i = 0; i < json_object_array_length(templates); i++) {
                Json *template = json_object_array_get_idx(templates, i);
                if (ctl->quiet)
                        print_line("%s", json_text(template, "name"));
                else
                        add_row(table, template);
        }
        if (!ctl->quiet)
                table_print(table);
        return 0;
}

const Verb verb_template_list = {
        .name = "template list",
        .summary = "list the templates",
        .usage = "",
        .help = "WARM is 'yes' where new sandboxes run on from a memory image, or what is being done "
                "for one; POOL is how many sandboxes are ready, of how many. With --quiet only their "
                "names.",
        .example = "template list",
        .run = run,
};
