/* SPDX-License-Identifier: MIT */
#include "core/audit-private.h"

#include "base/audit-line.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/quantity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
        SEGMENT_ROWS = 10000,     /* at most */
        SEGMENT_ROWS_LEAST = 500, /* fewer wait for more, for a day */
        READ_ROWS = 2000,         /* at a time, on the loop */
        TRIM_ROWS = 500,          /* that are deleted at a time */
};

#define LOOK_INTERVAL_USEC (10 * 60 * USEC_PER_SEC)
#define HEAD_INTERVAL_USEC (3600 * USEC_PER_SEC)
#define FIRST_LOOK_USEC    (30 * USEC_PER_SEC)
#define STEP_USEC          (20 * USEC_PER_MSEC)
#define OVERDUE_USEC       (24 * 3600 * USEC_PER_SEC)

typedef struct Seal {
        Manager *manager;
        AuditBatch *batch;
        AuditHead before;  /* the row that it follows */
        uint64_t rows_due; /* so many of the oldest are more than are kept */
        uint64_t due_usec; /* what is older has been kept long enough */
        AuditSegment segment;
        char *directory, *path;
        GString *lines;
} Seal;

static void seal_free(gpointer data)
{
        Seal *q = data;

        (void) audit_batch_free(q->batch);
        g_free(q->directory);
        g_free(q->path);
        if (q->lines)
                (void) g_string_free(q->lines, TRUE);
        g_free(q);
}

void audit_seal_free(struct Seal *seal)
{
        if (seal)
                seal_free(seal);
}

static void look(Manager *m);

static int on_look(sd_event_source *source, uint64_t usec, void *userdata)
{
        (void) source;
        (void) usec;
        look(userdata);
        return 0;
}

static void arm(Manager *m, uint64_t usec)
{
        AuditKeeper *keeper = m->audit;

        keeper->seal_timer = sd_event_source_disable_unref(keeper->seal_timer);
        (void) sd_event_add_time_relative(m->event, &keeper->seal_timer, CLOCK_MONOTONIC, usec, 0,
                                          on_look, m);
}

/* -- which rows -----------------------------------------------------------------------------------
 */

/* How many of the oldest that were read have to go: without a gap, whatever their times are. */
static guint count_due(const Seal *q)
{
        guint n = 0;

        while (n < q->batch->rows->len && n < SEGMENT_ROWS &&
               (n < q->rows_due ||
                g_array_index(q->batch->rows, AuditRow, n).time_usec < q->due_usec))
                n++;
        return n;
}

static bool is_worth_a_file(const Seal *q, guint n)
{
        uint64_t oldest = n > 0 ? g_array_index(q->batch->rows, AuditRow, 0).time_usec : 0;

        return n >= SEGMENT_ROWS_LEAST || (n > 0 && oldest + OVERDUE_USEC < q->due_usec);
}

static uint64_t time_of_due(const Config *c)
{
        uint64_t now = now_realtime_usec();

        return c->audit_keep_usec < now ? now - c->audit_keep_usec : 0;
}

/* -- the file, in a worker
 * -------------------------------------------------------------------------- */

static int fail(Fault *f, int error, const char *path)
{
        return fault_set_errno(f, error == ENOSPC ? FAULT_NO_SPACE : FAULT_IO, error,
                               "cannot seal rows of the audit trail in '%s'", path);
}

