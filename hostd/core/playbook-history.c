/* SPDX-License-Identifier: MIT */

/* What was done to a sandbox between two points, of the audit trail: a text for people, which goes
 * into the archive of a playbook. The playbook itself is made of the disks alone. */

#include "core/playbook-private.h"

#include "base/audit-line.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/file.h"
#include "base/quantity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINES_MAX  10000
#define LINE_BYTES 4096
#define TEXT_BYTES (1 << 20)

typedef struct History {
        Manager *manager;
        PlaybookRow *row; /* of the playbook, for its names */
        int trail, out;
        PlaybookHistoryDone done;
        void *userdata;
} History;

static void history_free(gpointer data)
{
        History *q = data;

        (void) playbook_row_free(q->row);
        (void) close_fd(q->trail);
        (void) close_fd(q->out);
        g_free(q);
}

/* -- in a worker: rows into lines -------------------------------------------------------------- */

typedef struct Step {
        uint64_t seq;
        GString *line;
        char *end; /* how it ended; NULL: that is not told */
} Step;

static void step_free(gpointer data)
{
        Step *step = data;

        (void) g_string_free(step->line, TRUE);
        g_free(step->end);
        g_free(step);
}

/* What a person would have done, too; what happened by itself, and what was only looked at, is
 * not. */
static bool is_step(const AuditRow *row)
{
        static const char *const kinds[] = {"file.write",
                                            "snapshot.create",
                                            "snapshot.restore",
                                            "sandbox.start",
                                            "sandbox.stop",
                                            "sandbox.network",
                                            NULL};

        return g_str_has_prefix(row->kind, "command.") || g_strv_contains(kinds, row->kind);
}

static char *format_utc(uint64_t usec)
{
        g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc((gint64) (usec / USEC_PER_SEC));

        return time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : g_strdup("?");
}

