/* SPDX-License-Identifier: MIT */
#pragma once

/* The audit trail as whoever asks for it gets it. */

#include "tests/core/world.h"

#include "base/audit-line.h"

typedef struct Exported {
        bool has_ended;
        int r;
        Fault fault;
        char *text;
} Exported;

static inline void on_exported(int fd, int r, const Fault *f, void *userdata)
{
        Exported *e = userdata;

        e->has_ended = true;
        e->r = r;
        e->fault = *f;
        if (r >= 0 && lseek(fd, 0, SEEK_SET) == 0)
                e->text = text_of(fd);
}

static inline bool is_exported(void *userdata)
{
        return ((Exported *) userdata)->has_ended;
}

/* The lines; NULL where it is refused or fails. */
static inline char *export(const Caller *caller, const AuditQuery *query)
{
        Exported e = {.r = -1};
        Fault *f = fresh_fault();
        int r = audit_export(fixture.manager, caller, query, on_exported, &e, f);

        if (r < 0)
                return NULL;
        if (!until(is_exported, &e))
                tap_bail_out("an export does not end");
        settle();
        fixture.fault = e.fault;
        return e.text;
}

/* The numbers of the rows, "1 2 3"; "refused"; or "broken" where a line is no row. */
static inline char *exported_seqs(const Caller *caller, const AuditQuery *query)
{
        g_autofree char *text = export(caller, query);
        g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
        GString *seqs = g_string_new(text ? "" : "refused");

        for (size_t i = 0; lines[i] && *lines[i]; i++) {
                g_autoptr(Json) owner = NULL;
                AuditRow row;

                if (audit_line_parse(lines[i], strlen(lines[i]), &row, &owner, NULL) < 0)
                        return g_string_free(g_string_assign(seqs, "broken"), FALSE);
                g_string_append_printf(seqs, "%s%" PRIu64, i ? " " : "", row.seq);
        }
        return g_string_free(seqs, FALSE);
}

typedef struct Verified {
        bool has_ended, is_intact;
        uint64_t rows;
        char *detail;
} Verified;

static inline void on_verified(bool is_intact, uint64_t rows, const char *detail, int r,
                               const Fault *f, void *userdata)
{
        Verified *v = userdata;

        fixture.fault = *f;
        *v = (Verified){true, r >= 0 && is_intact, rows, g_strdup(detail)};
}

static inline bool is_verified(void *userdata)
{
        return ((Verified *) userdata)->has_ended;
}

/* NULL where it is intact, else what is wrong with it; or "refused". The caller frees it. */
static inline char *verify_trail(const AuditHead *heads, size_t n, uint64_t *ret_rows)
{
        const Caller root = {.uid = 0};
        Verified v = {.rows = 0};

        if (audit_verify(fixture.manager, &root, heads, n, on_verified, &v, fresh_fault()) < 0)
                return g_strdup("refused");
        if (!until(is_verified, &v))
                tap_bail_out("a verification does not end");
        settle();
        if (ret_rows)
                *ret_rows = v.rows;
        if (!v.is_intact)
                return v.detail;
        g_free(v.detail);
        return NULL;
}
