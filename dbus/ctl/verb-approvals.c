/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/approval.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/verbs.h"

static struct {
        bool all;
} arg;

static const Option options[] = {
        {.name = "all", .flag = &arg.all, .help = "also those that wait for nothing any more"},
};

/* Something is still to be done about it. */
static bool is_open(Json *approval)
{
        const char *state = json_text(approval, "state");

        return g_str_equal(state, "checking") || g_str_equal(state, "pending") ||
               g_str_equal(state, "applying") ||
               (g_str_equal(state, "approved") &&
                !g_str_equal(json_text(approval, "action"), "question"));
}

static void add(Table *table, Json *approval)
{
        g_autofree char *age = format_age(json_number(approval, "created_usec"));
        g_autofree char *user = format_user((uint32_t) json_number(approval, "requester_uid"));

        table_add(table, json_text(approval, "id"), json_text(approval, "state"),
                  json_text(approval, "urgency"), age, user, json_text(approval, "agent"),
                  json_text(approval, "action"), json_text(approval, "summary"), NULL);
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(Table) table = table_new("ID", "STATE", "URGENCY", "AGE", "USER", "AGENT",
                                           "ACTION", "SUMMARY", NULL);
        g_autoptr(Json) list = NULL, shown = json_object_new_array();

        (void) args;
        int r = bus_objects(ctl, INTERFACE_APPROVAL, NULL, "created_usec", &list, f);
        if (r < 0)
                return r;
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                Json *approval = json_object_array_get_idx(list, i);
                if (!arg.all && !is_open(approval))
                        continue;
                (void) json_object_array_add(shown, json_object_get(approval));
                if (ctl->quiet && !ctl->json)
                        print_line("%s", json_text(approval, "id"));
                else
                        add(table, approval);
        }
        if (ctl->json)
                print_json(shown);
        else if (!ctl->quiet)
                table_print(table);
        return 0;
}

const Verb verb_approvals = {
        .name = "approvals",
        .summary = "list what was asked and waits",
        .usage = "",
        .help = "Your own, and where you may answer also those of others.",
        .example = "approvals --all",
        VERB_OPTIONS(options),
        .run = run,
};
