/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/progress.h"
#include "dbus/ctl/verbs.h"

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;
        const char *detail;
        uint64_t rows;
        int intact;

        (void) args;
        progress_begin(ctl, "computing the hash chain");
        int r = bus_request(ctl, BUS_TIMEOUT_LONG_USEC, PATH_ROOT, INTERFACE_MANAGER, "VerifyAudit",
                            &reply, f, NULL);
        progress_end(ctl);
        if (r >= 0)
                r = bus_read(reply, f, "bts", &intact, &rows, &detail);
        if (r < 0)
                return r;
        Json *result = json_object_new_object();
        (void) json_object_object_add(result, "intact", json_object_new_boolean(intact));
        (void) json_object_object_add(result, "rows", json_object_new_uint64(rows));
        (void) json_object_object_add(result, "detail", json_object_new_string(detail));
        print_result(ctl, result, "%s: %" PRIu64 " rows, %s%s", intact ? "intact" : "NOT intact",
                     rows, intact ? "head " : "", detail);
        return intact ? 0 : 1;
}

const Verb verb_audit_verify = {
        .name = "audit verify",
        .summary = "check that no row of the audit trail was changed or removed",
        .usage = "",
        .help = "Exits with 0 where it is intact, else with 1.",
        .example = "audit verify",
        .run = run,
};
