/* SPDX-License-Identifier: MIT */

/* Going through the trail, however long: the database a few milliseconds at a time on the loop,
 * which has its only connection; files, hashes and JSON in a worker. */

#include "core/audit-private.h"

#include "base/audit-line.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/quantity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
        BATCH_ROWS = 2000,
        SLICE_USEC = 4000,
        WINDOW_MIN = 1000, /* rows that are looked through at once */
        WINDOW_MAX = 1 << 22,
};

char *audit_directory(const Manager *m)
{
        return g_build_filename(m->config->state_directory, "audit", NULL);
}

char *audit_segment_path(const Manager *m, const AuditSegment *segment)
{
        return g_strdup_printf("%s/audit/%012" PRIu64 "-%012" PRIu64 ".jsonl",
                               m->config->state_directory, segment->first_seq, segment->last_seq);
}

/* -- beginning and end ------------------------------------------------------------------------- */

static int charge(Manager *m, uid_t uid, Fault *f)
{
        AuditKeeper *keeper = m->audit;
        gpointer key = GUINT_TO_POINTER(uid);
        guint n = GPOINTER_TO_UINT(g_hash_table_lookup(keeper->readers, key));

        if (n >= AUDIT_READERS_PER_UID_MAX || keeper->n_readers >= AUDIT_READERS_MAX)
                return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                 "the audit trail is being read %u times already; wait for one to "
                                 "end",
                                 n >= AUDIT_READERS_PER_UID_MAX ? n : keeper->n_readers);
        (void) g_hash_table_insert(keeper->readers, key, GUINT_TO_POINTER(n + 1));
        keeper->n_readers++;
        return 0;
}

static void discharge(Manager *m, uid_t uid)
{
        AuditKeeper *keeper = m->audit;
        gpointer key = GUINT_TO_POINTER(uid);
        guint n = GPOINTER_TO_UINT(g_hash_table_lookup(keeper->readers, key));

        if (n > 1)
                (void) g_hash_table_insert(keeper->readers, key, GUINT_TO_POINTER(n - 1));
        else
                (void) g_hash_table_remove(keeper->readers, key);
        keeper->n_readers--;
}

static AuditWalk *walk_new(Manager *m, uid_t uid)
{
        AuditWalk *w = g_new0(AuditWalk, 1);

        *w = (AuditWalk){.manager = m,
                         .uid = uid,
                         .fd = -1,
                         .turned_fd = -1,
                         .window = BATCH_ROWS,
                         .batch = audit_batch_new(),
                         .paths = g_ptr_array_new_with_free_func(g_free),
                         .last = {.hash = AUDIT_HASH_OF_NONE}};
        return w;
}

static void walk_free(gpointer data)
{
        AuditWalk *w = data;

        for (size_t i = 0; i < G_N_ELEMENTS(w->strings); i++)
                g_free(w->strings[i]);
        (void) close_fd(w->fd);
        (void) close_fd(w->turned_fd);
        (void) audit_batch_free(w->batch);
        g_ptr_array_unref(w->paths);
        g_clear_pointer(&w->segments, g_array_unref);
        g_clear_pointer(&w->heads, g_array_unref);
        g_clear_pointer(&w->ends, g_array_unref);
        if (w->lines)
                (void) g_string_free(w->lines, TRUE);
        g_free(w->wrong);
        g_free(w);
}

static void end_walk(AuditWalk *w, int r, const Fault *f)
{
        Manager *m = w->manager;

        discharge(m, w->uid);
        if (w->export_done)
                w->export_done(w->is_turned ? w->turned_fd : w->fd, r, f, w->userdata);
        else
                w->verify_done(r >= 0 && !w->wrong, w->last.seq, w->wrong ? w->wrong : w->last.hash,
                               r, f, w->userdata);
        walk_free(w);
        manager_end_operation(m);
}

/* -- the table, on the loop -----------------------------------------------------------------------
 */

