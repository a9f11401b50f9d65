/* SPDX-License-Identifier: MIT */

/* What workers do of going through the trail: rows become lines, or are verified; files are read.
 */

#include "core/audit-private.h"

#include "base/audit-line.h"
#include "base/cleanup.h"
#include "base/file.h"

#include <errno.h>
#include <string.h>

enum { FLUSH_SIZE = 64 * 1024, SEGMENT_SIZE_MAX = 256 * 1024 * 1024 };

/* -- rows, in a worker ---------------------------------------------------------------------------
 */

static int flush_lines(AuditWalk *w, Fault *f)
{
        int r = write_all(w->fd, w->lines->str, w->lines->len);

        w->written += w->lines->len;
        (void) g_string_truncate(w->lines, 0);
        return r < 0 ? fault_set_errno(f, r == -ENOSPC ? FAULT_NO_SPACE : FAULT_IO, r,
                                       "cannot export the audit rows")
                     : 0;
}

static int export_row(AuditWalk *w, const AuditRow *row, Fault *f)
{
        audit_line_append(w->lines, row);
        w->left--;
        if (w->is_turned) {
                uint64_t end = w->written + w->lines->len;
                (void) g_array_append_val(w->ends, end);
        }
        return w->lines->len >= FLUSH_SIZE ? flush_lines(w, f) : 0;
}

/* What was written down elsewhere. */
static char *check_elsewhere(AuditWalk *w)
{
        while (w->heads && w->heads_done < w->heads->len) {
                const AuditHead *head = &g_array_index(w->heads, AuditHead, w->heads_done);
                if (head->seq > w->last.seq)
                        break;
                if (head->seq == w->last.seq && !g_str_equal(head->hash, w->last.hash))
                        return g_strdup_printf("row %" PRIu64
                                               " was changed: its hash was written down elsewhere "
                                               "as %s",
                                               head->seq, head->hash);
                w->heads_done++;
        }
        return NULL;
}

static void verify_row(AuditWalk *w, const AuditRow *row)
{
        w->wrong = audit_check_row(&w->last, row);
        if (!w->wrong)
                w->wrong = check_elsewhere(w);
}

bool audit_walk_is_over(const AuditWalk *w)
{
        return w->wrong || (!w->verifies && w->left == 0);
}

static int take_row(AuditWalk *w, const AuditRow *row, Fault *f)
{
        if (!w->verifies)
                return export_row(w, row, f);
        verify_row(w, row);
        return 0;
}

int audit_run_batch(void *request, Fault *f)
{
        AuditWalk *w = request;
        int r = 0;

        for (guint i = 0; i < w->batch->rows->len && r == 0 && !audit_walk_is_over(w); i++)
                r = take_row(w, &g_array_index(w->batch->rows, AuditRow, i), f);
        return r;
}

/* -- files of sealed rows, in a worker ------------------------------------------------------------
 */

static const AuditSegment *get_segment(const AuditWalk *w, const char **ret_path)
{
        guint i = w->is_descending ? w->segments->len - 1 - w->segments_done : w->segments_done;

        *ret_path = w->paths->pdata[i];
        return &g_array_index(w->segments, AuditSegment, i);
}

/* A line without any of these cannot match; most of a long trail need not be parsed. */
static bool may_match(const AuditFilter *filter, const char *line, size_t size)
{
        const char *const words[] = {filter->sandbox, filter->agent, filter->phase, filter->error};

        for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
                if (words[i] && !strpbrk(words[i], "\"\\/") &&
                    !memmem(line, size, words[i], strlen(words[i])))
                        return false;
        return true;
}

static int take_line(AuditWalk *w, const char *line, size_t size, Fault *f)
{
        g_autoptr(Json) owner = NULL;
        AuditRow row;

        if (!w->verifies && !may_match(&w->whole, line, size))
                return 0;
        int r = audit_line_parse(line, size, &row, &owner, f);
        if (r < 0 || (!w->verifies && !audit_filter_matches(&w->whole, &row)))
                return r;
        return take_row(w, &row, f);
}

