/* SPDX-License-Identifier: MIT */
#include "base/file.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

int write_all(int fd, const void *bytes, size_t size)
{
        const char *p = bytes;

        while (size > 0) {
                ssize_t n = write(fd, p, size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                p += n;
                size -= (size_t) n;
        }
        return 0;
}

bool file_never_blocks(int fd)
{
        struct statfs fs;
        struct stat st;

        return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && fstatfs(fd, &fs) == 0 &&
               fs.f_type != FUSE_SUPER_MAGIC;
}

int pread_all(int fd, void *buffer, size_t size, uint64_t offset)
{
        char *p = buffer;

        while (size > 0) {
                ssize_t n = pread(fd, p, size, (off_t) offset);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -ENODATA;
                p += n;
                offset += (uint64_t) n;
                size -= (size_t) n;
        }
        return 0;
}

/* Whatever size stat() tells: files of /proc have none. */
static int read_to_end(int fd, size_t max, GString *text)
{
        char buffer[4096];

        for (;;) {
                ssize_t n = read(fd, buffer, sizeof buffer);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : 0;
                if ((size_t) n > max - text->len)
                        return -EFBIG;
                g_string_append_len(text, buffer, n);
        }
}

int file_read(const char *path, size_t max, char **ret_text, size_t *ret_size, Fault *f)
{
        autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        struct stat st;

        if (fd < 0)
                return fault_set_errno(f, errno == ENOENT ? FAULT_NOT_FOUND : FAULT_IO, errno,
                                       "cannot open '%s'", path);
        if (fstat(fd, &st) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot read '%s'", path);
        if (!S_ISREG(st.st_mode))
                return fault_set(f, FAULT_IO, "'%s' is not a regular file", path);
        bool is_large = (uint64_t) st.st_size > max;
        g_autoptr(GString) text = g_string_sized_new(is_large ? 0 : (size_t) st.st_size + 1);
        int r = is_large ? -EFBIG : read_to_end(fd, max, text);
        if (r == -EFBIG)
                return fault_set(f, FAULT_IO, "'%s' is larger than %zu bytes", path, max);
        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "cannot read '%s'", path);
        if (ret_size)
                *ret_size = text->len;
        *ret_text = g_string_free(TAKE_PTR(text), FALSE);
        return 0;
}

int file_sha256(int fd, char ret_hex[static SHA256_HEX_SIZE], Fault *f)
{
        enum { CHUNK = 1 << 20 };
        g_autofree uint8_t *buffer = g_malloc(CHUNK);
        struct sha256_ctx sum;
        off_t offset = 0;

        sha256_init(&sum);
        for (;;) {
                ssize_t n = pread(fd, buffer, CHUNK, offset);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return fault_set_errno(f, FAULT_IO, errno, "cannot read a file to hash it");
                if (n == 0)
                        break;
                sha256_update(&sum, (size_t) n, buffer);
                offset += n;
        }
        sha256_end(&sum, ret_hex);
        return 0;
}

static int remove_entries(int directory_fd, dev_t device)
{
        int copy = dup(directory_fd);
        DIR *directory = copy < 0 ? NULL : fdopendir(copy);
        int r = 0;

        if (!directory) {
                r = -errno;
                (void) close_fd(copy);
                return r;
        }
        for (struct dirent *e; r == 0 && (e = readdir(directory));) {
                struct stat st;
                if (g_str_equal(e->d_name, ".") || g_str_equal(e->d_name, ".."))
                        continue;
                if (fstatat(directory_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
                        r = errno == ENOENT ? 0 : -errno;
                        continue;
                }
                if (S_ISDIR(st.st_mode)) {
                        autofd child = openat(directory_fd, e->d_name,
                                              O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                        if (st.st_dev != device)
                                r = -EXDEV;
                        else
                                r = child < 0 ? -errno : remove_entries(child, device);
                }
                if (r == 0 &&
                    unlinkat(directory_fd, e->d_name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) < 0 &&
                    errno != ENOENT)
                        r = -errno;
        }
        (void) closedir(directory);
        return r;
}

int remove_tree(const char *path, Fault *f)
{
        autofd fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;
        int r;

        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0 || fstat(fd, &st) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot remove '%s'", path);
        r = remove_entries(fd, st.st_dev);
        if (r == 0 && rmdir(path) < 0 && errno != ENOENT)
                r = -errno;
        return r < 0 ? fault_set_errno(f, FAULT_IO, r, "cannot remove '%s'", path) : 0;
}

int make_directory(const char *path, mode_t mode, uid_t uid, gid_t gid, Fault *f)
{
        if (mkdir(path, mode) < 0 && errno != EEXIST)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make the directory '%s'", path);

        autofd fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fchown(fd, uid, gid) < 0 || fchmod(fd, mode) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot set up the directory '%s'",
                                       path);
        return 0;
}

int sync_path(const char *path, Fault *f)
{
        autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0 || fsync(fd) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot write '%s' to disk", path);
        return 0;
}
