/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/playbook.h"
#include "dbus/ctl/progress.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

static struct {
        const char *name;
        bool allow_secrets, allow_setuid;
} arg;

static const Option options[] = {
        {.name = "name",
         .argument = "NAME",
         .string = &arg.name,
         .help = "what it is called; by default as the sandbox"},
        {.name = "allow-secrets",
         .flag = &arg.allow_secrets,
         .help = "let files that look like secrets be in it"},
        {.name = "allow-setuid",
         .flag = &arg.allow_setuid,
         .help = "let it make set-uid and set-gid programs"},
};

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(BusMessage) m = NULL, reply = NULL;
        const char *from = args[1] ? args[1] : "template";
        const char *to = args[1] && args[2] ? args[2] : "now", *playbook;
        g_autofree char *path = NULL;

        int r = sandbox_find(ctl, args[0], &path, f);
        if (r >= 0)
                r = bus_method(ctl, path, INTERFACE_SANDBOX, "ExportPlaybook", &m, f);
        if (r < 0)
                return r;
        (void) sd_bus_message_append(m, "ss", from, to);
        bus_options_open(m);
        bus_option_string(m, "name", arg.name);
        bus_option_bool(m, "allow-secrets", arg.allow_secrets);
        bus_option_bool(m, "allow-setuid", arg.allow_setuid);
        bus_options_close(m);
        progress_begin(ctl, "making a playbook of '%s'", args[0]);
        r = bus_call(ctl, m, BUS_TIMEOUT_LONG_USEC, &reply, f);
        progress_end(ctl);
        if (r >= 0)
                r = bus_read(reply, f, "o", &playbook);
        return r < 0 ? r : playbook_print(ctl, playbook, f);
}

const Verb verb_playbook_create = {
        .name = "playbook create",
        .summary = "make a playbook for Ansible of what differs between two points",
        .usage = "NAME [FROM [TO]]",
        .help = "Of what the disks hold, never of the commands that were run, which stand beside it "
                "in COMMANDS.txt, as the audit trail has them. FROM and TO are "
                "'template' (the default of FROM), the name of a snapshot, or for TO 'now', the "
                "default: then a snapshot is left there. What it does not reproduce is listed in "
                "it, with the reason: see LEFT-OUT.md of 'playbook extract'. Secrets and set-uid "
                "programs are refused (exit status 3) unless they are allowed.",
        .example = "playbook create web1 installed now --name site",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 3,
        .run = run,
};
