/* SPDX-License-Identifier: MIT */

/* How a playbook is made: fluid-diff writes it, and the diff that it is made of, into files without
 * a name. They get theirs in the worker; then the row, the point that it leads to where that was
 * "now", and the end of the audit are one transaction. A daemon that is killed before that leaves
 * files, which are removed at the next start, and a hidden point, which is merged away. */

#include "core/playbook-private.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUMMARY_MAX 65536

typedef struct Export {
        Manager *manager;
        PlaybookRow *row;
        char *point;      /* of the sandbox, which "now" becomes; or NULL */
        Sandbox *sandbox; /* which stays as long as its points are held */
        bool is_now;
        int fds[3]; /* of the document, the summary and the history */
        OperationDone prepared;
        void *prepared_userdata;
        char *archive_path, *document_path, *directory;
        PlaybookDone done;
        void *userdata;
        Playbook *playbook;
} Export;

static void export_free(Export *q)
{
        for (size_t i = 0; i < G_N_ELEMENTS(q->fds); i++)
                (void) close_fd(q->fds[i]);
        (void) playbook_row_free(q->row);
        g_free(q->point);
        g_free(q->archive_path);
        g_free(q->document_path);
        g_free(q->directory);
        g_free(q);
}

/* -- in a worker ------------------------------------------------------------------------------- */

static int read_summary(Export *q, Fault *f)
{
        g_autoptr(GString) lines = g_string_new(NULL);
        g_autofree char *text = NULL;
        g_autoptr(Json) list = NULL;
        struct stat st;

        if (fstat(q->fds[1], &st) < 0 || st.st_size > SUMMARY_MAX)
                return fault_set(f, FAULT_DIFF_FAILED, "the summary of the diff is too long");
        text = g_malloc0((size_t) st.st_size + 1);
        if (pread_all(q->fds[1], text, (size_t) st.st_size, 0) < 0 ||
            json_parse(text, (size_t) st.st_size, 2, &list, NULL) < 0 ||
            !json_object_is_type(list, json_type_array))
                return fault_set(f, FAULT_DIFF_FAILED, "the summary of the diff is no list");
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                const char *line = json_object_get_string(json_object_array_get_idx(list, i));
                playbook_add_line(lines, line ? line : "");
        }
        g_free(q->row->summary);
        q->row->summary = g_string_free(TAKE_PTR(lines), FALSE);
        return 0;
}

