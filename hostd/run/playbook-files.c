/* SPDX-License-Identifier: MIT */
#include "run/playbook-files.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/playbook-archive.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Unpacking {
        Archive *archive;
        int top;
        uint64_t left_bytes;
        unsigned left_files;
        bool has_playbook;
} Unpacking;

/* The directory of a file, by the one above it; made where it is not there. */
static int open_directory(int top, char *const *parts, guint n, Fault *f)
{
        autofd fd = fcntl(top, F_DUPFD_CLOEXEC, 3);

        for (guint i = 0; fd >= 0 && i < n; i++) {
                if (mkdirat(fd, parts[i], 0700) < 0 && errno != EEXIST)
                        break;
                autofd below =
                        openat(fd, parts[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (below < 0)
                        break;
                (void) close_fd(fd);
                fd = TAKE_FD(below);
                if (i + 1 == n)
                        return TAKE_FD(fd);
        }
        if (fd >= 0 && n == 0)
                return TAKE_FD(fd);
        return fault_set_errno(f, FAULT_IO, errno, "cannot make a directory of the playbook");
}

static int copy_content(Unpacking *u, int fd, Fault *f)
{
        char bytes[65536];
        ssize_t n;

        while ((n = archive_read(u->archive, bytes, sizeof bytes, f)) > 0) {
                int r = write_all(fd, bytes, (size_t) n);
                if (r < 0)
                        return fault_set_errno(f, FAULT_IO, r, "cannot write the playbook");
        }
        return (int) n;
}

static int unpack_file(Unpacking *u, const ArchiveEntry *e, char *const *parts, guint n, Fault *f)
{
        if (e->size > u->left_bytes)
                return fault_set(f, FAULT_LIMITS_EXCEEDED, "the archive is larger than %d GiB",
                                 (int) (PLAYBOOK_BYTES_MAX >> 30));
        u->left_bytes -= e->size;
        int parent = open_directory(u->top, parts, n - 1, f);
        if (parent < 0)
                return parent;
        autofd fd = openat(parent, parts[n - 1],
                           O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        int error = errno;
        (void) close_fd(parent);
        if (fd < 0 && error == EEXIST)
                return playbook_member_refuse(e->name, "twice", f);
        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, error, "cannot write the playbook");
        u->has_playbook |= g_str_equal(e->name, PLAYBOOK_MAIN_FILE);
        return copy_content(u, fd, f);
}

static int unpack_entry(Unpacking *u, const ArchiveEntry *e, Fault *f)
{
        g_auto(GStrv) parts = NULL;
        int r = playbook_member_check(e, &parts, f);

        if (r < 0)
                return r;
        if (u->left_files-- == 0)
                return fault_set(f, FAULT_LIMITS_EXCEEDED, "the archive has more than %d files",
                                 PLAYBOOK_FILES_MAX);
        guint n = g_strv_length(parts);
        if (e->kind != ENTRY_DIRECTORY)
                return unpack_file(u, e, parts, n, f);
        int fd = open_directory(u->top, parts, n, f);
        if (fd >= 0)
                (void) close_fd(fd);
        return MIN(fd, 0);
}

int playbook_files_unpack(int archive_fd, int directory_fd, Fault *f)
{
        g_autoptr(Archive) archive = archive_new(archive_fd);
        Unpacking u = {archive, directory_fd, PLAYBOOK_BYTES_MAX, PLAYBOOK_FILES_MAX, false};
        const ArchiveEntry *entry;
        int r;

        while ((r = archive_next(archive, &entry, f)) > 0) {
                r = unpack_entry(&u, entry, f);
                if (r < 0)
                        return r;
        }
        if (r == 0)
                r = playbook_archive_check_rest(archive_fd, f);
        if (r == 0 && !u.has_playbook)
                r = fault_set(f, FAULT_INVALID_ARGUMENT, "the archive has no " PLAYBOOK_MAIN_FILE);
        return r;
}
