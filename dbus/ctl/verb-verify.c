/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/playbook.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/verbs.h"

#include <string.h>

static struct {
        const char *against;
        bool no_wait;
        uint64_t wait_timeout;
} arg = {.wait_timeout = USEC_INFINITY};

static const Option options[] = {
        {.name = "against",
         .argument = "NAME[@SNAP]",
         .string = &arg.against,
         .help = "compare with that sandbox, of the same template, as it was at its last snapshot, or "
                 "at that one, instead of the one that the playbook was made of"},
        OPTION_NO_WAIT(arg.no_wait),
        OPTION_WAIT_TIMEOUT(arg.wait_timeout),
};

static int begin(Ctl *ctl, const char *path, Fault *f)
{
        g_autofree char *sandbox = g_strdup(arg.against);
        char *point = sandbox ? strchr(sandbox, '@') : NULL;
        g_autoptr(BusMessage) m = NULL;

        int r = bus_method(ctl, path, INTERFACE_PLAYBOOK, "Verify", &m, f);
        if (r < 0)
                return r;
        if (point)
                *point++ = '\0';
        bus_options_open(m);
        bus_option_string(m, "against", sandbox);
        bus_option_string(m, "point", point);
        bus_options_close(m);
        return bus_call(ctl, m, BUS_TIMEOUT_USEC, NULL, f);
}

static int print_end(Ctl *ctl, const char *path, Fault *f)
{
        g_autoptr(Json) playbook = NULL;
        int r = bus_properties(ctl, path, INTERFACE_PLAYBOOK, &playbook, f);

        if (r < 0)
                return r;
        const char *verified = json_text(playbook, "verified");
        const char *residual = json_text(playbook, "residual");
        if (ctl->json)
                print_json(playbook);
        if (g_str_equal(verified, "failed"))
                return fault_set(f, FAULT_WRONG_STATE, "the playbook cannot be verified: %s",
                                 json_text(playbook, "verified_reason"));
        if (!ctl->json && !ctl->quiet) {
                g_auto(GStrv) lines = g_strsplit(residual, "\n", -1);

                print_line("%s", playbook_verdict(verified));
                for (char **line = lines; *line; line++)
                        print_line("  %s", *line);
        }
        return g_str_equal(verified, "residual") ? EXIT_DIFFERENT : 0;
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;
        int r = playbook_find(ctl, args[0], &path, f);

        if (r >= 0)
                r = begin(ctl, path, f);
        if (r < 0)
                return r;
        if (arg.no_wait)
                return playbook_print(ctl, path, f);
        r = playbook_wait(ctl, path, arg.wait_timeout, f);
        return r < 0 ? r : print_end(ctl, path, f);
}

const Verb verb_verify = {
        .name = "verify",
        .summary = "replay a playbook in a fresh sandbox and show what that did not reproduce",
        .usage = "PLAYBOOK",
        .help = "A sandbox that stands where the playbook begins, without a network, gets it from "
                "Ansible, twice; the second time nothing may change. Then its disks are compared "
                "with those that the playbook was made of. The exit status is 0 where they are the "
                "same, or differ in nothing but what the playbook says that it leaves out, 6 where "
                "something else was not reproduced, 1 where it could not be told. An approval "
                "shows the last result.",
        .example = "verify site",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
