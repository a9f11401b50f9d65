/* SPDX-License-Identifier: MIT */
#include "core/diff.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/quantity.h"
#include "core/internal.h"
#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* One side: the files of its chain, the top first. */
typedef struct Side {
        char *name;
        GPtrArray *paths;
        GArray *formats; /* of ImageFormat */
        Id snapshot_id;  /* whose reader count is held, or empty */
} Side;

typedef struct Diff {
        Manager *manager;
        Side from, to;
        Id hidden_id;
        Sandbox *held; /* whose operation is held, or NULL */
        int document_fd;
        AuditEntry *entry;
        DiffDone done;
        void *userdata;
        int result;
        Fault fault;
} Diff;

/* What the worker sees. */
typedef struct DiffRequest {
        Diff *diff; /* its sides and document do not change while it runs */
        const char *program;
        uint64_t deadline_usec;
        uid_t uid;
        gid_t gid;
} DiffRequest;

static void side_done(Side *side)
{
        g_free(side->name);
        g_clear_pointer(&side->paths, g_ptr_array_unref);
        g_clear_pointer(&side->formats, g_array_unref);
}

static void diff_free(Diff *q)
{
        side_done(&q->from);
        side_done(&q->to);
        (void) close_fd(q->document_fd);
        g_free(q);
}

/* -- in a worker ---------------------------------------------------------------------------- */

static int open_side(const Side *side, GArray *fds, GString *argument, Fault *f)
{
        for (guint i = 0; i < side->paths->len; i++) {
                const char *path = side->paths->pdata[i];
                int fd = open(path, O_RDONLY | O_CLOEXEC);
                if (fd < 0)
                        return fault_set_errno(f, FAULT_DIFF_FAILED, errno,
                                               "cannot open layer '%s'", path);
                (void) g_array_append_val(fds, fd);
                g_string_append_printf(
                        argument, "%s%u:%s", i ? "," : "", 3 + fds->len - 1,
                        image_format_to_string(g_array_index(side->formats, ImageFormat, i)));
        }
        return 0;
}

static void close_one(gpointer data)
{
        (void) close_fd(*(int *) data);
}

static int diff_run(void *request, Fault *f)
{
        DiffRequest *q = request;
        g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
        g_autoptr(GString) old = g_string_new(NULL), new = g_string_new(NULL);
        Fault why = {0};
        int r;

        g_array_set_clear_func(fds, close_one);
        r = open_side(&q->diff->from, fds, old, f);
        if (r == 0)
                r = open_side(&q->diff->to, fds, new, f);
        if (r < 0)
                return r;
        const char *const argv[] = {
                q->program,  "--json",         "--from-name", q->diff->from.name,
                "--to-name", q->diff->to.name, "--old",       old->str,
                "--new",     new->str,         NULL};
        ChildSpec spec = {.argv = argv,
                          .deadline_usec = q->deadline_usec,
                          .stdout_fd = q->diff->document_fd,
                          .fds = (const int *) (const void *) fds->data,
                          .n_fds = fds->len,
                          .uid = q->uid,
                          .gid = q->gid};
        r = child_run(&spec, &why);
        if (r == 0)
                return 0;
        return fault_set(f, why.code == FAULT_IO ? FAULT_DIFF_FAILED : why.code, "%s", why.message);
}

/* -- the loop's side ------------------------------------------------------------------------ */

static void release(const Diff *q, const Side *side)
{
        Snapshot *snapshot = snapshot_by_id(q->manager, side->snapshot_id.text);

        if (snapshot)
                snapshot->readers--;
}

static void answer(Diff *q)
{
        Manager *m = q->manager;

        release(q, &q->from);
        release(q, &q->to);
        if (q->result >= 0 && lseek(q->document_fd, 0, SEEK_SET) < 0)
                q->result =
                        fault_set_errno(&q->fault, FAULT_IO, errno, "cannot rewind the document");
        (void) audit_end(q->entry, q->result, &q->fault);
        q->done(q->document_fd, q->result, &q->fault, q->userdata);
        if (q->held)
                sandbox_end_operation(q->held);
        manager_end_operation(m);
        diff_free(q);
}

static void merged(int r, const Fault *f, void *userdata)
{
        Diff *q = userdata;

        /* The document is as true without it; the layer is merged at the next chance. */
        if (r < 0)
                log_warning("the layer of a diff could not be merged yet: %s", f->message);
        q->held->needs_reconcile = r < 0;
        answer(q);
}

static void compared(void *request, int r, const Fault *f, void *userdata)
{
        Diff *q = userdata;
        Snapshot *hidden = snapshot_by_id(q->manager, q->hidden_id.text);

        (void) request;
        q->result = r;
        q->fault = *f;
        if (hidden)
                snapshot_merge_hidden(hidden, merged, q);
        else
                answer(q);
}

static void compare(Diff *q)
{
        const Manager *m = q->manager;
        DiffRequest *request = g_new0(DiffRequest, 1);

        *request = (DiffRequest){.diff = q,
                                 .program = m->config->diff_program,
                                 .deadline_usec = m->config->diff_timeout_usec,
                                 .uid = m->diff_uid,
                                 .gid = m->diff_gid};
        (void) workers_submit(m->workers, diff_run, compared, request, g_free, q);
}