static void move_cursor(AuditWalk *w, uint64_t first, uint64_t last, guint rows, guint wanted)
{
        bool is_cut_short = rows == wanted;

        if (is_cut_short) {
                const AuditRow *row =
                        &g_array_index(w->batch->rows, AuditRow, w->batch->rows->len - 1);
                w->cursor = w->is_descending ? row->seq - 1 : row->seq + 1;
        } else {
                w->cursor = w->is_descending ? first - 1 : last + 1;
        }
        w->is_table_done =
                w->is_descending ? w->cursor < w->filter.first_seq : w->cursor > w->filter.last_seq;
}

/* Where few rows match, much is looked through at once, but never for long. */
static int read_window(AuditWalk *w, Fault *f)
{
        AuditFilter window = w->filter;
        guint before = w->batch->rows->len;
        uint64_t begun = now_monotonic_usec();

        if (w->is_descending) {
                window.last_seq = w->cursor;
                window.first_seq = MAX(w->filter.first_seq,
                                       w->cursor >= w->window ? w->cursor - w->window + 1 : 1);
        } else {
                window.first_seq = w->cursor;
                window.last_seq = MIN(w->filter.last_seq, w->cursor + w->window - 1);
        }
        window.limit = MIN(BATCH_ROWS, w->left) - before;
        window.order = w->is_descending ? AUDIT_NEWEST_FIRST : AUDIT_OLDEST;
        int r = store_query_audit(w->manager->store, &window, audit_batch_each, w->batch, f);
        if (r < 0)
                return r;
        uint64_t took = now_monotonic_usec() - begun;
        if (took < SLICE_USEC / 4)
                w->window = MIN(w->window * 2, WINDOW_MAX);
        else if (took > SLICE_USEC)
                w->window = MAX(w->window / 2, WINDOW_MIN);
        move_cursor(w, window.first_seq, window.last_seq, w->batch->rows->len - before,
                    (guint) window.limit);
        return 0;
}

static int read_table(AuditWalk *w, Fault *f)
{
        uint64_t begun = now_monotonic_usec();
        int r = 0;

        while (r == 0 && !w->is_table_done && w->batch->rows->len < BATCH_ROWS &&
               w->batch->rows->len < w->left && now_monotonic_usec() - begun < SLICE_USEC)
                r = read_window(w, f);
        return r;
}

/* The last rows and the head are read at one moment: nothing is written in between. */
static int read_chain(AuditWalk *w, Fault *f)
{
        Manager *m = w->manager;
        int r = store_read_audit_chain(m->store, w->last.seq, !w->has_begun, BATCH_ROWS,
                                       audit_batch_each, w->batch, f);

        w->has_begun = true;
        if (r < 0 || w->batch->rows->len >= BATCH_ROWS)
                return r;
        w->is_table_done = true;
        return store_load_audit_head(m->store, &w->head, f);
}

/* -- from one piece to the next
 * -------------------------------------------------------------------- */

typedef struct Piece {
        AuditWalk *walk; /* NULL once it has gone on */
        int (*run)(void *walk, Fault *f);
} Piece;

static int run_piece(void *request, Fault *f)
{
        Piece *piece = request;

        return piece->run(piece->walk, f);
}

static void free_piece(gpointer data)
{
        Piece *piece = data;

        if (piece->walk)
                walk_free(piece->walk);
        g_free(piece);
}

/* One of all walks that are to go on has a turn in each round of the loop. */
static void go_on(AuditWalk *w)
{
        AuditKeeper *keeper = w->manager->audit;

        g_queue_push_tail(&keeper->waiting, w);
        (void) sd_event_source_set_enabled(keeper->turn, SD_EVENT_ONESHOT);
}

static void piece_done(void *request, int r, const Fault *f, void *userdata)
{
        Piece *piece = request;
        AuditWalk *w = TAKE_PTR(piece->walk);

        (void) userdata;
        audit_batch_clear(w->batch);
        w->segments_done += piece->run == audit_run_segment;
        if (r < 0 || piece->run == audit_run_end)
                end_walk(w, r, f);
        else
                go_on(w);
}

static void submit(AuditWalk *w, int (*run)(void *walk, Fault *f))
{
        Piece *piece = g_new0(Piece, 1);

        *piece = (Piece){w, run};
        (void) workers_submit(w->manager->workers, run_piece, piece_done, piece, free_piece, NULL);
}

