/* SPDX-License-Identifier: MIT */

/* A playbook that somebody wrote by hand. Its archive is copied in a worker, checked member by
 * member without being unpacked, and kept as it is; a daemon that is killed meanwhile leaves a file
 * without a row, which is removed at the next start.
 *
 * It may run what it likes on the host that runs Ansible: lookups, connection: local, delegate_to.
 * So nothing that is good enough for a derived one is for it: it is never applied unless apply.conf
 * says so (core/approval-playbook.c), never run in check mode before somebody has read it, what it
 * says itself to leave out does not count, and while it is verified nothing else is
 * (core/playbook-verify.c). */

#include "core/playbook-private.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/playbook-archive.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Import {
        Manager *manager;
        PlaybookRow *row;
        AuditEntry *entry;
        int from; /* what the caller gave */
        char *path, *directory;
        PlaybookDone done;
        void *userdata;
} Import;

static void import_free(gpointer data)
{
        Import *q = data;

        (void) close_fd(q->from);
        (void) playbook_row_free(q->row);
        q->entry = audit_discard(q->entry);
        g_free(q->path);
        g_free(q->directory);
        g_free(q);
}

/* -- in a worker ------------------------------------------------------------------------------- */

/* Of a file that its owner may be writing to: what is copied is what counts. */
static int copy(const Import *q, int to, uint64_t *ret_size, Fault *f)
{
        g_autofree char *bytes = g_malloc(1 << 20);
        uint64_t size = 0;
        ssize_t n;

        while ((n = pread(q->from, bytes, 1 << 20, (off_t) size)) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return fault_set_errno(f, FAULT_IO, errno, "the archive cannot be read");
                size += (uint64_t) n;
                if (size > PLAYBOOK_ARCHIVE_MAX)
                        return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                         "the archive is larger than %u MiB",
                                         (unsigned) (PLAYBOOK_ARCHIVE_MAX >> 20));
                int r = write_all(to, bytes, (size_t) n);
                if (r < 0)
                        return fault_set_errno(f, FAULT_IO, r, "the archive cannot be copied");
        }
        if (size == 0)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "the archive is empty");
        *ret_size = size;
        return 0;
}

/* What tar(1) makes unless it is told otherwise is of a form of its own. */
static int check_archive(int fd, Fault *f)
{
        Fault why = {0};
        int r = playbook_archive_check(fd, &why);

        if (r >= 0)
                return 0;
        return why.code == FAULT_IO
                       ? fault_set(
                                 f, FAULT_INVALID_ARGUMENT,
                                 "%s; it has to be one of ustar or pax: tar --format=pax makes it",
                                 why.message)
                       : fault_set(f, why.code, "%s", why.message);
}

static int run(void *request, Fault *f)
{
        Import *q = request;
        char sha256[SHA256_HEX_SIZE];
        autofd fd = open(q->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make a file for the playbook");
        int r = copy(q, fd, &q->row->size_bytes, f);
        if (r == 0 && (lseek(fd, 0, SEEK_SET) < 0))
                r = fault_set_errno(f, FAULT_IO, errno, "the archive cannot be read");
        if (r == 0)
                r = check_archive(fd, f);
        if (r == 0)
                r = file_sha256(fd, sha256, f);
        if (r < 0)
                return r;
        q->row->sha256 = g_strdup(sha256);
        if (fsync(fd) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "the archive cannot be written");
        r = playbook_give_name(fd, q->path, f);
        return r < 0 ? r : sync_path(q->directory, f);
}

/* -- the loop's side --------------------------------------------------------------------------- */

static int commit(Import *q, Fault *f)
{
        Store *store = q->manager->store;
        Json *detail = json_object_new_object();
        int r = store_begin(store, f);

        (void) json_object_object_add(detail, "archive", json_object_new_string(q->row->sha256));
        audit_set_result(q->entry, detail);
        if (r == 0)
                r = store_put_playbook(store, q->row, f);
        if (r == 0)
                r = audit_write_end(q->entry, 0, NULL, f);
        if (r == 0)
                r = store_commit(store, f);
        if (r < 0)
                store_rollback(store);
        return r;
}

static void on_copied(void *request, int r, const Fault *f, void *userdata)
{
        Import *q = request;
        Manager *m = q->manager;
        Playbook *p = NULL;
        Fault why = fault_copy(f);

        (void) userdata;
        m->is_importing = false;
        if (r >= 0)
                r = commit(q, &why);
        if (r < 0) {
                (void) unlink(q->path);
                q->entry = audit_end(q->entry, r, &why);
        } else {
                p = playbook_add(m, g_steal_pointer(&q->row));
        }
        q->done(p, r, &why, q->userdata);
        manager_end_operation(m);
}

static int check(Sandbox *s, const PlaybookImportSpec *spec, int fd, Fault *f)
{
        Manager *m = s->manager;
        int r = manager_admits_work(m, f);

        if (r == 0)
                r = playbook_check_new(s, spec->name, spec->from, spec->to, f);
        if (r == 0)
                r = playbook_check_point(s, spec->from, f);
        if (r == 0 && g_str_equal(spec->to, POINT_TEMPLATE))
                r = fault_set(
                        f, FAULT_INVALID_ARGUMENT,
                        "sandbox '%s' has no snapshot of what the playbook leads to: take one "
                        "and name it",
                        s->row->name);
        if (r == 0)
                r = playbook_check_point(s, spec->to, f);
        if (r == 0 && !file_never_blocks(fd))
                r = fault_set(f, FAULT_INVALID_ARGUMENT,
                              "the descriptor has to be that of a regular file, and not on FUSE");
        if (r == 0 && m->is_importing)
                r = fault_set(f, FAULT_BUSY,
                              "another playbook is being imported; try again in a moment");
        return r;
}

int playbook_import(Sandbox *s, Caller *caller, const PlaybookImportSpec *given, int fd,
                    PlaybookDone done, void *userdata, Fault *f)
{
        PlaybookImportSpec spec = *given;
        g_autofree char *object = sandbox_bus_path(s->row->id.text);
        Manager *m = s->manager;
        AuditEntry *entry = NULL;

        spec.from = spec.from ? spec.from : POINT_TEMPLATE;
        spec.to = spec.to ? spec.to : sandbox_head_name(s);
        int r = check(s, &spec, fd, f);
        if (r < 0)
                return r;
        g_autoptr(PlaybookRow) row =
                playbook_new_row(s, spec.name, spec.from, spec.to, PLAYBOOK_WRITTEN);
        r = audit_begin(m, caller, "playbook.import", object, playbook_describe(row), &entry, f);
        if (r < 0)
                return r;
        Import *q = g_new0(Import, 1);
        *q = (Import){.manager = m,
                      .entry = entry,
                      .from = fcntl(fd, F_DUPFD_CLOEXEC, 3),
                      .path = playbook_file(m, row->id.text, PLAYBOOK_ARCHIVE),
                      .directory = g_build_filename(m->config->state_directory, "playbooks", NULL),
                      .done = done,
                      .userdata = userdata};
        q->row = g_steal_pointer(&row);
        m->is_importing = true;
        manager_begin_operation(m);
        (void) workers_submit(m->workers, run, on_copied, q, import_free, NULL);
        return 0;
}
