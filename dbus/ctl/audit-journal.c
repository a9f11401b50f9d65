/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/audit-trail.h"

#include "base/cleanup.h"
#include "base/escape.h"

#include <errno.h>
#include <string.h>
#include <systemd/sd-journal.h>

/* As hostd/core/audit.h: of rows, and of heads that are told now and then. */
static const char *const messages[] = {
        "MESSAGE_ID=3f1c7a0d9e5b4c62a1d8e47b90c6f253",
        "MESSAGE_ID=b86d2f4e17a94d0c8c35f0a2e96b714d",
};

enum { HEADS_MAX = 65536 }; /* that Manager.VerifyAuditHeads() takes */

typedef sd_journal Journal;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Journal, sd_journal_close)

static int fail(int r, const char *directory, Fault *f)
{
        return fault_set_errno(f, FAULT_IO, r, "cannot read the journal%s%s",
                               directory ? " in " : "", directory ? directory : "");
}

/* Anybody may write such fields; those below are the journal's own. */
static int add_matches(Journal *j, const char *directory)
{
        int r = sd_journal_add_match(j, "_UID=0", 0);

        if (r >= 0 && !directory)
                r = sd_journal_add_match(j, "_SYSTEMD_UNIT=fluid-hostd.service", 0);
        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(messages); i++)
                r = sd_journal_add_match(j, messages[i], 0);
        return r;
}

/* A new string, or NULL. */
static char *get_field(Journal *j, const char *name)
{
        const void *data;
        size_t size, skip = strlen(name) + 1;

        if (sd_journal_get_data(j, name, &data, &size) < 0 || size <= skip)
                return NULL;
        return g_strndup((const char *) data + skip, size - skip);
}

static bool append_head(BusMessage *m, Journal *j)
{
        g_autofree char *seq = get_field(j, "FLUID_AUDIT_SEQ");
        g_autofree char *hash = get_field(j, "FLUID_AUDIT_HASH");
        guint64 number;

        return seq && hash && g_ascii_string_to_unsigned(seq, 10, 1, G_MAXINT64, &number, NULL) &&
               strlen(hash) == 64 && g_utf8_validate(hash, -1, NULL) &&
               sd_bus_message_append(m, "(ts)", (uint64_t) number, hash) >= 0;
}

int audit_append_journal(BusMessage *m, const char *directory, unsigned *ret_n, Fault *f)
{
        g_autoptr(Journal) j = NULL;
        unsigned n = 0;
        int r = directory ? sd_journal_open_directory(&j, directory, 0)
                          : sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM);

        if (r >= 0)
                r = add_matches(j, directory);
        if (r >= 0)
                r = sd_journal_seek_tail(j);
        while (r >= 0 && n < HEADS_MAX && (r = sd_journal_previous(j)) > 0)
                n += append_head(m, j);
        if (r < 0)
                return fail(r, directory, f);
        if (n == 0)
                return fault_set(f, FAULT_NOT_FOUND,
                                 "the journal%s%s has no rows of the audit trail; whoever is not "
                                 "root has to be in the group systemd-journal to read it",
                                 directory ? " in " : "", directory ? directory : "");
        *ret_n = n;
        return 0;
}
