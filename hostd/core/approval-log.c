/* SPDX-License-Identifier: MIT */

/* What was printed while something was applied, or run in check mode: a file each, below approvals/
 * in the state directory. It goes with its approval. */

#include "core/approval-private.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static char *log_path(const Approval *a, const char *kind)
{
        return g_strdup_printf("%s/approvals/%s.%s", a->manager->config->state_directory,
                               a->row->id.text, kind);
}

int approval_make_log(const Approval *a, const char *kind, int *ret_fd, Fault *f)
{
        g_autofree char *path = log_path(a, kind);
        /* Its hash is made when it is written. */
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot write '%s'", path);
        *ret_fd = fd;
        return 0;
}

static int open_log(const Approval *a, const char *kind, const char *none, int *ret_fd, Fault *f)
{
        g_autofree char *path = log_path(a, kind);
        int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

        if (fd < 0 && errno == ENOENT)
                return fault_set(f, FAULT_NOT_FOUND, "%s for approval %s", none, a->row->id.text);
        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot read '%s'", path);
        *ret_fd = fd;
        return 0;
}

int approval_open_log(const Approval *a, int *ret_fd, Fault *f)
{
        return open_log(a, APPROVAL_LOG, "nothing was printed yet", ret_fd, f);
}

int approval_open_check_log(const Approval *a, const Caller *caller, int *ret_fd, Fault *f)
{
        if (!caller_is_admin(caller) && !caller->is_approver)
                return fault_set(f, FAULT_DENIED,
                                 "what was printed in check mode shows what the hosts hold: only "
                                 "approvers and root can read it");
        return open_log(a, APPROVAL_CHECK_LOG, "nothing was printed in check mode", ret_fd, f);
}

void approval_remove_logs(const Approval *a)
{
        static const char *const kinds[] = {APPROVAL_LOG, APPROVAL_CHECK_LOG};

        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
                g_autofree char *path = log_path(a, kinds[i]);

                /* What stays is removed at the next start. */
                if (unlink(path) < 0 && errno != ENOENT)
                        log_warning("'%s' cannot be removed: %s", path, g_strerror(errno));
        }
}

void approval_tidy_logs(const Manager *m)
{
        g_autofree char *directory =
                g_build_filename(m->config->state_directory, "approvals", NULL);
        g_autoptr(GDir) files = g_dir_open(directory, 0, NULL);

        for (const char *name; files && (name = g_dir_read_name(files));) {
                g_autofree char *id = g_strndup(name, ID_LENGTH);
                g_autofree char *path = g_build_filename(directory, name, NULL);

                if (!g_hash_table_contains(m->objects[OBJECT_APPROVAL], id) && unlink(path) < 0)
                        log_warning("'%s', which is no approval's, cannot be removed: %s", path,
                                    g_strerror(errno));
        }
}
