/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/audit-trail.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/progress.h"
#include "dbus/ctl/verbs.h"

#include <string.h>

static struct {
        GPtrArray *heads;
        bool journal;
        const char *directory;
} arg;

static const Option options[] = {
        {.name = "head",
         .argument = "SEQ:HASH",
         .list = &arg.heads,
         .help = "compare with a head that was written down elsewhere; can be given many times"},
        {.name = "journal",
         .flag = &arg.journal,
         .help = "compare with all rows that fluid-hostd told this host's journal"},
        {.name = "journal-directory",
         .argument = "DIRECTORY",
         .string = &arg.directory,
         .help = "the same of journal files elsewhere, as copied from this host by "
                 "systemd-journal-remote"},
};

static int append_given(Ctl *ctl, BusMessage *m, const char *text, Fault *f)
{
        const char *colon = strchr(text, ':');
        g_autofree char *seq = g_strndup(text, colon ? (size_t) (colon - text) : 0);
        guint64 number;

        if (!colon || !g_ascii_string_to_unsigned(seq, 10, 1, G_MAXINT64, &number, NULL) ||
            strlen(colon + 1) != 64 || strspn(colon + 1, "0123456789abcdef") != 64)
                return usage_error(ctl, f,
                                   "--head: '%.100s' is not the number of a row, a colon and the "
                                   "64 hexadecimal digits of its hash",
                                   text);
        (void) sd_bus_message_append(m, "(ts)", (uint64_t) number, colon + 1);
        return 0;
}

static int append_heads(Ctl *ctl, BusMessage *m, unsigned *ret_n, Fault *f)
{
        int r = 0;

        (void) sd_bus_message_open_container(m, 'a', "(ts)");
        for (guint i = 0; arg.heads && r >= 0 && i < arg.heads->len; i++)
                r = append_given(ctl, m, arg.heads->pdata[i], f);
        if (r >= 0 && (arg.journal || arg.directory))
                r = audit_append_journal(m, arg.directory, ret_n, f);
        (void) sd_bus_message_close_container(m);
        *ret_n += arg.heads ? arg.heads->len : 0;
        return r;
}

static int verify(Ctl *ctl, BusMessage **ret_reply, unsigned *ret_n, Fault *f)
{
        g_autoptr(BusMessage) m = NULL;
        bool has_heads = arg.heads || arg.journal || arg.directory;
        int r = bus_method(ctl, PATH_ROOT, INTERFACE_MANAGER,
                           has_heads ? "VerifyAuditHeads" : "VerifyAudit", &m, f);

        if (r >= 0 && has_heads)
                r = append_heads(ctl, m, ret_n, f);
        return r < 0 ? r : bus_call(ctl, m, BUS_TIMEOUT_LONG_USEC, ret_reply, f);
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;
        unsigned n_heads = 0;
        const char *detail;
        uint64_t rows;
        int intact;

        (void) args;
        progress_begin(ctl, "computing the hash chain");
        int r = verify(ctl, &reply, &n_heads, f);
        progress_end(ctl);
        if (r >= 0)
                r = bus_read(reply, f, "bts", &intact, &rows, &detail);
        if (r < 0)
                return r;
        Json *result = json_object_new_object();
        (void) json_object_object_add(result, "intact", json_object_new_boolean(intact));
        (void) json_object_object_add(result, "rows", json_object_new_uint64(rows));
        (void) json_object_object_add(result, "detail", json_object_new_string(detail));
        (void) json_object_object_add(result, "compared", json_object_new_int64(n_heads));
        g_autofree char *compared =
                n_heads > 0 ? g_strdup_printf(", as %u written down elsewhere", n_heads)
                            : g_strdup("");
        print_result(ctl, result, "%s: %" PRIu64 " rows, %s%s%s", intact ? "intact" : "NOT intact",
                     rows, intact ? "head " : "", detail, intact ? compared : "");
        return intact ? 0 : 1;
}

const Verb verb_audit_verify = {
        .name = "audit verify",
        .summary = "check that no row of the audit trail was changed or removed",
        .usage = "",
        .help = "Computes the hash chain anew, over rows that are sealed in files and those of the "
                "database, and names the first row that is wrong. Whoever can change all that the "
                "host knows of the trail can also cut off its end or write it anew: that is found "
                "with heads which were written down elsewhere. Exits with 0 where it is intact, "
                "else with 1.",
        .example = "audit verify --journal",
        VERB_OPTIONS(options),
        .run = run,
};
