/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

static struct {
        const char *state, *agent, *template;
} arg;

static const Option options[] = {
        {.name = "state", .argument = "STATE", .string = &arg.state, .help = "only those in it"},
        {.name = "agent", .argument = "AGENT", .string = &arg.agent, .help = "only those of it"},
        {.name = "template",
         .argument = "TEMPLATE",
         .string = &arg.template,
         .help = "only those made from it"},
};

/* [[path, {properties}], …] into [{properties with "object"}, …] */
static Json *flatten(Json *pairs)
{
        Json *sandboxes = json_object_new_array();

        for (size_t i = 0; i < json_object_array_length(pairs); i++) {
                Json *pair = json_object_array_get_idx(pairs, i);
                Json *sandbox = json_object_get(json_object_array_get_idx(pair, 1));
                (void) json_object_object_add(sandbox, "object",
                                              json_object_get(json_object_array_get_idx(pair, 0)));
                (void) json_object_array_add(sandboxes, sandbox);
        }
        return sandboxes;
}

static int load(Ctl *ctl, Json **ret, Fault *f)
{
        g_autoptr(BusMessage) m = NULL, reply = NULL;
        g_autoptr(Json) pairs = NULL;

        int r = bus_method(ctl, PATH_ROOT, INTERFACE_MANAGER, "ListSandboxes", &m, f);
        if (r < 0)
                return r;
        bus_options_open(m);
        bus_option_string(m, "state", arg.state);
        bus_option_string(m, "agent", arg.agent);
        bus_option_string(m, "template", arg.template);
        bus_options_close(m);
        r = bus_call(ctl, m, BUS_TIMEOUT_USEC, &reply, f);
        if (r >= 0)
                r = bus_read_json(reply, &pairs, f);
        if (r >= 0)
                *ret = flatten(pairs);
        return r;
}

static void add_row(Table *table, Json *sandbox)
{
        g_autofree char *owner = format_user((uint32_t) json_number(sandbox, "owner_uid"));
        g_autofree char *age = format_age(json_number(sandbox, "created_usec"));
        g_autofree char *ttl = sandbox_format_expiry(sandbox);

        table_add(table, json_text(sandbox, "name"), json_text(sandbox, "state"),
                  json_text(sandbox, "template"), json_text(sandbox, "head"),
                  json_text(sandbox, "agent"), owner, age, ttl, NULL);
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(Table) table = table_new("NAME", "STATE", "TEMPLATE", "HEAD", "AGENT", "OWNER",
                                           "AGE", "TTL", NULL);
        g_autoptr(Json) sandboxes = NULL;

        (void) args;
        int r = load(ctl, &sandboxes, f);
        if (r < 0)
                return r;
        if (ctl->json) {
                print_json(sandboxes);
                return 0;
        }
        for (size_t i = 0; i < json_object_array_length(sandboxes); i++) {
                Json *sandbox = json_object_array_get_idx(sandboxes, i);
                if (ctl->quiet)
                        print_line("%s", json_text(sandbox, "name"));
                else
                        add_row(table, sandbox);
        }
        if (!ctl->quiet)
                table_print(table);
        return 0;
}

const Verb verb_list = {
        .name = "list",
        .summary = "list the sandboxes that you may see",
        .usage = "",
        .help = "With --quiet only their names.",
        .example = "list --state ready",
        VERB_OPTIONS(options),
        .run = run,
};
