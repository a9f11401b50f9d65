/* SPDX-License-Identifier: MIT */
#include "base/inventory.h"

#include "base/cleanup.h"
#include "base/escape.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Walk {
        const char *path;
        GChecksum *list; /* of the lines of a directory */
        uint64_t left_bytes;
        unsigned left_files;
} Walk;

__attribute__((format(printf, 4, 5))) static int refuse(const Walk *w, const char *name, Fault *f,
                                                        const char *format, ...)
{
        g_autofree char *text = escape_print(name, strlen(name));
        g_autofree char *why = NULL;
        va_list args;

        va_start(args, format);
        why = g_strdup_vprintf(format, args);
        va_end(args);
        return fault_set(f, FAULT_INVALID_ARGUMENT, "the inventory '%s' %s%s%s %s", w->path,
                         *name ? "has '" : "is", text, *name ? "'," : "", why);
}

static int failed(const Walk *w, const char *name, Fault *f)
{
        g_autofree char *text = escape_print(name, strlen(name));

        return fault_set_errno(f, errno == ENOENT ? FAULT_NOT_FOUND : FAULT_IO, errno,
                               "cannot read the inventory '%s%s%s'", w->path, *name ? "/" : "",
                               text);
}

static char *join(const char *a, const char *b)
{
        return *a ? g_strconcat(a, "/", b, NULL) : g_strdup(b);
}

static int write_copy(const char *copy, const char *bytes, size_t size, Fault *f)
{
        autofd fd = open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        int r = fd < 0 ? -errno : write_all(fd, bytes, size);
        return r < 0 ? fault_set_errno(f, FAULT_IO, r, "cannot copy the inventory") : 0;
}

/* `fd` is a regular file. */
static int take_file(Walk *w, int fd, const struct stat *st, const char *name, const char *copy,
                     char sha256[static SHA256_HEX_SIZE], Fault *f)
{
        if (st->st_mode & 0111)
                return refuse(w, name, f,
                              "a program, of which nobody can approve what it will print");
        if (w->left_files == 0 || (uint64_t) st->st_size > w->left_bytes)
                return refuse(w, "", f, "larger than %d files or %d MiB", INVENTORY_FILES_MAX,
                              INVENTORY_BYTES_MAX >> 20);
        size_t size = (size_t) st->st_size;
        g_autofree char *bytes = g_malloc(size + 1);
        int r = pread_all(fd, bytes, size, 0);
        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "cannot read the inventory '%s'", w->path);
        g_autofree char *sum =
                g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *) bytes, size);
        (void) g_strlcpy(sha256, sum, SHA256_HEX_SIZE);
        w->left_files--;
        w->left_bytes -= size;
        return copy ? write_copy(copy, bytes, size, f) : 0;
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static int list_names(int fd, GPtrArray *names)
{
        int own = dup(fd);
        DIR *directory = own < 0 ? NULL : fdopendir(own);

        if (!directory) {
                (void) close_fd(own);
                return -errno;
        }
        for (struct dirent *e; (errno = 0, e = readdir(directory));)
                if (!g_str_equal(e->d_name, ".") && !g_str_equal(e->d_name, "..") &&
                    names->len <= INVENTORY_FILES_MAX)
                        g_ptr_array_add(names, g_strdup(e->d_name));
        int r = -errno;
        (void) closedir(directory);
        return r;
}

/* All regular files below, and the order in which their whole names sort. */
static int find_files(Walk *w, int fd, const char *below, unsigned depth, GPtrArray *files,
                      const char *copy, Fault *f);

static int find_file(Walk *w, int directory_fd, const char *below, const char *leaf, unsigned depth,
                     GPtrArray *files, const char *copy, Fault *f)
{
        g_autofree char *name = join(below, leaf);
        struct stat st;

        for (const char *p = name; *p; p++)
                if (g_ascii_iscntrl(*p) || *p == '\\')
                        return refuse(w, name, f, "a name with a character that none may have");
        if (fstatat(directory_fd, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return failed(w, name, f);
        if (S_ISREG(st.st_mode)) {
                g_ptr_array_add(files, TAKE_PTR(name));
                return files->len <= INVENTORY_FILES_MAX
                               ? 0
                               : refuse(w, "", f, "larger than %d files", INVENTORY_FILES_MAX);
        }
        if (!S_ISDIR(st.st_mode))
                return refuse(w, name, f, "which is neither a regular file nor a directory");
        if (depth == INVENTORY_DEPTH_MAX)
                return refuse(w, name, f, "a directory too deep");
        autofd child = openat(directory_fd, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (child < 0)
                return failed(w, name, f);
        return find_files(w, child, name, depth + 1, files, copy, f);
}

static int find_files(Walk *w, int fd, const char *below, unsigned depth, GPtrArray *files,
                      const char *copy, Fault *f)
{
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *made = copy ? join(copy, below) : NULL;

        if (made && mkdir(made, 0700) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot copy the inventory");
        if (list_names(fd, names) < 0)
                return failed(w, below, f);
        int r = 0;
        for (guint i = 0; r == 0 && i < names->len; i++)
                r = find_file(w, fd, below, names->pdata[i], depth, files, copy, f);
        return r;
}

static int take_directory(Walk *w, int fd, const char *copy, Fault *f)
{
        g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);

        int r = find_files(w, fd, "", 0, files, copy, f);
        if (r < 0)
                return r;
        if (files->len == 0)
                return refuse(w, "", f, "an empty directory");
        qsort(files->pdata, files->len, sizeof *files->pdata, compare_names);
        for (guint i = 0; r == 0 && i < files->len; i++) {
                const char *name = files->pdata[i];
                g_autofree char *to = copy ? join(copy, name) : NULL;
                char sha256[SHA256_HEX_SIZE];
                struct stat st;

                /* A link in between leads to what is not listed as this: its bytes are hashed. */
                autofd file =
                        openat(fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
                if (file < 0 || fstat(file, &st) < 0)
                        return failed(w, name, f);
                if (!S_ISREG(st.st_mode))
                        return refuse(w, name, f, "which changes while it is read");
                r = take_file(w, file, &st, name, to, sha256, f);
                if (r == 0) {
                        g_autofree char *line = g_strdup_printf("%s  %s\n", sha256, name);
                        g_checksum_update(w->list, (const guchar *) line, -1);
                }
        }
        return r;
}

int inventory_take(const char *path, const char *copy, char ret_sha256[static SHA256_HEX_SIZE],
                   Fault *f)
{
        g_autoptr(GChecksum) list = g_checksum_new(G_CHECKSUM_SHA256);
        Walk w = {path, list, INVENTORY_BYTES_MAX, INVENTORY_FILES_MAX};
        char sha256[SHA256_HEX_SIZE];
        struct stat st;
        autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

        if (fd < 0 || fstat(fd, &st) < 0)
                return failed(&w, "", f);
        int r;
        if (S_ISREG(st.st_mode)) {
                r = take_file(&w, fd, &st, "", copy, sha256, f);
        } else if (S_ISDIR(st.st_mode)) {
                r = take_directory(&w, fd, copy, f);
                (void) g_strlcpy(sha256, g_checksum_get_string(list), sizeof sha256);
        } else {
                r = refuse(&w, "", f, "neither a file nor a directory");
        }
        if (r == 0)
                (void) g_strlcpy(ret_sha256, sha256, SHA256_HEX_SIZE);
        return r;
}