/* The chain is checked, and so is that each line gives its row back as it was. */
static int make_lines(Seal *q, guint n, Fault *f)
{
        AuditHead last = q->before, again = q->before;

        q->lines = g_string_new(NULL);
        q->segment.first_usec = UINT64_MAX;
        for (guint i = 0; i < n; i++) {
                const AuditRow *row = &g_array_index(q->batch->rows, AuditRow, i);
                g_autofree char *wrong = audit_check_row(&last, row), *lost = NULL;
                g_autoptr(Json) owner = NULL;
                size_t begin = q->lines->len;
                AuditRow read;

                if (wrong)
                        return fault_set(f, FAULT_IO, "%s", wrong);
                audit_line_append(q->lines, row);
                int r = audit_line_parse(q->lines->str + begin, q->lines->len - begin - 1, &read,
                                         &owner, f);
                if (r == 0 && (lost = audit_check_row(&again, &read)))
                        r = fault_set(f, FAULT_INTERNAL, "as JSON, %s", lost);
                if (r < 0)
                        return r;
                q->segment.first_usec = MIN(q->segment.first_usec, row->time_usec);
                q->segment.last_usec = MAX(q->segment.last_usec, row->time_usec);
        }
        q->segment.first_seq = q->before.seq + 1;
        q->segment.last_seq = last.seq;
        (void) g_strlcpy(q->segment.previous_hash, q->before.hash, SHA256_HEX_SIZE);
        (void) g_strlcpy(q->segment.last_hash, last.hash, SHA256_HEX_SIZE);
        return 0;
}

/* What a crash left of an earlier attempt: the database knows no segment that begins there. */
static void remove_leftovers(const Seal *q)
{
        g_autofree char *prefix = g_strdup_printf("%012" PRIu64 "-", q->segment.first_seq);
        DIR *directory = opendir(q->directory);
        struct dirent *entry;

        while (directory && (entry = readdir(directory)))
                if (g_str_has_prefix(entry->d_name, prefix))
                        (void) unlinkat(dirfd(directory), entry->d_name, 0);
        if (directory)
                (void) closedir(directory);
}

static int write_file(const Seal *q, Fault *f)
{
        g_autofree char *partial = g_strconcat(q->path, ".new", NULL);
        autofd fd = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);

        if (fd < 0)
                return fail(f, errno, partial);
        int r = write_all(fd, q->lines->str, q->lines->len);
        if (r == 0 && fsync(fd) < 0)
                r = -errno;
        if (r == 0 && rename(partial, q->path) < 0)
                r = -errno;
        if (r < 0) {
                (void) unlink(partial);
                return fail(f, -r, q->path);
        }
        return sync_path(q->directory, f);
}

static int run_seal(void *request, Fault *f)
{
        Seal *q = request;
        g_autofree char *text = NULL;
        size_t size;
        int r = make_lines(q, count_due(q), f);

        if (r < 0)
                return r;
        q->path = audit_segment_path(q->manager, &q->segment);
        r = make_directory(q->directory, 0700, 0, 0, f);
        if (r < 0)
                return r;
        remove_leftovers(q);
        r = write_file(q, f);
        if (r == 0)
                r = file_read(q->path, q->lines->len, &text, &size, f);
        if (r == 0 && (size != q->lines->len || memcmp(text, q->lines->str, size) != 0))
                r = fault_set(f, FAULT_IO, "'%s' does not read as it was written", q->path);
        return r;
}

/* -- step by step, on the loop
 * ------------------------------------------------------------------------ */

static void seal_done(void *request, int r, const Fault *f, void *userdata)
{
        Seal *q = request;
        Manager *m = q->manager;
        Fault why = {0};

        (void) userdata;
        m->audit->is_sealing = false;
        if (r == 0)
                r = store_put_audit_segment(m->store, &q->segment, &why);
        if (r < 0) {
                log_error("the audit trail is not sealed: %s",
                          fault_is_set(&why) ? why.message : f->message);
                arm(m, LOOK_INTERVAL_USEC);
                return;
        }
        log_info("rows %" PRIu64 " to %" PRIu64 " of the audit trail are sealed in '%s'",
                 q->segment.first_seq, q->segment.last_seq, q->path);
        audit_tell_head(m);
        arm(m, 0);
}

/* Whoever reads the table now has begun before the segment was known. Returns true while there is
 * something left to delete. */
static bool trim(Manager *m)
{
        unsigned deleted = 0;
        Fault f = {0};

        if (m->audit->n_readers > 0)
                return true;
        if (store_trim_audit(m->store, TRIM_ROWS, &deleted, &f) < 0)
                log_error("sealed rows cannot be deleted: %s", f.message);
        return deleted > 0;
}