static int measure(int fd, uint64_t *ret, Fault *f)
{
        struct stat st;

        if (fsync(fd) < 0 || fstat(fd, &st) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot write the playbook");
        if (st.st_size == 0)
                return fault_set(f, FAULT_DIFF_FAILED, "fluid-diff wrote nothing");
        *ret = (uint64_t) st.st_size;
        return 0;
}

static void remove_files(const Export *q)
{
        (void) unlink(q->archive_path);
        (void) unlink(q->document_path);
}

static int finish(int fd, void *userdata, Fault *f)
{
        Export *q = userdata;
        char sha256[SHA256_HEX_SIZE];
        int r = measure(fd, &q->row->size_bytes, f);

        if (r == 0)
                r = measure(q->fds[0], &q->row->document_bytes, f);
        if (r == 0)
                r = read_summary(q, f);
        if (r == 0)
                r = file_sha256(fd, sha256, f);
        if (r < 0)
                return r;
        q->row->sha256 = g_strdup(sha256);
        r = playbook_give_name(fd, q->archive_path, f);
        if (r == 0)
                r = playbook_give_name(q->fds[0], q->document_path, f);
        if (r == 0)
                r = sync_path(q->directory, f);
        if (r < 0)
                remove_files(q);
        return r;
}

/* -- before fluid-diff runs ----------------------------------------------------------------------
 */

/* It has that file already. */
static int copy_history(int from, int to)
{
        char bytes[65536];
        ssize_t n;
        int r = 0;

        for (off_t at = 0; r == 0 && (n = pread(from, bytes, sizeof bytes, at)) > 0; at += n)
                r = write_all(to, bytes, (size_t) n);
        if (r == 0)
                r = n < 0 || lseek(to, 0, SEEK_SET) < 0 ? -errno : 0;
        return r;
}

static void on_history(int fd, int r, const Fault *f, void *userdata)
{
        Export *q = userdata;
        Fault why = fault_copy(f);

        if (r >= 0) {
                r = copy_history(fd, q->fds[2]);
                if (r < 0)
                        r = fault_set_errno(&why, FAULT_IO, r, "the history cannot be written");
        }
        q->prepared(r, &why, q->prepared_userdata);
}

static int prepare(void *userdata, OperationDone done, void *done_userdata, Fault *f)
{
        Export *q = userdata;

        q->prepared = done;
        q->prepared_userdata = done_userdata;
        return playbook_history(q->sandbox, q->row, q->is_now, on_history, q, f);
}

/* -- the loop's side --------------------------------------------------------------------------- */

static int commit(Snapshot *hidden, AuditEntry *entry, void *userdata, Fault *f)
{
        Export *q = userdata;
        Store *store = q->manager->store;
        int r = store_begin(store, f);

        if (r == 0 && hidden)
                r = snapshot_name_hidden(hidden, q->point, f);
        if (r == 0)
                r = store_put_playbook(store, q->row, f);
        if (r == 0)
                r = audit_write_end(entry, 0, NULL, f);
        if (r == 0)
                r = store_commit(store, f);
        if (r < 0) {
                store_rollback(store);
                if (hidden)
                        (void) snapshot_name_hidden(hidden, NULL, NULL);
                remove_files(q);
                return r;
        }
        if (hidden)
                snapshot_publish(hidden);
        q->playbook = playbook_add(q->manager, g_steal_pointer(&q->row));
        return 0;
}

static void exported(int fd, int r, const Fault *f, void *userdata)
{
        Export *q = userdata;

        (void) fd;
        q->done(q->playbook, r, f, q->userdata);
        export_free(q);
}

static int check(Sandbox *s, const PlaybookSpec *spec, Fault *f)
{
        int r = playbook_check_new(s, spec->name, spec->from, spec->to, f);

        if (r == 0 && g_str_equal(spec->from, POINT_NOW))
                r = fault_set(f, FAULT_INVALID_ARGUMENT,
                              "a playbook begins at 'template' or at a snapshot, not at 'now'");
        if (r == 0 && g_str_equal(spec->to, POINT_NOW))
                r = snapshot_check_quota(s, f);
        return r;
}

static PlaybookRow *new_row(const Sandbox *s, const PlaybookSpec *spec)
{
        PlaybookRow *row = playbook_new_row(s, spec->name, spec->from, spec->to, PLAYBOOK_DERIVED);

        row->allows_secrets = spec->allows_secrets;
        row->allows_setuid = spec->allows_setuid;
        if (g_str_equal(spec->to, POINT_NOW)) {
                g_free(row->to_name);
                row->to_name = g_strconcat("playbook-", row->id.text, NULL);
        }
        return row;
}

static int open_files(Export *q, Fault *f)
{
        q->fds[0] = open(q->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (q->fds[0] >= 0)
                q->fds[1] = memfd_create("summary", MFD_CLOEXEC);
        if (q->fds[1] >= 0)
                q->fds[2] = memfd_create("history", MFD_CLOEXEC);
        if (q->fds[0] < 0 || q->fds[1] < 0 || q->fds[2] < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make a file for the playbook");
        return 0;
}

static int start(Export *q, Sandbox *s, Caller *caller, const PlaybookSpec *spec, Fault *f)
{
        const char *options[10] = {"--playbook", "--document", "3", "--summary",
                                   "4",          "--history",  "5"};
        size_t n = 7;

        if (spec->allows_secrets)
                options[n++] = "--allow-secrets";
        if (spec->allows_setuid)
                options[n++] = "--allow-setuid";
        DiffJob job = {.from = spec->from,
                       .to = spec->to,
                       .options = options,
                       .fds = q->fds,
                       .n_fds = G_N_ELEMENTS(q->fds),
                       .size_max = PLAYBOOK_ARCHIVE_MAX,
                       .keeps_point = q->point,
                       .prepare = prepare,
                       .finish = finish,
                       .commit = commit};
        return diff_start_job(s, caller, &job, "playbook.export", playbook_describe(q->row),
                              exported, q, f);
}

int playbook_export(Sandbox *s, Caller *caller, const PlaybookSpec *spec, PlaybookDone done,
                    void *userdata, Fault *f)
{
        Manager *m = s->manager;
        int r = check(s, spec, f);

        if (r < 0)
                return r;
        Export *q = g_new0(Export, 1);
        PlaybookRow *row = new_row(s, spec);
        *q = (Export){.manager = m,
                      .row = row,
                      .point = g_str_equal(spec->to, POINT_NOW) ? g_strdup(row->to_name) : NULL,
                      .sandbox = s,
                      .is_now = g_str_equal(spec->to, POINT_NOW),
                      .fds = {-1, -1, -1},
                      .archive_path = playbook_file(m, row->id.text, PLAYBOOK_ARCHIVE),
                      .document_path = playbook_file(m, row->id.text, PLAYBOOK_DOCUMENT),
                      .directory = g_build_filename(m->config->state_directory, "playbooks", NULL),
                      .done = done,
                      .userdata = userdata};
        r = open_files(q, f);
        if (r == 0)
                r = start(q, s, caller, spec, f);
        if (r < 0)
                export_free(q);
        return r;
}
