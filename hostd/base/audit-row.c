/* SPDX-License-Identifier: MIT */
#include "base/audit-row.h"

#include <glib.h>
#include <inttypes.h>
#include <string.h>

/* -- the hash ------------------------------------------------------------------------------- */

static void add_text(GChecksum *sum, const char *text)
{
        size_t size = strlen(text ? text : "");
        char length[32];
        int n = g_snprintf(length, sizeof length, "%zu:", size);

        g_checksum_update(sum, (const guchar *) length, n);
        g_checksum_update(sum, (const guchar *) (text ? text : ""), (gssize) size);
}

/* As the database has it, which knows no larger one. */
static void add_number(GChecksum *sum, uint64_t number)
{
        char text[32];

        (void) g_snprintf(text, sizeof text, "%" PRIu64, MIN(number, (uint64_t) INT64_MAX));
        add_text(sum, text);
}

static bool is_set(const char *text)
{
        return text && *text;
}

/* Rows of before 0.3 say nothing of what they are about. */
static bool has_subject(const AuditRow *row)
{
        return is_set(row->sandbox_id) || is_set(row->sandbox_name) || is_set(row->agent) ||
               row->owner_uid != UID_NONE || row->begin_seq > 0;
}

void audit_hash(const AuditRow *row, const char *previous, char ret_hash[static SHA256_HEX_SIZE])
{
        g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

        add_text(sum, previous);
        add_number(sum, row->seq);
        add_number(sum, row->time_usec);
        add_number(sum, row->caller_uid);
        add_text(sum, row->caller);
        add_text(sum, row->kind);
        add_text(sum, row->phase);
        add_text(sum, row->object);
        add_text(sum, row->detail);
        add_text(sum, row->error);
        if (has_subject(row)) {
                add_text(sum, row->sandbox_id);
                add_text(sum, row->sandbox_name);
                add_text(sum, row->agent);
                add_number(sum, row->owner_uid);
                add_number(sum, row->begin_seq);
        }
        (void) g_strlcpy(ret_hash, g_checksum_get_string(sum), SHA256_HEX_SIZE);
}

/* -- the chain ------------------------------------------------------------------------------ */

char *audit_check_row(AuditHead *last, const AuditRow *row)
{
        uint64_t expected = last->seq + 1;
        AuditHead head = {.seq = row->seq};

        if (row->seq < expected && last->seq > 0)
                return g_strdup_printf("row %" PRIu64 " was added, or moved: it stands behind row "
                                       "%" PRIu64,
                                       row->seq, last->seq);
        /* A negative number reads as a huge one. */
        if (row->seq < expected || row->seq > INT64_MAX)
                return g_strdup_printf("row %" PRId64 " was added: the first row is 1",
                                       (int64_t) row->seq);
        if (row->seq > expected)
                return g_strdup_printf("row %" PRIu64 " is missing: row %" PRIu64
                                       " follows row %" PRIu64,
                                       expected, row->seq, last->seq);
        audit_hash(row, last->hash, head.hash);
        if (row->is_damaged || strcmp(row->hash, head.hash) != 0)
                return g_strdup_printf("row %" PRIu64
                                       " was changed: its hash is not that of its fields after "
                                       "row %" PRIu64,
                                       row->seq, last->seq);
        *last = head;
        return NULL;
}
