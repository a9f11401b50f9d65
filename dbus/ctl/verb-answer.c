/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/approval.h"
#include "dbus/ctl/verbs.h"

static struct {
        uint64_t wait_timeout;
} arg = {.wait_timeout = USEC_INFINITY};

static const Option options[] = {
        OPTION_WAIT_TIMEOUT(arg.wait_timeout),
};

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;
        int r = approval_find(ctl, args[0], &path, f);

        if (r >= 0)
                r = approval_wait(ctl, path, arg.wait_timeout, f);
        return r < 0 ? r : approval_print_answer(ctl, path, f);
}

const Verb verb_answer = {
        .name = "answer",
        .summary = "wait for the answer to what was asked, and show it",
        .usage = "APPROVAL",
        .help = "APPROVAL is an id: see 'approvals'. Exits with 0 for a yes, 3 for a no, 5 where nobody "
                "answered in its time.",
        .example = "answer 0123456789ab --wait-timeout 1h",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
