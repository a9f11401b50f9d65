/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/approval-log.h"
#include "dbus/ctl/approval.h"
#include "dbus/ctl/verbs.h"

static struct {
        bool log;
} arg;

static const Option options[] = {
        {.name = "log",
         .flag = &arg.log,
         .help = "apply nothing: show what was printed when it was applied, or is"},
};

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;
        int r = approval_find(ctl, args[0], &path, f);

        if (r >= 0 && arg.log)
                return approval_print_log(ctl, path, f);
        if (r >= 0)
                r = approval_apply(ctl, path, f);
        return r < 0 ? r : approval_print_answer(ctl, path, f);
}

const Verb verb_apply = {
        .name = "apply",
        .summary = "do what was approved, once",
        .usage = "APPROVAL",
        .help = "By whoever asked, and only what was approved: where it would be something else by now, ask "
                "anew. What Ansible prints while it applies a playbook is escaped and stands behind a bar, and then "
                "what became of each host. It goes on when this is interrupted.",
        .example = "apply 0123456789ab",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