/* Reads what comes next, or gives it to a worker. */
static void step(AuditWalk *w)
{
        bool has_segments = w->segments_done < w->segments->len;
        Fault f = {0};
        int r = 0;

        if (audit_walk_is_over(w) || (w->is_table_done && !has_segments)) {
                submit(w, audit_run_end);
                return;
        }
        if (has_segments && (!w->is_descending || w->is_table_done)) {
                submit(w, audit_run_segment);
                return;
        }
        r = w->verifies ? read_chain(w, &f) : read_table(w, &f);
        if (r < 0) {
                end_walk(w, r, &f);
                return;
        }
        submit(w, audit_run_batch);
}

static int on_turn(sd_event_source *source, void *userdata)
{
        Manager *m = userdata;
        AuditWalk *w = g_queue_pop_head(&m->audit->waiting);

        (void) source;
        if (!g_queue_is_empty(&m->audit->waiting))
                (void) sd_event_source_set_enabled(m->audit->turn, SD_EVENT_ONESHOT);
        if (w)
                step(w);
        return 0;
}

/* -- public
 * ------------------------------------------------------------------------------------------ */

int audit_keeper_new(Manager *m, Fault *f)
{
        AuditKeeper *keeper = g_new0(AuditKeeper, 1);

        m->audit = keeper;
        g_queue_init(&keeper->waiting);
        keeper->readers = g_hash_table_new(NULL, NULL);
        keeper->resumed = g_hash_table_new(NULL, NULL);
        int r = sd_event_add_defer(m->event, &keeper->turn, on_turn, m);
        if (r >= 0)
                r = sd_event_source_set_enabled(keeper->turn, SD_EVENT_OFF);
        return r < 0 ? fault_set_errno(f, FAULT_INTERNAL, r, "cannot watch the audit trail") : 0;
}

void audit_keeper_free(Manager *m)
{
        AuditKeeper *keeper = m->audit;

        if (!keeper)
                return;
        g_queue_clear_full(&keeper->waiting, walk_free);
        g_hash_table_unref(keeper->readers);
        g_hash_table_unref(keeper->resumed);
        audit_seal_free(keeper->seal);
        (void) sd_event_source_disable_unref(keeper->turn);
        (void) sd_event_source_disable_unref(keeper->seal_timer);
        (void) sd_event_source_disable_unref(keeper->head_timer);
        g_free(keeper);
        m->audit = NULL;
}

static bool may_have(const AuditFilter *filter, const AuditSegment *segment)
{
        return segment->last_seq >= filter->first_seq && segment->last_usec >= filter->since_usec &&
               (!filter->last_seq || segment->first_seq <= filter->last_seq) &&
               (!filter->until_usec || segment->first_usec <= filter->until_usec);
}

/* Their files as of now, oldest first. */
static int load_segments(AuditWalk *w, Fault *f)
{
        int r = store_load_audit_segments(w->manager->store, &w->segments, f);

        for (guint i = r < 0 ? 0 : w->segments->len; i-- > 0;)
                if (!w->verifies &&
                    !may_have(&w->whole, &g_array_index(w->segments, AuditSegment, i)))
                        (void) g_array_remove_index(w->segments, i);
        for (guint i = 0; r == 0 && i < w->segments->len; i++)
                g_ptr_array_add(w->paths,
                                audit_segment_path(w->manager,
                                                   &g_array_index(w->segments, AuditSegment, i)));
        return r;
}

/* Takes the walk, also on failure. */
static int begin_walk(AuditWalk *w, Fault *f)
{
        Manager *m = w->manager;
        int r = load_segments(w, f);

        if (r == 0 && !w->verifies) {
                r = store_bound_audit(m->store, &w->filter, f);
                w->is_table_done = w->filter.first_seq > w->filter.last_seq;
                w->cursor = w->is_descending ? w->filter.last_seq : w->filter.first_seq;
        }
        if (r == 0)
                r = charge(m, w->uid, f);
        if (r < 0) {
                walk_free(w);
                return r;
        }
        manager_begin_operation(m);
        go_on(w);
        return 0;
}