/* The row that the next file follows. */
static int load_before(Manager *m, AuditHead *ret, Fault *f)
{
        g_autoptr(GArray) segments = NULL;
        int r = store_load_audit_segments(m->store, &segments, f);

        *ret = (AuditHead){.hash = AUDIT_HASH_OF_NONE};
        if (r == 0 && segments->len > 0) {
                const AuditSegment *last =
                        &g_array_index(segments, AuditSegment, segments->len - 1);
                ret->seq = last->last_seq;
                (void) g_strlcpy(ret->hash, last->last_hash, sizeof ret->hash);
        }
        return r;
}

/* NULL where all that there is is kept. */
static int begin_seal(Manager *m, Seal **ret, Fault *f)
{
        const Config *c = m->config;
        uint64_t rows = 0, oldest_usec = 0, due_usec = time_of_due(c);
        AuditHead before;
        int r = store_measure_audit(m->store, &rows, &oldest_usec, f);

        if (r == 0)
                r = load_before(m, &before, f);
        if (r < 0 || rows == 0 || (rows <= c->audit_rows_kept_max && oldest_usec >= due_usec))
                return r;
        *ret = g_new0(Seal, 1);
        **ret = (Seal){.manager = m,
                       .batch = audit_batch_new(),
                       .before = before,
                       .rows_due =
                               rows > c->audit_rows_kept_max ? rows - c->audit_rows_kept_max : 0,
                       .due_usec = due_usec,
                       .directory = audit_directory(m)};
        return 0;
}

/* Returns 1 if there may be more to read. */
static int read_more(Seal *q, Fault *f)
{
        guint n = q->batch->rows->len;
        uint64_t after = n > 0 ? g_array_index(q->batch->rows, AuditRow, n - 1).seq : q->before.seq;
        int r = store_read_audit_chain(q->manager->store, after, false, READ_ROWS, audit_batch_each,
                                       q->batch, f);

        if (r < 0)
                return r;
        return q->batch->rows->len == n + READ_ROWS && q->batch->rows->len < SEGMENT_ROWS &&
               count_due(q) == q->batch->rows->len;
}

static int go_on(Manager *m, Fault *f)
{
        AuditKeeper *keeper = m->audit;
        int r = keeper->seal ? 0 : begin_seal(m, &keeper->seal, f);

        if (r < 0 || !keeper->seal)
                return r;
        r = read_more(keeper->seal, f);
        if (r > 0)
                return r;
        Seal *q = TAKE_PTR(keeper->seal);
        if (r < 0 || !is_worth_a_file(q, count_due(q))) {
                seal_free(q);
                return r;
        }
        keeper->is_sealing = true;
        (void) workers_submit(m->workers, run_seal, seal_done, q, seal_free, NULL);
        return 0;
}

/* Deletes a few rows, reads a few, or has a file written: one of these at a time. */
static void look(Manager *m)
{
        Fault f = {0};
        int r;

        if (m->audit->is_sealing)
                return;
        if (!m->audit->seal && trim(m)) {
                arm(m, STEP_USEC);
                return;
        }
        r = go_on(m, &f);
        if (r < 0)
                log_error("the audit trail is not sealed: %s", f.message);
        arm(m, r > 0 ? STEP_USEC : LOOK_INTERVAL_USEC);
}

/* -- public
 * --------------------------------------------------------------------------------------------- */

static int on_head(sd_event_source *source, uint64_t usec, void *userdata)
{
        Manager *m = userdata;

        (void) usec;
        audit_tell_head(m);
        (void) sd_event_source_set_time_relative(source, HEAD_INTERVAL_USEC);
        (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return 0;
}

void audit_seal_begin(Manager *m)
{
        audit_tell_head(m);
        (void) sd_event_add_time_relative(m->event, &m->audit->head_timer, CLOCK_MONOTONIC,
                                          HEAD_INTERVAL_USEC, USEC_PER_SEC, on_head, m);
        arm(m, FIRST_LOOK_USEC);
}

void audit_seal_tend(Manager *m)
{
        arm(m, 0);
}
