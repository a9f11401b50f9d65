/* SPDX-License-Identifier: MIT */
#pragma once

/* A trail with many rows. */

#include "tests/store/rows.h"

#include <inttypes.h>

static char *directory; /* of the databases */

/* -- helpers -------------------------------------------------------------------------------- */

static inline void append_rows(Store *s, unsigned n)
{
        for (unsigned i = 1; i <= n; i++) {
                g_autofree char *object =
                        g_strdup_printf("/sh/fluid/Host1/sandbox/%012x", i % 1000);
                char id[16], name[32];
                AuditRow row =
                        audit_row(i % 10 == 0 ? "sandbox.destroy" : "sandbox.create", object);
                row.time_usec = 1000 * i;
                row.caller_uid = 1000 + i % 50;
                if (i % 4 > 0) {
                        g_snprintf(id, sizeof id, "%012x", i % 500);
                        g_snprintf(name, sizeof name, "web-%u", i % 500);
                        row.sandbox_id = id;
                        row.sandbox_name = name;
                        row.agent = i % 3 ? "claude" : "codex";
                        row.owner_uid = 1000 + i % 7;
                }
                if (store_append_audit(s, &row, NULL) < 0)
                        tap_bail_out("cannot append");
        }
}

/* One transaction for all, where the speed of the disk is not the question. */
static inline void fill(const char *name, unsigned n)
{
        g_autoptr(Store) s = open_store(directory, name);

        if (store_begin(s, NULL) < 0)
                tap_bail_out("cannot begin");
        append_rows(s, n);
        if (store_commit(s, NULL) < 0)
                tap_bail_out("cannot commit");
}

static inline int collect(const AuditRow *row, void *userdata)
{
        g_string_append_printf(userdata, "%s%" PRIu64, ((GString *) userdata)->len ? " " : "",
                               row->seq);
        return 0;
}

static inline void expect_seqs(Store *s, const AuditFilter *filter, const char *expected,
                               const char *what)
{
        g_autoptr(GString) seqs = g_string_new(NULL);

        (void) store_query_audit(s, filter, collect, seqs, NULL);
        tap_is_str(seqs->str, expected, "%s", what);
}
