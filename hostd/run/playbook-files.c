/* SPDX-License-Identifier: MIT */
#include "run/playbook-files.h"

#include "base/archive.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARTS_MAX 4 /* roles/ROLE/tasks/NAME */

typedef struct Unpacking {
        Archive *archive;
        int top;
        uint64_t left_bytes;
        unsigned left_files;
        bool has_playbook;
} Unpacking;

static int refuse(const char *name, const char *why, Fault *f)
{
        g_autofree char *text = escape_print(name, strlen(name));

        return fault_set(f, FAULT_INVALID_ARGUMENT, "the archive has '%.200s', %s", text, why);
}

static bool is_name(const char *text)
{
        if (!g_ascii_isalnum(*text) || strlen(text) > PLAYBOOK_NAME_MAX)
                return false;
        for (const char *p = text; *p; p++)
                if (!g_ascii_isalnum(*p) && !strchr("._-", *p))
                        return false;
        return true;
}

static bool is_role_directory(const char *name)
{
        static const char *const known[] = {"tasks", "handlers", "defaults", "vars",
                                            "meta",  "files",    "templates"};

        for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
                if (g_str_equal(known[i], name))
                        return true;
        return false;
}

static bool is_top_file(const char *name)
{
        static const char *const known[] = {".yml", ".json", ".md", ".txt"};

        for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
                if (g_str_has_suffix(name, known[i]))
                        return is_name(name);
        return false;
}

/* Whether a playbook has a file, or a directory, whose name has these parts. */
static bool is_known(char *const *parts, bool is_directory)
{
        guint n = g_strv_length((char **) parts);

        if (n == 1 && !is_directory)
                return is_top_file(parts[0]);
        if (n < 1 || n > PARTS_MAX || !g_str_equal(parts[0], "roles"))
                return false;
        if ((n > 1 && !is_name(parts[1])) || (n > 2 && !is_role_directory(parts[2])))
                return false;
        return is_directory ? n < PARTS_MAX : n == PARTS_MAX && is_name(parts[3]);
}

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
                return refuse(e->name, "twice", f);
        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, error, "cannot write the playbook");
        u->has_playbook |= g_str_equal(e->name, "playbook.yml");
        return copy_content(u, fd, f);
}

static int unpack_entry(Unpacking *u, const ArchiveEntry *e, Fault *f)
{
        bool is_directory = e->kind == ENTRY_DIRECTORY;
        g_autofree char *name = g_strdup(e->name);
        size_t length = strlen(name);

        if (e->kind != ENTRY_FILE && !is_directory)
                return refuse(name, "which is neither a regular file nor a directory", f);
        if (u->left_files-- == 0)
                return fault_set(f, FAULT_LIMITS_EXCEEDED, "the archive has more than %d files",
                                 PLAYBOOK_FILES_MAX);
        if (is_directory && length > 0 && name[length - 1] == '/')
                name[length - 1] = '\0';
        /* What is longer than any good name has is not cut apart. */
        if (length > (PARTS_MAX + 1) * PLAYBOOK_NAME_MAX)
                return refuse(name, "a name that is too long", f);
        g_auto(GStrv) parts = g_strsplit(name, "/", -1);
        if (!is_known(parts, is_directory))
                return refuse(name, "which no playbook has", f);
        guint n = g_strv_length(parts);
        if (!is_directory)
                return unpack_file(u, e, parts, n, f);
        int fd = open_directory(u->top, parts, n, f);
        if (fd >= 0)
                (void) close_fd(fd);
        return MIN(fd, 0);
}

/* Behind the end of an archive are zeros, if anything. */
static int check_rest(int fd, Fault *f)
{
        char bytes[4096];
        ssize_t n;

        while ((n = read(fd, bytes, sizeof bytes)) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return fault_set_errno(f, FAULT_IO, errno, "cannot read the archive");
                for (ssize_t i = 0; i < n; i++)
                        if (bytes[i] != '\0')
                                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                                 "the archive goes on after its end");
        }
        return 0;
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
                r = check_rest(archive_fd, f);
        if (r == 0 && !u.has_playbook)
                r = fault_set(f, FAULT_INVALID_ARGUMENT, "the archive has no playbook.yml");
        return r;
}