static int take_lines(AuditWalk *w, const char *text, size_t size, Fault *f)
{
        size_t begin = 0, end = size;
        int r = 0;

        if (size > 0 && text[size - 1] != '\n')
                return fault_set(f, FAULT_INVALID_ARGUMENT, "its last line has no end");
        while (r == 0 && begin < end && !audit_walk_is_over(w)) {
                const char *line = text + begin;
                size_t length;
                if (w->is_descending) {
                        const char *before = memrchr(line, '\n', end - begin - 1);
                        const char *first = before ? before + 1 : line;
                        length = (size_t) (text + end - 1 - first);
                        line = first;
                        end = (size_t) (first - text);
                } else {
                        length = (size_t) ((const char *) memchr(line, '\n', end - begin) - line);
                        begin += length + 1;
                }
                r = take_line(w, line, length, f);
        }
        return r;
}

/* Of a verification: what cannot be read is a finding, not a failure. */
int audit_run_segment(void *request, Fault *f)
{
        AuditWalk *w = request;
        const char *path;
        const AuditSegment *segment = get_segment(w, &path);
        g_autofree char *text = NULL, *why = NULL;
        size_t size;
        Fault fault = {0};

        if (w->verifies && !g_str_equal(segment->previous_hash, w->last.hash))
                w->wrong = g_strdup_printf("row %" PRIu64 " was changed: the segment '%s' follows "
                                           "another one",
                                           w->last.seq, path);
        if (w->wrong)
                return 0;
        int r = file_read(path, SEGMENT_SIZE_MAX, &text, &size, &fault);
        if (r == 0)
                r = take_lines(w, text, size, &fault);
        if (w->wrong) {
                why = TAKE_PTR(w->wrong);
                w->wrong = g_strdup_printf("%s, in the segment '%s'", why, path);
                return 0;
        }
        if (!w->verifies)
                return r < 0 ? fault_set(f, fault.code == FAULT_NO_SPACE ? fault.code : FAULT_IO,
                                         "the segment '%s' of the audit trail cannot be read: %s",
                                         path, fault.message)
                             : 0;
        if (r < 0)
                w->wrong = g_strdup_printf("row %" PRIu64 " is missing: the segment '%s' cannot be "
                                           "read: %s",
                                           w->last.seq + 1, path, fault.message);
        else if (w->last.seq < segment->last_seq)
                w->wrong = g_strdup_printf("row %" PRIu64 " is missing: the segment '%s' was cut "
                                           "short",
                                           w->last.seq + 1, path);
        else if (w->last.seq > segment->last_seq)
                w->wrong = g_strdup_printf("row %" PRIu64 " was added, in the segment '%s'",
                                           segment->last_seq + 1, path);
        else if (!g_str_equal(w->last.hash, segment->last_hash))
                w->wrong = g_strdup_printf("row %" PRIu64 " was changed: the database knows the "
                                           "segment '%s' with another end",
                                           w->last.seq, path);
        return 0;
}

static void check_end(AuditWalk *w)
{
        if (w->wrong)
                return;
        w->wrong = audit_check_head(&w->last, &w->head);
        if (!w->wrong && w->heads && w->heads_done < w->heads->len)
                w->wrong = g_strdup_printf(
                        "row %" PRIu64 " is missing: row %" PRIu64 " was written down elsewhere, "
                        "the last is %" PRIu64,
                        w->last.seq + 1, g_array_index(w->heads, AuditHead, w->heads->len - 1).seq,
                        w->last.seq);
}

/* All lines are there: the last first, if they were found the other way round. */
int audit_run_end(void *request, Fault *f)
{
        AuditWalk *w = request;
        if (w->verifies) {
                check_end(w);
                return 0;
        }
        int r = flush_lines(w, f);
        if (r < 0 || !w->is_turned)
                return r;
        for (guint i = w->ends->len; r == 0 && i-- > 0;) {
                uint64_t begin = i > 0 ? g_array_index(w->ends, uint64_t, i - 1) : 0;
                size_t at = w->lines->len;
                size_t size = (size_t) (g_array_index(w->ends, uint64_t, i) - begin);

                (void) g_string_set_size(w->lines, at + size);
                r = pread_all(w->fd, w->lines->str + at, size, begin);
                if (r < 0)
                        return fault_set_errno(f, FAULT_IO, r, "cannot export the audit rows");
                if (w->lines->len < FLUSH_SIZE && i > 0)
                        continue;
                int fd = w->fd;
                w->fd = w->turned_fd;
                r = flush_lines(w, f);
                w->fd = fd;
        }
        return r;
}
