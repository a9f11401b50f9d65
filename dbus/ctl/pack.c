/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/pack.h"

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK       512
#define NAME_SIZE   100
#define PREFIX_AT   345
#define PREFIX_SIZE 155
#define DEPTH_MAX   8
#define BYTES_MAX   (UINT64_C(128) << 20)

typedef struct Packing {
        int to;
        uint64_t left;
} Packing;

static int refuse(const char *name, const char *why, Fault *f)
{
        g_autofree char *text = escape_print(name, strlen(name));

        return fault_set(f, FAULT_INVALID_ARGUMENT, "'%.200s' %s", text, why);
}

/* A field of a header need not end in a NUL. */
static void put(char *field, const char *text, size_t size)
{
        for (size_t i = 0; i < size; i++)
                field[i] = text[i];
}

/* Where a name that is too long for one field is cut: at a '/', which is not kept. */
static bool put_name(char *block, const char *name)
{
        size_t size = strlen(name);

        if (size <= NAME_SIZE) {
                put(block, name, size);
                return true;
        }
        for (size_t at = MIN(size - 1, PREFIX_SIZE); at > 0; at--)
                if (name[at] == '/' && size - at - 1 <= NAME_SIZE) {
                        put(block + PREFIX_AT, name, at);
                        put(block, name + at + 1, size - at - 1);
                        return true;
                }
        return false;
}

static int write_header(const Packing *q, const char *name, uint64_t size, Fault *f)
{
        char block[BLOCK] = {0};
        unsigned sum = 0;

        if (!put_name(block, name))
                return refuse(name, "has a name that is too long for the archive", f);
        (void) snprintf(block + 100, 8, "%07o", 0644U);
        (void) snprintf(block + 108, 8, "%07o", 0U);
        (void) snprintf(block + 116, 8, "%07o", 0U);
        (void) snprintf(block + 124, 12, "%011" PRIo64, size);
        (void) snprintf(block + 136, 12, "%011o", 0U);
        memset(block + 148, ' ', 8);
        block[156] = '0';
        put(block + 257, "ustar", 6);
        put(block + 263, "00", 2);
        for (size_t i = 0; i < BLOCK; i++)
                sum += (unsigned char) block[i];
        (void) snprintf(block + 148, 8, "%06o", sum);
        int r = write_all(q->to, block, BLOCK);
        return r < 0 ? fault_set_errno(f, FAULT_IO, r, "cannot make the archive") : 0;
}

static int write_zeros(const Packing *q, size_t size, Fault *f)
{
        static const char zeros[2 * BLOCK];
        int r = write_all(q->to, zeros, size);

        return r < 0 ? fault_set_errno(f, FAULT_IO, r, "cannot make the archive") : 0;
}

/* Exactly as many bytes as its header said. */
static int copy_content(const Packing *q, int from, const char *name, uint64_t size, Fault *f)
{
        char bytes[65536];

        for (uint64_t at = 0; at < size;) {
                size_t n = (size_t) MIN(size - at, sizeof bytes);
                int r = pread_all(from, bytes, n, at);

                if (r == -ENODATA)
                        return refuse(name, "became shorter while it was read", f);
                if (r == 0)
                        r = write_all(q->to, bytes, n);
                if (r < 0)
                        return fault_set_errno(f, FAULT_IO, r, "cannot read '%s'", name);
                at += n;
        }
        return write_zeros(q, (BLOCK - size % BLOCK) % BLOCK, f);
}

static int pack_file(Packing *q, int fd, const char *name, const struct stat *st, Fault *f)
{
        uint64_t size = (uint64_t) st->st_size;

        if (size > q->left)
                return fault_set(f, FAULT_LIMITS_EXCEEDED, "there are more than %u MiB",
                                 (unsigned) (BYTES_MAX >> 20));
        q->left -= size;
        int r = write_header(q, name, size, f);
        return r < 0 ? r : copy_content(q, fd, name, size, f);
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* In an order of their own, so that the same files make the same archive. */
static int list_names(int fd, GPtrArray *names)
{
        int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *directory = own < 0 ? NULL : fdopendir(own);
        const struct dirent *entry;

        if (!directory) {
                int error = errno;
                (void) close_fd(own);
                return -error;
        }
        while ((entry = readdir(directory)))
                if (!g_str_equal(entry->d_name, ".") && !g_str_equal(entry->d_name, ".."))
                        g_ptr_array_add(names, g_strdup(entry->d_name));
        (void) closedir(directory);
        g_ptr_array_sort(names, compare_names);
        return 0;
}

static int pack_entry(Packing *q, int parent, const char *entry, const char *name, unsigned depth,
                      Fault *f);

static int pack_directory(Packing *q, int fd, const char *name, unsigned depth, Fault *f)
{
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        int r = list_names(fd, names);

        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "cannot read the directory '%s'", name);
        if (depth == 0)
                return refuse(name, "is too deep down", f);
        for (guint i = 0; r == 0 && i < names->len; i++) {
                const char *entry = names->pdata[i];
                g_autofree char *below =
                        *name ? g_strconcat(name, "/", entry, NULL) : g_strdup(entry);
                r = pack_entry(q, fd, entry, below, depth - 1, f);
        }
        return r;
}

/* A pipe is not waited for, and a device not touched. */
static int pack_entry(Packing *q, int parent, const char *entry, const char *name, unsigned depth,
                      Fault *f)
{
        struct stat st;

        if (fstatat(parent, entry, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return fault_set_errno(f, errno == ENOENT ? FAULT_NOT_FOUND : FAULT_IO, errno,
                                       "cannot read '%s'", name);
        if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
                return refuse(name, "is neither a regular file nor a directory", f);
        autofd fd = openat(parent, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot read '%s'", name);
        if (S_ISDIR(st.st_mode))
                return pack_directory(q, fd, name, depth, f);
        return S_ISREG(st.st_mode) ? pack_file(q, fd, name, &st, f)
                                   : refuse(name, "is no regular file any more", f);
}

/* What was named itself may be a link. */
static int pack_path(Packing *q, const char *path, const char *name, Fault *f)
{
        autofd fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return fault_set_errno(f, errno == ENOENT ? FAULT_NOT_FOUND : FAULT_IO, errno,
                                       "cannot read '%s'", path);
        if (S_ISDIR(st.st_mode))
                return pack_directory(q, fd, "", DEPTH_MAX, f);
        return S_ISREG(st.st_mode) ? pack_file(q, fd, name, &st, f)
                                   : refuse(path, "is neither a regular file nor a directory", f);
}

int pack(const char *path, const char *name, int *ret_fd, Fault *f)
{
        autofd fd = memfd_create("archive", MFD_CLOEXEC);
        Packing q = {fd, BYTES_MAX};

        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make the archive");
        int r = pack_path(&q, path, name, f);
        if (r == 0)
                r = write_zeros(&q, 2 * BLOCK, f);
        if (r < 0)
                return r;
        if (lseek(fd, 0, SEEK_SET) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make the archive");
        *ret_fd = TAKE_FD(fd);
        return 0;
}
