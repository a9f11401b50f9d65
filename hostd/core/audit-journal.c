/* SPDX-License-Identifier: MIT */
#include "core/audit.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/quantity.h"
#include "core/internal.h"

#include <string.h>

/* Without the detail: arguments may hold what not everybody who reads journals is to know. */
static void tell_row(const AuditRow *row, void *userdata)
{
        const struct {
                const char *name, *text;
        } texts[] = {
                {"FLUID_AUDIT_HASH", row->hash},
                {"FLUID_KIND", row->kind},
                {"FLUID_PHASE", row->phase},
                {"FLUID_OBJECT", row->object},
                {"FLUID_ERROR", row->error},
                {"FLUID_SANDBOX", row->sandbox_id},
                {"FLUID_SANDBOX_NAME", row->sandbox_name},
                {"FLUID_AGENT", row->agent},
                {"FLUID_CALLER", row->caller},
        };
        g_autoptr(GPtrArray) fields = g_ptr_array_new_with_free_func(g_free);

        (void) userdata;
        g_ptr_array_add(fields, g_strdup("MESSAGE_ID=" AUDIT_ROW_MESSAGE_ID));
        g_ptr_array_add(fields, g_strdup_printf("FLUID_AUDIT_SEQ=%" PRIu64, row->seq));
        g_ptr_array_add(fields, g_strdup_printf("FLUID_CALLER_UID=%u", row->caller_uid));
        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                if (texts[i].text && *texts[i].text)
                        g_ptr_array_add(fields,
                                        g_strdup_printf("%s=%s", texts[i].name, texts[i].text));
        g_ptr_array_add(fields, NULL);
        log_record((const char *const *) fields->pdata, "audit: %s %s%s%s", row->kind, row->phase,
                   row->error && *row->error ? ": " : "", row->error ? row->error : "");
}

void audit_watch_rows(Manager *m)
{
        store_watch_audit(m->store, tell_row, m);
}

void audit_tell_head(Manager *m)
{
        AuditHead head;
        Fault f = {0};

        if (store_load_audit_head(m->store, &head, &f) < 0) {
                log_error("the head of the audit trail cannot be told: %s", f.message);
                return;
        }
        if (head.seq == 0)
                return;
        g_autofree char *seq = g_strdup_printf("FLUID_AUDIT_SEQ=%" PRIu64, head.seq);
        g_autofree char *hash = g_strdup_printf("FLUID_AUDIT_HASH=%s", head.hash);
        const char *fields[] = {"MESSAGE_ID=" AUDIT_HEAD_MESSAGE_ID, seq, hash, NULL};
        log_record(fields, "audit: the trail has %" PRIu64 " rows, its head is %s", head.seq,
                   head.hash);
}
