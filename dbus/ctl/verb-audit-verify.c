/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/audit-file.h"
#include "dbus/ctl/audit-trail.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/progress.h"
#include "dbus/ctl/verbs.h"

#include <string.h>

static struct {
        GPtrArray *heads;
        bool journal;
        const char *directory, *file;
} arg;

static const Option options[] = {
        {.name = "head",
         .argument = "SEQ:HASH",
         .list = &arg.heads,
         .help = "compare with a head that was written down elsewhere; can be given many times"},
        {.name = "file",
         .argument = "FILE",
         .string = &arg.file,
         .help = "verify that export ('audit export') by itself, without the daemon; --head may then "
                 "be a hash alone, of its last row"},
        {.name = "journal",
         .flag = &arg.journal,
         .help = "compare with all rows that fluid-hostd told this host's journal"},
        {.name = "journal-directory",
         .argument = "DIRECTORY",
         .string = &arg.directory,
         .help = "the same of journal files elsewhere, as copied from this host by "
                 "systemd-journal-remote"},
};

static int parse_head(Ctl *ctl, const char *text, AuditHead *ret, Fault *f)
{
        const char *colon = strchr(text, ':');
        const char *hash = colon ? colon + 1 : text;
        g_autofree char *seq = g_strndup(text, colon ? (size_t) (colon - text) : 0);
        guint64 number = 0;

        if ((!colon && !arg.file) ||
            (colon && !g_ascii_string_to_unsigned(seq, 10, 1, G_MAXINT64, &number, NULL)) ||
            strlen(hash) != SHA256_HEX_SIZE - 1 ||
            strspn(hash, "0123456789abcdef") != SHA256_HEX_SIZE - 1)
                return usage_error(ctl, f,
                                   "--head: '%.100s' is not the number of a row, a colon and the "
                                   "64 hexadecimal digits of its hash",
                                   text);
        ret->seq = number;
        (void) g_strlcpy(ret->hash, hash, sizeof ret->hash);
        return 0;
}

static int append_given(Ctl *ctl, BusMessage *m, const char *text, Fault *f)
{
        AuditHead head = {0};
        int r = parse_head(ctl, text, &head, f);

        if (r >= 0)
                (void) sd_bus_message_append(m, "(ts)", head.seq, head.hash);
        return r;
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

/* -- an export by itself ------------------------------------------------------------------------
 */

static int print_file(Ctl *ctl, const AuditFileEnd *end, unsigned n_heads)
{
        Json *result = json_object_new_object();
        const char *detail = end->is_intact ? end->last.hash : end->wrong;

        (void) json_object_object_add(result, "intact", json_object_new_boolean(end->is_intact));
        (void) json_object_object_add(result, "rows", json_object_new_uint64(end->rows));
        (void) json_object_object_add(result, "first", json_object_new_uint64(end->first));
        (void) json_object_object_add(result, "first_is_checked",
                                      json_object_new_boolean(!end->is_loose));
        (void) json_object_object_add(result, "detail", json_object_new_string(detail));
        (void) json_object_object_add(result, "compared", json_object_new_int64(n_heads));
        if (!end->is_intact) {
                print_result(ctl, result, "NOT intact: %" PRIu64 " rows, %s", end->rows, detail);
                return 1;
        }
        g_autofree char *loose =
                end->is_loose ? g_strdup_printf("; the first one, row %" PRIu64
                                                ", is taken as it is: --head with row %" PRIu64
                                                " and its hash checks it, too",
                                                end->first, end->first - 1)
                              : g_strdup("");
        g_autofree char *compared =
                n_heads > 0 ? g_strdup_printf(", as %u written down elsewhere", n_heads)
                            : g_strdup("");
        print_result(ctl, result, "intact: %" PRIu64 " rows, head %" PRIu64 ":%s%s%s", end->rows,
                     end->last.seq, detail, compared, loose);
        return 0;
}

static int verify_file(Ctl *ctl, Fault *f)
{
        g_autoptr(GArray) heads = g_array_new(FALSE, FALSE, sizeof(AuditHead));
        g_auto(AuditFileEnd) end = {0};
        int r = 0;

        if (arg.journal || arg.directory)
                return usage_error(ctl, f, "--file goes with no journal");
        for (guint i = 0; arg.heads && r >= 0 && i < arg.heads->len; i++) {
                AuditHead head = {0};
                r = parse_head(ctl, arg.heads->pdata[i], &head, f);
                (void) g_array_append_val(heads, head);
        }
        if (r >= 0)
                r = audit_file_verify(arg.file, heads, &end, f);
        return r < 0 ? r : print_file(ctl, &end, heads->len);
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;
        unsigned n_heads = 0;
        const char *detail;
        uint64_t rows;
        int intact;

        (void) args;
        if (arg.file)
                return verify_file(ctl, f);
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
                "with heads which were written down elsewhere. An export of all rows, or of all since a "
                "time, is verified by itself with --file, on any machine. Exits with 0 where it is intact, "
                "else with 1.",
        .example = "audit verify --journal",
        VERB_OPTIONS(options),
        .run = run,
};
