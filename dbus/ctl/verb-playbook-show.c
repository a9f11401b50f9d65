/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/playbook.h"
#include "dbus/ctl/verbs.h"

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;
        int r = playbook_find(ctl, args[0], &path, f);

        return r < 0 ? r : playbook_print(ctl, path, f);
}

const Verb verb_playbook_show = {
        .name = "playbook show",
        .summary = "show all about a playbook",
        .usage = "PLAYBOOK",
        .help = "PLAYBOOK is its id, or its name where no other has that.",
        .example = "playbook show site",
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