/* The arguments as the trail has them: JSON, of which a terminal acts on nothing. */
static void append_detail(GString *line, const char *text)
{
        g_autoptr(Json) detail = NULL;

        if (json_parse(text, strlen(text), 32, &detail, NULL) < 0 ||
            !json_object_is_type(detail, json_type_object))
                return;
        json_object_object_foreach(detail, key, value)
        {
                if (g_str_equal(key, "sandbox"))
                        continue;
                const char *json = json_object_to_json_string_ext(
                        value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
                g_autofree char *name = escape_text(key, strlen(key));
                g_autofree char *safe = escape_text(json, strlen(json));

                if (g_str_equal(key, "argv"))
                        g_string_append_printf(line, " %s", safe);
                else
                        g_string_append_printf(line, " %s=%s", name, safe);
        }
}

/* Whole characters. */
static void cut_line(GString *line)
{
        const char *end = NULL;

        if (line->len <= LINE_BYTES)
                return;
        g_string_truncate(line, LINE_BYTES);
        (void) g_utf8_validate(line->str, (gssize) line->len, &end);
        g_string_truncate(line, (gsize) (end - line->str));
        g_string_append(line, " (more is not shown)");
}

static Step *new_step(const AuditRow *row)
{
        g_autofree char *time = format_utc(row->time_usec);
        g_autofree char *caller = escape_text(row->caller, strlen(row->caller));
        g_autofree char *kind = escape_text(row->kind, strlen(row->kind));
        Step *step = g_new0(Step, 1);

        step->seq = row->seq;
        step->line = g_string_new(NULL);
        g_string_append_printf(step->line, "%s  uid %u %s  %s", time, row->caller_uid, caller,
                               kind);
        append_detail(step->line, row->detail);
        cut_line(step->line);
        return step;
}

/* "exit 0", "signal 9", "failed: TimedOut" */
static char *format_end(const AuditRow *row)
{
        g_autoptr(Json) detail = NULL;
        uint64_t number = 0;

        (void) json_parse(row->detail, strlen(row->detail), 32, &detail, NULL);
        if (*row->error) {
                g_autofree char *error = escape_text(row->error, strlen(row->error));
                return g_strdup_printf(
                        "%s: %s", g_str_equal(row->phase, "refused") ? "refused" : "failed", error);
        }
        if (detail && json_find_uint(detail, "signal", &number))
                return g_strdup_printf("signal %" PRIu64, number);
        if (detail && json_find_uint(detail, "exit_status", &number))
                return g_strdup_printf("exit %" PRIu64, number);
        return g_strdup("done");
}

static void take_row(GPtrArray *steps, GHashTable *by_seq, const AuditRow *row)
{
        Step *step;

        if (row->begin_seq > 0) {
                step = g_hash_table_lookup(by_seq, &row->begin_seq);
                if (step && !step->end)
                        step->end = format_end(row);
                return;
        }
        if (!is_step(row))
                return;
        step = new_step(row);
        if (!g_str_equal(row->phase, "begin"))
                step->end = format_end(row);
        g_ptr_array_add(steps, step);
        (void) g_hash_table_insert(by_seq, &step->seq, step);
}

static int read_steps(int fd, GPtrArray *steps, Fault *f)
{
        g_autoptr(GHashTable) by_seq = g_hash_table_new(g_int64_hash, g_int64_equal);
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        FILE *file = copy < 0 || lseek(copy, 0, SEEK_SET) < 0 ? NULL : fdopen(copy, "r");
        char *line = NULL;
        size_t capacity = 0;
        ssize_t n;
        int r = 0;

        if (!file) {
                r = fault_set_errno(f, FAULT_IO, errno, "the audit trail cannot be read");
                (void) close_fd(copy);
                return r;
        }
        while (r == 0 && (n = getline(&line, &capacity, file)) > 0) {
                g_autoptr(Json) owner = NULL;
                AuditRow row;

                r = audit_line_parse(line, (size_t) n, &row, &owner, f);
                if (r == 0)
                        take_row(steps, by_seq, &row);
        }
        free(line);
        (void) fclose(file);
        return r;
}

/* The newest count: they are what led to where it leads. */
static guint first_shown(const GPtrArray *steps)
{
        size_t bytes = 0;

        for (guint i = steps->len; i-- > 0;) {
                const Step *step = steps->pdata[i];

                bytes += step->line->len + 64;
                if (bytes > TEXT_BYTES || steps->len - i > LINES_MAX)
                        return i + 1;
        }
        return 0;
}

static GString *write_text(const PlaybookRow *row, const GPtrArray *steps)
{
        GString *text = g_string_new(NULL);
        guint first = first_shown(steps);

        g_string_append_printf(
                text,
                "# What was done to sandbox '%s' (%s) from '%s' to '%s', as the audit trail has it.\n"
                "#\n"
                "# For people: Ansible does not read it, and nothing of the playbook is made of it. What\n"
                "# the guest did by itself, input, output and environment are not in the trail. Bytes\n"
                "# on which a terminal would act are \\xNN.\n"
                "#\n"
                "# time (UTC), who called, what, how it ended\n\n",
                row->sandbox_name, row->sandbox_id.text, row->from_name, row->to_name);
        if (first > 0)
                g_string_append_printf(text, "(%u older ones are not shown: fluidctl audit)\n",
                                       first);
        for (guint i = first; i < steps->len; i++) {
                const Step *step = steps->pdata[i];

                g_string_append_printf(text, "%s  -> %s\n", step->line->str,
                                       step->end ? step->end : "not ended yet");
        }
        if (steps->len == 0)
                g_string_append(text, "(nothing)\n");
        return text;
}

static int run(void *request, Fault *f)
{
        History *q = request;
        g_autoptr(GPtrArray) steps = g_ptr_array_new_with_free_func(step_free);
        int r = read_steps(q->trail, steps, f);

        if (r < 0)
                return r;
        g_autoptr(GString) text = write_text(q->row, steps);
        q->out = memfd_create("history", MFD_CLOEXEC);
        r = q->out < 0 ? -errno : write_all(q->out, text->str, text->len);
        if (r == 0 && lseek(q->out, 0, SEEK_SET) < 0)
                r = -errno;
        return r < 0 ? fault_set_errno(f, FAULT_IO, r, "the history cannot be written") : 0;
}

/* -- on the loop ------------------------------------------------------------------------------- */

static void on_written(void *request, int r, const Fault *f, void *userdata)
{
        History *q = request;

        (void) userdata;
        q->done(r < 0 ? -1 : q->out, r, f, q->userdata);
}

static void on_trail(int fd, int r, const Fault *f, void *userdata)
{
        History *q = userdata;
        Fault why = fault_copy(f);

        if (r >= 0) {
                q->trail = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                if (q->trail < 0)
                        r = fault_set_errno(&why, FAULT_IO, errno,
                                            "the audit trail cannot be read");
        }
        if (r >= 0) {
                (void) workers_submit(q->manager->workers, run, on_written, q, history_free, NULL);
                return;
        }
        q->done(-1, r, &why, q->userdata);
        history_free(q);
}

static uint64_t time_of(const Sandbox *s, const char *point, uint64_t otherwise)
{
        const Snapshot *snapshot = snapshot_find(s, point);

        return snapshot ? snapshot->row->created_usec : otherwise;
}

int playbook_history(const Sandbox *s, const PlaybookRow *row, bool is_now,
                     PlaybookHistoryDone done, void *userdata, Fault *f)
{
        uint64_t now = now_realtime_usec();
        const Caller own = manager_own_caller();
        AuditQuery query = {.sandbox = s->row->id.text,
                            .since_usec = time_of(s, row->from_name, 0),
                            .until_usec = is_now ? now : time_of(s, row->to_name, now)};
        History *q = g_new0(History, 1);

        /* A clock that was set back, or a point that is older than where it begins. */
        query.until_usec = MAX(query.until_usec, query.since_usec);
        *q = (History){.manager = s->manager,
                       .row = playbook_row_copy(row),
                       .trail = -1,
                       .out = -1,
                       .done = done,
                       .userdata = userdata};
        int r = audit_export(s->manager, &own, &query, on_trail, q, f);
        if (r < 0)
                history_free(q);
        return r;
}
