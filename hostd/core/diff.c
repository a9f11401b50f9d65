/* SPDX-License-Identifier: MIT */
#include "core/diff-private.h"

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/log.h"
#include "base/quantity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Bytes of a document that are always allowed. */
#define SMALL_OUTPUT (UINT64_C(16) << 20)

static void side_disk_free(gpointer data)
{
        SideDisk *disk = data;

        g_free(disk->target);
        g_ptr_array_unref(disk->paths);
        g_array_unref(disk->formats);
        g_free(disk);
}

static void side_done(Side *side)
{
        g_free(side->name);
        g_clear_pointer(&side->disks, g_ptr_array_unref);
}

static void diff_free(Diff *q)
{
        side_done(&q->from);
        side_done(&q->to);
        g_free(q->path);
        g_strfreev(q->options);
        (void) close_fd(q->document_fd);
        g_free(q);
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

/* Where what was made of it is to be, it may need the point as well: that stays, and is not merged
 * away. */
static void commit_job(Diff *q, Snapshot **hidden)
{
        if (q->result < 0 || !q->job.commit)
                return;
        q->result = q->job.commit(*hidden, q->entry, q->userdata, &q->fault);
        if (q->result < 0)
                return;
        q->entry = audit_discard(q->entry);
        *hidden = NULL;
}

static void compared(void *request, int r, const Fault *f, void *userdata)
{
        Diff *q = userdata;
        Snapshot *hidden = snapshot_by_id(q->manager, q->hidden_id.text);

        (void) request;
        q->result = r;
        q->fault = *f;
        commit_job(q, &hidden);
        if (hidden)
                snapshot_merge_hidden(hidden, merged, q);
        else
                answer(q);
}

static void compare_now(Diff *q)
{
        const Manager *m = q->manager;
        DiffRequest *request = g_new0(DiffRequest, 1);

        *request = (DiffRequest){
                .diff = q,
                .deadline_usec = m->config->diff_timeout_usec,
                .guestfs_deadline_usec =
                        m->config->diff_timeout_usec + m->config->diff_guestfs_timeout_usec,
                .emulates = g_str_equal(m->config->virt_type, "qemu"),
        };
        (void) workers_submit(m->workers, diff_run, compared, request, g_free, q);
}

static void prepared(int r, const Fault *f, void *userdata)
{
        if (r < 0)
                compared(NULL, r, f, userdata);
        else
                compare_now(userdata);
}

/* Nobody writes to either point any more. */
static int compare(Diff *q, Fault *f)
{
        if (q->job.prepare)
                return q->job.prepare(q->userdata, prepared, q, f);
        compare_now(q);
        return 0;
}

static void add_layer(SideDisk *disk, char *path, ImageFormat format)
{
        g_ptr_array_add(disk->paths, path);
        (void) g_array_append_val(disk->formats, format);
}

/* The chain of one disk from `snapshot` down, with `layer` (0: none) on top. */
static SideDisk *new_disk(const Sandbox *s, const TemplateDiskRow *base, unsigned layer,
                          const Snapshot *snapshot)
{
        const char *id = s->row->id.text;
        SideDisk *disk = g_new(SideDisk, 1);

        *disk = (SideDisk){g_strdup(base->target), g_ptr_array_new_with_free_func(g_free),
                           g_array_new(FALSE, FALSE, sizeof(ImageFormat))};
        if (layer)
                add_layer(disk, sandbox_layer_path(s->manager, id, layer, base->target),
                          IMAGE_QCOW2);
        for (; snapshot; snapshot = snapshot_by_id(s->manager, snapshot->row->parent_id.text))
                add_layer(disk,
                          sandbox_layer_path(s->manager, id, snapshot->row->layer, base->target),
                          IMAGE_QCOW2);
        add_layer(disk, g_strdup(base->path),
                  g_str_equal(base->format, "raw") ? IMAGE_RAW : IMAGE_QCOW2);
        return disk;
}

static void fill_side(Side *side, const Sandbox *s, unsigned layer, const Snapshot *snapshot)
{
        const GPtrArray *disks = s->template->row->disks;

        side->disks = g_ptr_array_new_with_free_func(side_disk_free);
        for (guint i = 0; i < disks->len; i++)
                g_ptr_array_add(side->disks, new_disk(s, disks->pdata[i], layer, snapshot));
}

static bool is_now(const Side *side)
{
        return side->name && g_str_equal(side->name, POINT_NOW);
}

/* A point that does not move. */
static int fill_point(Side *side, const Sandbox *s, Fault *f)
{
        Snapshot *snapshot = NULL;

        if (!side->name || is_now(side))
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
        Fault why = {0};

        if (r < 0) {
                compared(NULL, r, f, q);
                return;
        }
        q->hidden_id = hidden->row->id;
        fill_now(q, q->held, hidden);
        r = compare(q, &why);
        if (r < 0)
                compared(NULL, r, &why, q);
}

static int begin(Diff *q, Sandbox *s, Fault *f)
{
        const Sandbox *from = q->job.from_sandbox ? q->job.from_sandbox : s;
        int r = fill_point(&q->from, from, f);

        if (r == 0)
                r = fill_point(&q->to, s, f);
        if (r < 0)
                return r;
        if (is_now(&q->from) || is_now(&q->to)) {
                r = sandbox_begin_operation(s, "compared", f);
                if (r < 0)
                        return r;
                q->held = s;
                if (s->agent || q->job.keeps_point)
                        return snapshot_cut_hidden(s, q->job.keeps_point, cut, q, f);
                fill_now(q, s, NULL);
        }
        return compare(q, f);
}

static void add_detail(Json *detail, const char *key, const char *text)
{
        if (text)
                (void) json_object_object_add(detail, key, json_object_new_string(text));
}

/* `q` has what was asked for, and becomes this function's. */
static int start(Diff *q, Sandbox *s, Caller *caller, const char *action, Json *detail, Fault *f)
{
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        Manager *m = s->manager;

        sandbox_touch(s);
        manager_begin_operation(m);
        int r = 0;
        if (action)
                r = audit_begin(m, caller, action, path, detail, &q->entry, f);
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

/* What is written stays within the host's limit, and leaves its floor alone unless it is small: to
 * see what fills the disk must not need room on it. */
static int size_limit(Manager *m, uint64_t wanted, uint64_t *ret, Fault *f)
{
        uint64_t most = m->config->diff_output_max_bytes, free_bytes = 0;

        if (wanted > most) {
                g_autofree char *limit = size_format(most);

                return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                 "size_max is at most the host's diff_output_max, %s", limit);
        }
        int r = disk_free_bytes(m->config->state_directory, &free_bytes, f);
        if (r < 0)
                return r;
        uint64_t room = free_bytes - MIN(free_bytes, m->config->disk_floor_bytes);
        *ret = MIN(wanted ? wanted : most, MAX(room, SMALL_OUTPUT));
        return 0;
}

static int prepare(Sandbox *s, const Diff *asked, Diff **ret, Fault *f)
{
        Manager *m = s->manager;
        int r = manager_admits_work(m, f);
        uint64_t size_max = 0;

        if (r < 0)
                return r;
        if (s->state != SANDBOX_READY && s->state != SANDBOX_STARTING &&
            s->state != SANDBOX_STOPPED && s->state != SANDBOX_FAILED)
                return fault_set(f, FAULT_WRONG_STATE,
                                 "sandbox '%s' is %s: its disks cannot be read now", s->row->name,
                                 sandbox_state_to_string(s->state));
        r = size_limit(m, asked->size_max, &size_max, f);
        if (r < 0)
                return r;
        autofd document = open(m->config->state_directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (document < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make a file for the document");
        *ret = g_memdup2(asked, sizeof(*asked));
        (*ret)->manager = m;
        (*ret)->size_max = size_max;
        (*ret)->document_fd = TAKE_FD(document);
        return 0;
}

int diff_start(Sandbox *s, Caller *caller, const DiffSpec *spec, DiffDone done, void *userdata,
               Fault *f)
{
        const Diff asked = {.kind = DIFF_COMPARE,
                            .contents = spec->contents,
                            .done = done,
                            .userdata = userdata};
        Diff *q;

        int r = prepare(s, &asked, &q, f);
        if (r < 0)
                return r;
        q->from.name = g_strdup(spec->from);
        q->to.name = g_strdup(spec->to);
        Json *detail = json_object_new_object();
        add_detail(detail, "from", spec->from);
        add_detail(detail, "to", spec->to);
        if (spec->contents)
                (void) json_object_object_add(detail, "contents", json_object_new_boolean(true));
        return start(q, s, caller, "sandbox.diff", detail, f);
}

int file_at_start(Sandbox *s, Caller *caller, const FileAtSpec *spec, DiffDone done, void *userdata,
                  Fault *f)
{
        const Diff asked = {.kind = spec->is_archive ? DIFF_ARCHIVE : DIFF_CONTENT,
                            .size_max = spec->size_max,
                            .done = done,
                            .userdata = userdata};
        size_t size = strlen(spec->path);
        g_autofree char *path =
                spec->is_escaped ? escape_undo(spec->path, &size) : g_strdup(spec->path);
        Diff *q;

        if (path[0] != '/' || strlen(path) != size)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%.200s' is not an absolute path",
                                 spec->path);
        int r = prepare(s, &asked, &q, f);
        if (r < 0)
                return r;
        q->path = TAKE_PTR(path);
        q->to.name = g_strdup(spec->point);
        Json *detail = json_object_new_object();
        add_detail(detail, "path", spec->path);
        if (spec->is_escaped)
                (void) json_object_object_add(detail, "escaped", json_object_new_boolean(true));
        add_detail(detail, "point", spec->point);
        return start(q, s, caller, spec->is_archive ? "file.extract_at" : "file.read_at", detail,
                     f);
}

int diff_start_job(Sandbox *s, Caller *caller, const DiffJob *job, const char *action, Json *detail,
                   DiffDone done, void *userdata, Fault *f)
{
        Diff asked = {.kind = DIFF_JOB, .job = *job, .done = done, .userdata = userdata};
        Diff *q;

        int r = prepare(s, &asked, &q, f);
        if (r < 0) {
                (void) json_object_put(detail);
                return r;
        }
        q->options = g_strdupv((char **) job->options);
        q->size_max = MIN(q->size_max, job->size_max);
        q->from.name = g_strdup(job->from);
        q->to.name = g_strdup(job->to);
        return start(q, s, caller, action, detail, f);
}
