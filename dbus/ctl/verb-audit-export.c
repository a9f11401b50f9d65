/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/audit-trail.h"
#include "dbus/ctl/document.h"
#include "dbus/ctl/verbs.h"

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;
        int fd;

        (void) args;
        int r = audit_load(ctl, &reply, &fd, f);
        return r < 0 ? r : document_copy(fd, f);
}

const Verb verb_audit_export = {
        .name = "audit export",
        .summary = "print the audit trail as JSON lines",
        .usage = "",
        .help = "As the daemon gives it out: each row with its hash, so that the chain can be "
                "computed anew elsewhere.",
        .example = "audit export --since 1d",
        .options = audit_options,
        .n_options = AUDIT_OPTIONS,
        .run = run,
};
