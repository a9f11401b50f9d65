/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/unpack.h"

#include "base/archive.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_SIZE 65536

/* Its mode and time come last, when all in it is there. */
typedef struct Directory {
        char *name;
        mode_t mode;
        struct timespec mtime;
        uint64_t uid, gid;
} Directory;

typedef struct Unpacking {
        const UnpackOptions *options;
        Archive *archive;
        int top;
        mode_t mask;
        char *parent_name; /* the directory that was opened last, and its fd */
        int parent;
        GArray *directories; /* of Directory */
        Unpacked done;
} Unpacking;

static int failed(Fault *f, const char *what, const char *name)
{
        int error = errno;
        g_autofree char *text = escape_print(name, strlen(name));

        if (error == EEXIST)
                return fault_set(f, FAULT_EXISTS, "'%.300s' is there already: see --replace", text);
        return fault_set_errno(f, FAULT_IO, error, "cannot %s '%.300s'", what, text);
}

/* A directory below `at` by one name, never through a link; -1 with errno. */
static int open_directory(int at, const char *name)
{
        return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* A directory below the top, part by part; "" is the top itself. With `makes`, those that no entry
 * of the archive stands for are made. -1 with errno. */
static int open_below(int top, const char *name, bool makes)
{
        g_auto(GStrv) parts = g_strsplit(name, "/", -1);
        autofd at = fcntl(top, F_DUPFD_CLOEXEC, 3);

        for (char **part = parts; *part && at >= 0; part++) {
                if (**part == '\0' || g_str_equal(*part, "."))
                        continue;
                int below = open_directory(at, *part);
                if (below < 0 && errno == ENOENT && makes && mkdirat(at, *part, 0777) == 0)
                        below = open_directory(at, *part);
                int error = errno;
                (void) close_fd(at);
                at = below;
                errno = error;
        }
        return TAKE_FD(at);
}

/* Splits "a/b/" into "a" and "b"; the last part of what is the top itself is "". */
static void split(const char *name, char **ret_parent, char **ret_last)
{
        size_t end = strlen(name);

        while (end > 0 && name[end - 1] == '/')
                end--;
        const char *slash = g_strrstr_len(name, (gssize) end, "/");
        size_t begin = slash ? (size_t) (slash - name) + 1 : 0;
        *ret_parent = g_strndup(name, begin > 0 ? begin - 1 : 0);
        *ret_last = g_strndup(name + begin, end - begin);
        if (g_str_equal(*ret_last, "."))
                **ret_last = '\0';
}

/* Opens the directory that the entry goes into, unless it is that of the last one. */
static int enter_parent(Unpacking *u, const char *parent, Fault *f)
{
        if (u->parent >= 0 && g_strcmp0(u->parent_name, parent) == 0)
                return 0;
        u->parent = close_fd(u->parent);
        g_free(u->parent_name);
        u->parent_name = g_strdup(parent);
        u->parent = open_below(u->top, parent, true);
        return u->parent < 0 ? failed(f, "open the directory", parent) : 0;
}

/* Makes room for what is to have the name, where that is wished. */
static int clear_name(const Unpacking *u, const char *last, Fault *f)
{
        if (u->options->replace && unlinkat(u->parent, last, 0) < 0 && errno != ENOENT)
                return failed(f, "replace", last);
        return 0;
}

/* Returns its fd; one that was there will do where that is wished. */
static int make_directory_at(const Unpacking *u, const char *last, Fault *f)
{
        if (mkdirat(u->parent, last, 0700) < 0 && !(errno == EEXIST && u->options->replace))
                return failed(f, "make the directory", last);
        int fd = open_directory(u->parent, last);
        return fd < 0 ? failed(f, "open the directory", last) : fd;
}

static int unpack_directory(Unpacking *u, const ArchiveEntry *e, const char *last, Fault *f)
{
        const Directory directory = {
                .name = g_strdup(e->name),
                .mode = e->mode & 0777,
                .mtime = {e->mtime_sec, e->mtime_nsec},
                .uid = e->uid,
                .gid = e->gid,
        };

        g_array_append_val(u->directories, directory);
        u->done.n_directories++;
        autofd fd = make_directory_at(u, last, f);
        return fd < 0 ? fd : 0;
}

static bool is_zero(const char *bytes, size_t size)
{
        return size > 0 && bytes[0] == '\0' && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* Pieces of zeros become holes. */
static int copy_content(Unpacking *u, const ArchiveEntry *e, int fd, Fault *f)
{
        g_autofree char *piece = g_malloc(PIECE_SIZE);
        ssize_t n;

        while ((n = archive_read(u->archive, piece, PIECE_SIZE, f)) > 0) {
                if (is_zero(piece, (size_t) n)) {
                        if (lseek(fd, n, SEEK_CUR) < 0)
                                return failed(f, "write", e->name);
                        continue;
                }
                int r = write_all(fd, piece, (size_t) n);
                if (r < 0)
                        return fault_set_errno(f, FAULT_IO, r, "cannot write what is unpacked");
        }
        if (n < 0)
                return (int) n;
        u->done.n_bytes += e->size;
        return ftruncate(fd, (off_t) e->size) < 0 ? failed(f, "write", e->name) : 0;
}

static int set_attributes(const Unpacking *u, int fd, const Directory *a, Fault *f)
{
        const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, a->mtime};

        if (u->options->keep_owner && fchown(fd, (uid_t) a->uid, (gid_t) a->gid) < 0)
                return failed(f, "set the owner of", a->name);
        if (fchmod(fd, a->mode & ~u->mask) < 0)
                return failed(f, "set the mode of", a->name);
        if (futimens(fd, times) < 0)
                return failed(f, "set the time of", a->name);
        return 0;
}

static int unpack_file(Unpacking *u, const ArchiveEntry *e, const char *last, Fault *f)
{
        const Directory attributes = {
                .name = e->name,
                .mode = e->mode & 0777,
                .mtime = {e->mtime_sec, e->mtime_nsec},
                .uid = e->uid,
                .gid = e->gid,
        };

        autofd fd =
                openat(u->parent, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return failed(f, "create", e->name);
        int r = copy_content(u, e, fd, f);
        if (r == 0)
                r = set_attributes(u, fd, &attributes, f);
        if (r < 0)
                (void) unlinkat(u->parent, last, 0);
        u->done.n_files += r == 0;
        u->done.n_plain += r == 0 && (e->mode & 07000) != 0;
        return r;
}

static int unpack_symlink(Unpacking *u, const ArchiveEntry *e, const char *last, Fault *f)
{
        const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {e->mtime_sec, e->mtime_nsec}};

        if (symlinkat(e->target, u->parent, last) < 0)
                return failed(f, "make the link", e->name);
        if (u->options->keep_owner &&
            fchownat(u->parent, last, (uid_t) e->uid, (gid_t) e->gid, AT_SYMLINK_NOFOLLOW) < 0)
                return failed(f, "set the owner of", e->name);
        (void) utimensat(u->parent, last, times, AT_SYMLINK_NOFOLLOW);
        u->done.n_links++;
        return 0;
}

/* To a file that is below the top, too. */
static int unpack_hard_link(Unpacking *u, const ArchiveEntry *e, const char *last, Fault *f)
{
        g_autofree char *directory = NULL, *name = NULL;
        struct stat st;

        int r = archive_name_check(e->target, f);
        if (r < 0)
                return r;
        split(e->target, &directory, &name);
        autofd at = open_below(u->top, directory, false);
        if (at < 0 || fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return failed(f, "link to", e->target);
        if (!S_ISREG(st.st_mode))
                return fault_set(f, FAULT_IO, "the archive links to what is no file");
        if (linkat(at, name, u->parent, last, 0) < 0)
                return failed(f, "make the link", e->name);
        u->done.n_files++;
        return 0;
}

static int unpack_entry(Unpacking *u, const ArchiveEntry *e, Fault *f)
{
        g_autofree char *parent = NULL, *last = NULL;

        int r = archive_name_check(e->name, f);
        if (r < 0)
                return r;
        split(e->name, &parent, &last);
        if (*last == '\0' && e->kind == ENTRY_DIRECTORY)
                return 0; /* the top, which is as its owner made it */
        if (*last == '\0')
                return fault_set(f, FAULT_IO, "the archive names a file as a directory");
        r = enter_parent(u, parent, f);
        if (r < 0 || e->kind == ENTRY_DIRECTORY)
                return r < 0 ? r : unpack_directory(u, e, last, f);
        if (e->kind == ENTRY_SPECIAL) {
                u->done.n_left_out++;
                return 0;
        }
        r = clear_name(u, last, f);
        if (r < 0)
                return r;
        if (e->kind == ENTRY_FILE)
                return unpack_file(u, e, last, f);
        return e->kind == ENTRY_SYMLINK ? unpack_symlink(u, e, last, f)
                                        : unpack_hard_link(u, e, last, f);
}

/* From the last to the first, so that none is in the way of one below it. */
static int finish_directories(const Unpacking *u, Fault *f)
{
        for (guint i = u->directories->len; i > 0; i--) {
                const Directory *d = &g_array_index(u->directories, Directory, i - 1);
                autofd fd = open_below(u->top, d->name, false);
                if (fd < 0)
                        return failed(f, "open the directory", d->name);
                int r = set_attributes(u, fd, d, f);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void free_directory(void *data)
{
        g_free(((Directory *) data)->name);
}

static int unpack_all(Unpacking *u, Fault *f)
{
        const ArchiveEntry *entry;
        int r;

        while ((r = archive_next(u->archive, &entry, f)) > 0) {
                r = unpack_entry(u, entry, f);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : finish_directories(u, f);
}

int unpack(int archive_fd, const char *directory, const UnpackOptions *options, Unpacked *ret,
           Fault *f)
{
        g_autoptr(Archive) archive = archive_new(archive_fd);
        Unpacking u = {.options = options, .archive = archive, .parent = -1};

        if (mkdir(directory, 0777) < 0 && errno != EEXIST)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make '%.300s'", directory);
        autofd top = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (top < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot open '%.300s'", directory);
        u.top = top;
        u.mask = umask(0);
        (void) umask(u.mask);
        u.directories = g_array_new(FALSE, FALSE, sizeof(Directory));
        g_array_set_clear_func(u.directories, free_directory);
        int r = unpack_all(&u, f);
        g_array_free(u.directories, TRUE);
        g_free(u.parent_name);
        (void) close_fd(u.parent);
        *ret = u.done;
        return r;
}
