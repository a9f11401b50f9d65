/* SPDX-License-Identifier: MIT */
#include "store/audit-table.h"

#include "base/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

/* -- rows for another thread ------------------------------------------------------------------ */

enum { STRINGS_CHUNK_SIZE = 64 * 1024 };

AuditBatch *audit_batch_new(void)
{
        AuditBatch *batch = g_new0(AuditBatch, 1);

        batch->rows = g_array_new(FALSE, FALSE, sizeof(AuditRow));
        batch->strings = g_string_chunk_new(STRINGS_CHUNK_SIZE);
        return batch;
}

AuditBatch *audit_batch_free(AuditBatch *batch)
{
        if (!batch)
                return NULL;
        (void) g_array_free(batch->rows, TRUE);
        g_string_chunk_free(batch->strings);
        g_free(batch);
        return NULL;
}

void audit_batch_clear(AuditBatch *batch)
{
        (void) g_array_set_size(batch->rows, 0);
        g_string_chunk_clear(batch->strings);
}

void audit_batch_add(AuditBatch *batch, const AuditRow *row)
{
        AuditRow copy = *row;
        const char **const texts[] = {&copy.caller,     &copy.kind,         &copy.phase,
                                      &copy.object,     &copy.detail,       &copy.error,
                                      &copy.sandbox_id, &copy.sandbox_name, &copy.agent};

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                *texts[i] = g_string_chunk_insert(batch->strings, *texts[i] ? *texts[i] : "");
        (void) g_array_append_val(batch->rows, copy);
}

int audit_batch_each(const AuditRow *row, void *batch)
{
        audit_batch_add(batch, row);
        return 0;
}

/* -- verifying ------------------------------------------------------------------------------ */

char *audit_check_head(const AuditHead *last, const AuditHead *head)
{
        if (head->seq > last->seq)
                return g_strdup_printf("row %" PRIu64 " is missing: rows up to %" PRIu64
                                       " were written, the last is %" PRIu64,
                                       last->seq + 1, head->seq, last->seq);
        if (head->seq < last->seq)
                return g_strdup_printf("row %" PRIu64
                                       " was added: the last that was written is %" PRIu64,
                                       head->seq + 1, head->seq);
        return strcmp(head->hash, last->hash) == 0
                       ? NULL
                       : g_strdup_printf("row %" PRIu64
                                         " was changed: its hash is not that of the head "
                                         "in table meta",
                                         last->seq);
}

typedef struct Check {
        AuditHead last;
        char *wrong;
} Check;

static int check_row(const AuditRow *row, void *userdata)
{
        Check *check = userdata;

        check->wrong = audit_check_row(&check->last, row);
        return check->wrong ? -EBADMSG : 0;
}

static int read_rows(Store *s, const char *condition, uint64_t seq, unsigned limit, AuditEach each,
                     void *userdata, Fault *f)
{
        g_autofree char *rows = audit_select();
        g_autofree char *sql =
                g_strdup_printf("%s WHERE seq %s ? ORDER BY seq LIMIT ?", rows, condition);
        sqlite3_stmt *statement;
        int r = sql_prepare(s, sql, &statement, f);

        if (r < 0)
                return r;
        int rc = sqlite3_bind_int64(statement, 1, (int64_t) seq);
        if (rc == SQLITE_OK)
                rc = sqlite3_bind_int64(statement, 2, limit);
        return audit_each_row(s, statement, rc, each, userdata, f);
}

int store_read_audit_chain(Store *s, uint64_t after_seq, bool with_strays, unsigned limit,
                           AuditEach each, void *userdata, Fault *f)
{
        int r = with_strays ? read_rows(s, "<", 1, 1, each, userdata, f) : 0;

        return r < 0 ? r : read_rows(s, ">", after_seq, limit, each, userdata, f);
}

int store_verify_audit(Store *s, bool *ret_intact, uint64_t *ret_rows, char **ret_detail, Fault *f)
{
        Check check = {.wrong = NULL};
        AuditHead head = {.seq = 0};

        int r = store_load_audit_head(s, &head, f);
        if (r == 0)
                r = audit_load_sealed(s, &check.last, f);
        if (r == 0)
                r = store_read_audit_chain(s, check.last.seq, true, UINT_MAX, check_row, &check, f);
        if (r < 0 && !check.wrong)
                return r;
        if (!check.wrong)
                check.wrong = audit_check_head(&check.last, &head);
        *ret_intact = !check.wrong;
        *ret_rows = check.last.seq;
        *ret_detail = check.wrong ? check.wrong : g_strdup(check.last.hash);
        return 0;
}
