/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/playbook.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/verbs.h"

static void add(Table *table, Json *playbook)
{
        g_autofree char *age = format_age(json_number(playbook, "created_usec"));
        g_autofree char *sha256 = g_strndup(json_text(playbook, "sha256"), 12);

        table_add(table, json_text(playbook, "id"), json_text(playbook, "name"),
                  json_text(playbook, "origin"), json_text(playbook, "sandbox_name"),
                  json_text(playbook, "from"), json_text(playbook, "to"), age, sha256,
                  json_text(playbook, "verified"), NULL);
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(Table) table = table_new("ID", "NAME", "ORIGIN", "SANDBOX", "FROM", "TO", "AGE",
                                           "SHA256", "VERIFIED", NULL);
        g_autoptr(Json) list = NULL;

        (void) args;
        int r = bus_objects(ctl, INTERFACE_PLAYBOOK, NULL, "created_usec", &list, f);
        if (r < 0)
                return r;
        if (ctl->json) {
                print_json(list);
                return 0;
        }
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                Json *playbook = json_object_array_get_idx(list, i);
                if (ctl->quiet)
                        print_line("%s", json_text(playbook, "id"));
                else
                        add(table, playbook);
        }
        if (!ctl->quiet)
                table_print(table);
        return 0;
}

const Verb verb_playbook_list = {
        .name = "playbook list",
        .summary = "list the playbooks",
        .usage = "",
        .help = "Your own, and where you may approve also those of others. With --quiet only their "
                "ids.",
        .example = "playbook list",
        .run = run,
};