static int open_output(const Manager *m, int *ret, Fault *f)
{
        *ret = open(m->config->state_directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        return *ret < 0 ? fault_set_errno(f, FAULT_IO, errno,
                                          "cannot make a file for the audit rows")
                        : 0;
}

static void set_filter(AuditWalk *w, const AuditQuery *query)
{
        const char *const texts[] = {query->object, query->kind,  query->sandbox,
                                     query->agent,  query->phase, query->error};

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                w->strings[i] = g_strdup(texts[i]);
        w->whole = (AuditFilter){.object = w->strings[0],
                                 .kind = w->strings[1],
                                 .sandbox = w->strings[2],
                                 .agent = w->strings[3],
                                 .phase = w->strings[4],
                                 .error = w->strings[5],
                                 .has_caller_uid = query->has_caller_uid,
                                 .caller_uid = query->caller_uid,
                                 .since_usec = query->since_usec,
                                 .until_usec = query->until_usec,
                                 .last_seq = query->before_seq ? query->before_seq - 1 : 0};
}

int audit_export(Manager *m, const Caller *caller, const AuditQuery *query, AuditExportDone done,
                 void *userdata, Fault *f)
{
        int r = 0;

        if (query->until_usec && query->until_usec < query->since_usec)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "nothing is until a time before the one since which it is to be");
        if (query->before_seq == 1)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "no row is before row 1");
        if (!caller_is_admin(caller) && query->has_caller_uid && query->caller_uid != caller->uid)
                return fault_set(f, FAULT_DENIED,
                                 "only root may ask for the audit rows of another user's calls");
        AuditWalk *w = walk_new(m, caller->uid);
        set_filter(w, query);
        w->whole.has_reader_uid = !caller_is_admin(caller);
        w->whole.reader_uid = caller->uid;
        w->filter = w->whole;
        w->left = query->limit ? query->limit : UINT64_MAX;
        w->is_descending = query->limit > 0 || query->is_newest_first;
        w->is_turned = w->is_descending && !query->is_newest_first;
        w->lines = g_string_new(NULL);
        w->ends = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        w->export_done = done;
        w->userdata = userdata;
        r = open_output(m, &w->fd, f);
        if (r == 0 && w->is_turned)
                r = open_output(m, &w->turned_fd, f);
        if (r < 0) {
                walk_free(w);
                return r;
        }
        return begin_walk(w, f);
}

static gint compare_heads(gconstpointer a, gconstpointer b)
{
        const AuditHead *one = a, *other = b;

        return one->seq < other->seq ? -1 : one->seq > other->seq;
}

static int check_heads(const AuditHead *heads, size_t n, Fault *f)
{
        if (n > AUDIT_HEADS_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "%zu heads are too many: at most %d can be compared at once", n,
                                 AUDIT_HEADS_MAX);
        for (size_t i = 0; i < n; i++)
                if (heads[i].seq == 0 || strlen(heads[i].hash) != SHA256_HEX_SIZE - 1 ||
                    strspn(heads[i].hash, "0123456789abcdef") != SHA256_HEX_SIZE - 1)
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "a head is the number of a row, from 1 on, and the 64 "
                                         "hexadecimal digits of its hash");
        return 0;
}

int audit_verify(Manager *m, const Caller *caller, const AuditHead *heads, size_t n_heads,
                 AuditVerifyDone done, void *userdata, Fault *f)
{
        int r = check_heads(heads, n_heads, f);

        if (r < 0)
                return r;
        AuditWalk *w = walk_new(m, caller->uid);
        w->verifies = true;
        w->left = UINT64_MAX;
        w->heads = g_array_new(FALSE, FALSE, sizeof(AuditHead));
        if (n_heads > 0)
                (void) g_array_append_vals(w->heads, heads, (guint) n_heads);
        g_array_sort(w->heads, compare_heads);
        w->verify_done = done;
        w->userdata = userdata;
        return begin_walk(w, f);
}
