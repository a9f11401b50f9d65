/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/approval.h"
#include "dbus/ctl/playbook.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/verbs.h"

#include <string.h>

static struct {
        const char *sandbox, *network, *playbook, *text, *urgency, *agent;
        GPtrArray *alternatives;
        uint64_t timeout, wait_timeout;
        bool wait, check;
} arg = {.wait_timeout = USEC_INFINITY};

static const Option options[] = {
        {.name = "sandbox",
         .argument = "NAME",
         .string = &arg.sandbox,
         .help = "the sandbox that it is about; its time stands still meanwhile"},
        {.name = "network",
         .argument = "PROFILE",
         .string = &arg.network,
         .help = "ask for that network profile for the sandbox"},
        {.name = "playbook",
         .argument = "PLAYBOOK",
         .string = &arg.playbook,
         .help = "ask to apply that playbook where apply.conf says"},
        {.name = "check",
         .flag = &arg.check,
         .help = "run the playbook in check mode there first; whoever answers sees what came of it"},
        {.name = "text",
         .argument = "TEXT",
         .string = &arg.text,
         .help = "why, and what there is to know"},
        {.name = "alternative",
         .argument = "TEXT",
         .list = &arg.alternatives,
         .help = "what can be answered; none: yes or no"},
        {.name = "urgency",
         .argument = "URGENCY",
         .string = &arg.urgency,
         .help = "low, normal (the default) or high"},
        {.name = "agent", .argument = "NAME", .string = &arg.agent, .help = "who asks"},
        {.name = "timeout",
         .argument = "DURATION",
         .usec = &arg.timeout,
         .help = "it expires when nobody has answered for that long"},
        {.name = "wait",
         .flag = &arg.wait,
         .help = "wait for the answer, and apply a network that was approved"},
        OPTION_WAIT_TIMEOUT(arg.wait_timeout),
};

static int request(Ctl *ctl, const char *summary, char **ret_path, Fault *f)
{
        g_autoptr(BusMessage) m = NULL;
        g_autofree char *playbook = NULL;
        int r = arg.playbook ? playbook_find(ctl, arg.playbook, &playbook, f) : 0;

        if (r >= 0)
                r = bus_method(ctl, PATH_ROOT, INTERFACE_MANAGER, "RequestApproval", &m, f);
        if (r < 0)
                return r;
        bus_options_open(m);
        bus_option_string(m, "action",
                          arg.network    ? "network"
                          : arg.playbook ? "playbook"
                                         : "question");
        bus_option_string(m, "playbook", playbook ? strrchr(playbook, '/') + 1 : NULL);
        bus_option_bool(m, "check", arg.check);
        bus_option_string(m, "summary", summary);
        bus_option_string(m, "text", arg.text);
        bus_option_string(m, "sandbox", arg.sandbox);
        bus_option_string(m, "profile", arg.network);
        bus_option_string(m, "urgency", arg.urgency);
        bus_option_string(m, "agent", arg.agent);
        bus_option_strings(m, "alternatives", arg.alternatives);
        bus_option_u64(m, "timeout_usec", arg.timeout);
        bus_options_close(m);
        return bus_call_path(ctl, m, BUS_TIMEOUT_USEC, ret_path, f);
}

static int await(Ctl *ctl, const char *path, Fault *f)
{
        g_autoptr(Json) approval = NULL;
        int r = approval_wait(ctl, path, arg.wait_timeout, f);

        if (r >= 0)
                r = approval_load(ctl, path, &approval, NULL, f);
        if (r >= 0 && arg.network && g_str_equal(json_text(approval, "state"), "approved"))
                r = approval_apply(ctl, path, f);
        return r < 0 ? r : approval_print_answer(ctl, path, f);
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;
        int r;

        if (arg.network && !arg.sandbox)
                return usage_error(ctl, f, "--network is asked for for a sandbox: add --sandbox");
        if (arg.network && arg.playbook)
                return usage_error(ctl, f, "ask for a network or a playbook, one at a time");
        if (arg.check && !arg.playbook)
                return usage_error(ctl, f, "--check is of a playbook: add --playbook");
        r = request(ctl, args[0], &path, f);
        if (r < 0)
                return r;
        const char *id = strrchr(path, '/') + 1;
        if (arg.wait) {
                if (!ctl->quiet && !ctl->json)
                        print_line("%s", id);
                return await(ctl, path, f);
        }
        Json *result = json_object_new_object();
        (void) json_object_object_add(result, "approval", json_object_new_string(path));
        (void) json_object_object_add(result, "id", json_object_new_string(id));
        if (ctl->quiet && !ctl->json)
                print_line("%s", id);
        print_result(ctl, result, "%s", id);
        return 0;
}

const Verb verb_ask = {
        .name = "ask",
        .summary = "ask a person, for a wider network or for a playbook",
        .usage = "SUMMARY",
        .help = "Prints the id of what was asked; with --wait the answer, its comment behind a bar, and "
                "exits with 0 for a yes, 3 for a no, 5 where nobody answered in its time. Somebody else has to "
                "answer: see 'review'. A playbook that was approved is applied by 'apply'.",
        .example = "ask --sandbox web1 --network internet --wait 'Packages from the internet'",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
