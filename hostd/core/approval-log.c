/* SPDX-License-Identifier: MIT */

/* What was printed while something was applied: a file each, below approvals/ in the state
 * directory. It goes with its approval. */

#include "core/approval-private.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SUFFIX ".log"

static char *log_path(const Approval *a)
{
        return g_strdup_printf("%s/approvals/%s" SUFFIX, a->manager->config->state_directory,
                               a->row->id.text);
}

int approval_make_log(const Approval *a, int *ret_fd, Fault *f)
{
        g_autofree char *path = log_path(a);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot write '%s'", path);
        *ret_fd = fd;
        return 0;
}

int approval_open_log(const Approval *a, int *ret_fd, Fault *f)
{
        g_autofree char *path = log_path(a);
        int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

        if (fd < 0 && errno == ENOENT)
                return fault_set(f, FAULT_NOT_FOUND, "nothing was printed for approval %s yet",
                                 a->row->id.text);
        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot read '%s'", path);
        *ret_fd = fd;
        return 0;
}

void approval_remove_log(const Approval *a)
{
        g_autofree char *path = log_path(a);

        /* What stays is removed at the next start. */
        if (unlink(path) < 0 && errno != ENOENT)
                log_warning("'%s' cannot be removed: %s", path, g_strerror(errno));
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
