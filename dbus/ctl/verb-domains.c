/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/verbs.h"

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(Table) table = table_new("NAME", "STATE", "UUID", NULL);
        g_autoptr(BusMessage) reply = NULL;
        g_autoptr(Json) domains = NULL;

        (void) args;
        int r = bus_request(ctl, BUS_TIMEOUT_USEC, PATH_ROOT, INTERFACE_MANAGER, "ListDomains",
                            &reply, f, NULL);
        if (r >= 0)
                r = bus_read_json(reply, &domains, f);
        if (r < 0)
                return r;
        if (ctl->json) {
                print_json(domains);
                return 0;
        }
        for (size_t i = 0; i < json_object_array_length(domains); i++) {
                Json *domain = json_object_array_get_idx(domains, i);
                if (ctl->quiet)
                        print_line("%s", json_text(domain, "name"));
                else
                        table_add(table, json_text(domain, "name"), json_text(domain, "state"),
                                  json_text(domain, "uuid"), NULL);
        }
        if (!ctl->quiet)
                table_print(table);
        return 0;
}

const Verb verb_domains = {
        .name = "domains",
        .summary = "list the libvirt domains that are not sandboxes",
        .usage = "",
        .help = "A shut-off one can become a template: 'template import NAME --domain DOMAIN'.",
        .example = "domains",
        .run = run,
};