static void add_layer(Side *side, char *path, ImageFormat format)
{
        g_ptr_array_add(side->paths, path);
        (void) g_array_append_val(side->formats, format);
}

/* The chain from `snapshot` down, with `layer` (0: none) on top; the first disk, which is what
 * boots. */
static void fill_side(Side *side, const Sandbox *s, unsigned layer, const Snapshot *snapshot)
{
        const TemplateDiskRow *base = s->template->row->disks->pdata[0];
        const char *id = s->row->id.text;

        side->paths = g_ptr_array_new_with_free_func(g_free);
        side->formats = g_array_new(FALSE, FALSE, sizeof(ImageFormat));
        if (layer)
                add_layer(side, sandbox_layer_path(s->manager, id, layer, base->target),
                          IMAGE_QCOW2);
        for (; snapshot; snapshot = snapshot_by_id(s->manager, snapshot->row->parent_id.text))
                add_layer(side,
                          sandbox_layer_path(s->manager, id, snapshot->row->layer, base->target),
                          IMAGE_QCOW2);
        add_layer(side, g_strdup(base->path),
                  g_str_equal(base->format, "raw") ? IMAGE_RAW : IMAGE_QCOW2);
}

static bool is_now(const Side *side)
{
        return g_str_equal(side->name, POINT_NOW);
}

/* A point that does not move. */
static int fill_point(Side *side, const Sandbox *s, Fault *f)
{
        Snapshot *snapshot = NULL;

        if (is_now(side))
                return 0;
        if (!g_str_equal(side->name, POINT_TEMPLATE)) {
                snapshot = snapshot_find(s, side->name);
                if (!snapshot)
                        return fault_set(
                                f, FAULT_NOT_FOUND,
                                "sandbox '%s' has no snapshot '%.80s'; 'fluidctl snapshots "
                                "%s' shows them",
                                s->row->name, side->name, s->row->name);
                snapshot->readers++;
                side->snapshot_id = snapshot->row->id;
        }
        fill_side(side, s, 0, snapshot);
        return 0;
}

/* "now" is what the hidden point holds, or the head's own layer while nothing writes to it. */
static void fill_now(Diff *q, const Sandbox *s, const Snapshot *hidden)
{
        unsigned layer = hidden ? 0 : s->row->layer;
        const Snapshot *below = hidden ? hidden : snapshot_head(s);

        if (is_now(&q->from))
                fill_side(&q->from, s, layer, below);
        if (is_now(&q->to))
                fill_side(&q->to, s, layer, below);
}

static void cut(Snapshot *hidden, int r, const Fault *f, void *userdata)
{
        Diff *q = userdata;

        if (r < 0) {
                compared(NULL, r, f, q);
                return;
        }
        q->hidden_id = hidden->row->id;
        fill_now(q, q->held, hidden);
        compare(q);
}

static int begin(Diff *q, Sandbox *s, Fault *f)
{
        int r = fill_point(&q->from, s, f);

        if (r == 0)
                r = fill_point(&q->to, s, f);
        if (r < 0)
                return r;
        if (is_now(&q->from) || is_now(&q->to)) {
                r = sandbox_begin_operation(s, "compared", f);
                if (r < 0)
                        return r;
                q->held = s;
                if (s->agent)
                        return snapshot_cut_hidden(s, cut, q, f);
                fill_now(q, s, NULL);
        }
        compare(q);
        return 0;
}

static Json *points_detail(const char *from, const char *to)
{
        Json *detail = json_object_new_object();

        (void) json_object_object_add(detail, "from", json_object_new_string(from));
        (void) json_object_object_add(detail, "to", json_object_new_string(to));
        return detail;
}

int diff_start(Sandbox *s, Caller *caller, const char *from, const char *to, DiffDone done,
               void *userdata, Fault *f)
{
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        Manager *m = s->manager;
        int r = manager_admits_work(m, f);

        if (r < 0)
                return r;
        if (s->state != SANDBOX_READY && s->state != SANDBOX_STARTING &&
            s->state != SANDBOX_STOPPED && s->state != SANDBOX_FAILED)
                return fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' is %s: no diff now",
                                 s->row->name, sandbox_state_to_string(s->state));
        autofd document = open(m->config->state_directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (document < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make a file for the document");
        Diff *q = g_new0(Diff, 1);
        *q = (Diff){.manager = m,
                    .from.name = g_strdup(from),
                    .to.name = g_strdup(to),
                    .document_fd = TAKE_FD(document),
                    .done = done,
                    .userdata = userdata};
        manager_begin_operation(m);
        r = audit_begin(m, caller, "sandbox.diff", path, points_detail(from, to), &q->entry, f);
        if (r == 0)
                r = begin(q, s, f);
        if (r < 0) {
                (void) audit_end(q->entry, r, f);
                release(q, &q->from);
                release(q, &q->to);
                if (q->held)
                        sandbox_end_operation(s);
                manager_end_operation(m);
                diff_free(q);
        }
        return r;
}
