/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/audit-file.h"

#include "base/audit-line.h"
#include "base/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef FILE File;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(File, fclose)

typedef struct Reading {
        File *file;
        const char *path;
        char *line; /* of getline() */
        size_t capacity, size;
        uint64_t number;
        const GArray *heads;
        AuditFileEnd end;
} Reading;

void audit_file_end_done(AuditFileEnd *end)
{
        g_free(end->wrong);
        *end = (AuditFileEnd){0};
}

/* The next line without its newline; 0 at the end. */
static int next_line(Reading *q, Fault *f)
{
        ssize_t n = getline(&q->line, &q->capacity, q->file);

        if (n < 0 && ferror(q->file))
                return fault_set_errno(f, FAULT_IO, errno, "cannot read '%s'", q->path);
        if (n <= 0)
                return 0;
        q->number++;
        q->size = (size_t) n;
        return 1;
}

static const AuditHead *find_head(const Reading *q, uint64_t seq)
{
        for (guint i = 0; i < q->heads->len; i++)
                if (g_array_index(q->heads, AuditHead, i).seq == seq)
                        return &g_array_index(q->heads, AuditHead, i);
        return NULL;
}

/* All that are of that row. */
static char *check_heads(const Reading *q, uint64_t seq, const AuditHead *last)
{
        for (guint i = 0; i < q->heads->len; i++) {
                const AuditHead *head = &g_array_index(q->heads, AuditHead, i);

                if (head->seq == seq && !g_str_equal(head->hash, last->hash))
                        return g_strdup_printf("row %" PRIu64 " was changed, or one before it: %s "
                                               "was written down elsewhere as its hash",
                                               last->seq, head->hash);
        }
        return NULL;
}

/* Where the chain begins: with row 1, behind a head that is known, or with a row as it is. */
static void begin(Reading *q, const AuditRow *row)
{
        AuditFileEnd *end = &q->end;
        const AuditHead *before = row->seq > 1 ? find_head(q, row->seq - 1) : NULL;

        end->first = row->seq;
        end->last = before ? *before : (AuditHead){.hash = AUDIT_HASH_OF_NONE};
        end->is_loose = row->seq > 1 && !before;
}

/* Every byte of a line is of what was hashed. */
static bool is_as_written(const Reading *q, const AuditRow *row)
{
        g_autoptr(GString) line = g_string_new(NULL);

        audit_line_append(line, row);
        return line->len == q->size && memcmp(line->str, q->line, q->size) == 0;
}

/* A row that is not where it belongs may be further on: then it was not removed. */
static char *describe_gap(Reading *q, const AuditRow *row, char *wrong)
{
        uint64_t expected = q->end.last.seq + 1, found = row->seq;

        while (found != expected && next_line(q, NULL) > 0) {
                g_autoptr(Json) owner = NULL;
                AuditRow other;

                if (audit_line_parse(q->line, q->size, &other, &owner, NULL) == 0)
                        found = other.seq;
        }
        if (found != expected)
                return wrong;
        g_free(wrong);
        return g_strdup_printf("row %" PRIu64 " was moved: it does not stand behind row %" PRIu64
                               ", but further on",
                               expected, expected - 1);
}

static char *check_row(Reading *q, const AuditRow *row)
{
        AuditFileEnd *end = &q->end;
        uint64_t seq = row->seq;

        if (end->first == 0)
                begin(q, row);
        if (end->is_loose && end->rows == 0) {
                end->last.seq = seq;
                (void) g_strlcpy(end->last.hash, row->hash, sizeof end->last.hash);
        } else {
                char *wrong = audit_check_row(&end->last, row);
                if (wrong)
                        return seq > end->last.seq + 1 ? describe_gap(q, row, wrong) : wrong;
        }
        if (!is_as_written(q, row))
                return g_strdup_printf("row %" PRIu64 " was changed: its line is not as it was "
                                       "written",
                                       seq);
        return check_heads(q, seq, &end->last);
}

static int take_line(Reading *q)
{
        g_autoptr(Json) owner = NULL;
        g_autofree char *wrong = NULL;
        uint64_t number = q->number;
        AuditRow row;

        if (audit_line_parse(q->line, q->size, &row, &owner, NULL) < 0)
                wrong = g_strdup_printf("no row of the audit trail; the last good one is row "
                                        "%" PRIu64,
                                        q->end.last.seq);
        else
                wrong = check_row(q, &row);
        if (!wrong)
                return 1;
        q->end.wrong = g_strdup_printf("line %" PRIu64 ": %s", number, wrong);
        return 0;
}

static char *check_end(const Reading *q)
{
        const AuditHead *last = &q->end.last;

        if (q->end.rows == 0)
                return g_strdup("it has no rows");
        for (guint i = 0; i < q->heads->len; i++)
                if (g_array_index(q->heads, AuditHead, i).seq > last->seq)
                        return g_strdup_printf("row %" PRIu64 " is missing: row %" PRIu64
                                               " was written down elsewhere, the last is %" PRIu64,
                                               last->seq + 1,
                                               g_array_index(q->heads, AuditHead, i).seq,
                                               last->seq);
        return check_heads(q, 0, last);
}

int audit_file_verify(const char *path, const GArray *heads, AuditFileEnd *ret, Fault *f)
{
        g_autoptr(File) file = fopen(path, "re");
        Reading q = {.file = file, .path = path, .heads = heads};
        int r;

        if (!file)
                return fault_set_errno(f, errno == ENOENT ? FAULT_NOT_FOUND : FAULT_IO, errno,
                                       "cannot read '%s'", path);
        while ((r = next_line(&q, f)) > 0 && take_line(&q) > 0)
                q.end.rows++;
        free(q.line);
        if (r >= 0 && !q.end.wrong)
                q.end.wrong = check_end(&q);
        q.end.is_intact = !q.end.wrong;
        if (r >= 0)
                *ret = q.end;
        else
                audit_file_end_done(&q.end);
        return MIN(r, 0);
}
