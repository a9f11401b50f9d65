/* SPDX-License-Identifier: MIT */

#include "store/reserve.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESERVE_BYTES ((off_t) 16 << 20)
#define PIECE_BYTES   ((off_t) 1 << 20)

typedef ssize_t WriteAt(int fd, const void *data, size_t size, off_t at);

static struct {
        int fd;
        off_t size;
        const char *name; /* of the system call that SQLite was built with */
        WriteAt *write_at;
} reserve = {.fd = -1};

static bool give_back(void)
{
        off_t size = MAX(reserve.size - PIECE_BYTES, 0);

        if (reserve.size == 0 || ftruncate(reserve.fd, size) < 0)
                return false;
        reserve.size = size;
        log_warning(
                "the disk is full: the database takes of its reserve, of which %lld MiB are left",
                (long long) (size >> 20));
        return true;
}

static ssize_t write_at(int fd, const void *data, size_t size, off_t at)
{
        ssize_t r;

        do
                r = reserve.write_at(fd, data, size, at);
        while (r < 0 && errno == ENOSPC && give_back());
        return r;
}

static int install(Fault *f)
{
        static const char *const names[] = {"pwrite64", "pwrite"};
        sqlite3_vfs *vfs = sqlite3_vfs_find("unix");

        for (size_t i = 0; vfs && vfs->iVersion >= 3 && i < G_N_ELEMENTS(names); i++) {
                WriteAt *found = (WriteAt *) vfs->xGetSystemCall(vfs, names[i]);
                if (!found)
                        continue;
                reserve.name = names[i];
                reserve.write_at = found;
                (void) vfs->xSetSystemCall(vfs, names[i], (sqlite3_syscall_ptr) write_at);
                return 0;
        }
        return fault_set(f, FAULT_IO, "this SQLite cannot be given a reserve");
}

int reserve_open(const char *path, Fault *f)
{
        struct stat st;

        reserve.fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (reserve.fd < 0 || fstat(reserve.fd, &st) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot open '%s'", path);
        reserve.size = MIN(st.st_size, RESERVE_BYTES);
        return install(f);
}

void reserve_close(void)
{
        sqlite3_vfs *vfs = sqlite3_vfs_find("unix");

        if (reserve.name)
                (void) vfs->xSetSystemCall(vfs, reserve.name, NULL);
        reserve.name = NULL;
        if (reserve.fd >= 0)
                (void) close(reserve.fd);
        reserve.fd = -1;
}

void reserve_refill(uint64_t spare_bytes)
{
        uint64_t missing_bytes = (uint64_t) (RESERVE_BYTES - reserve.size);

        if (reserve.fd >= 0 && missing_bytes > 0 && spare_bytes >= missing_bytes &&
            posix_fallocate(reserve.fd, 0, RESERVE_BYTES) == 0)
                reserve.size = RESERVE_BYTES;
}
