/* SPDX-License-Identifier: MIT */
#include "guestfs/image.h"

#include "base/cleanup.h"
#include "base/quantity.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

/* What compression and shared extents had saved, and ext4's own tables. */
#define GROWTH    2
#define SMALLEST  (64 * MIB)
#define KEPT_FREE (1024 * MIB)

int image_choose_size(const char *directory, uint64_t source_bytes, unsigned n, uint64_t *ret,
                      Fault *f)
{
        struct statvfs fs;

        if (statvfs(directory, &fs) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot ask what is free in '%s'",
                                       directory);
        uint64_t free_bytes = (uint64_t) fs.f_bavail * fs.f_frsize;
        uint64_t room = (free_bytes - MIN(free_bytes, KEPT_FREE)) / MAX(n, 1);
        if (room < SMALLEST) {
                g_autofree char *has = size_format(free_bytes);

                return fault_set(f, FAULT_NO_SPACE,
                                 "only %s are free in '%s', too little for copies of %u file "
                                 "systems; TMPDIR names another directory",
                                 has, directory, n);
        }
        *ret = CLAMP(GROWTH * source_bytes, SMALLEST, room) / MIB * MIB;
        return 0;
}

#define FEATURES "^has_journal,^resize_inode,^metadata_csum,uninit_bg,ea_inode,dir_nlink,huge_file"
#define OPTIONS  "lazy_itable_init=1,nodiscard,root_owner=0:0"

static int run_mke2fs(const char *path, Fault *f)
{
        const char *const argv[] = {"mke2fs", "-qF",    "-t", "ext4",  "-b", "4096",
                                    "-I",     "256",    "-i", "4096",  "-m", "0",
                                    "-O",     FEATURES, "-E", OPTIONS, path, NULL};
        g_auto(GStrv) environment =
                g_strsplit("PATH=/usr/sbin:/sbin:/usr/bin:/bin LC_ALL=C.UTF-8", " ", -1);
        g_autofree char *errors = NULL;
        g_autoptr(GError) error = NULL;
        int status = 0;

        if (!g_spawn_sync(NULL, (char **) argv, environment,
                          G_SPAWN_SEARCH_PATH_FROM_ENVP | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL,
                          NULL, &errors, &status, &error))
                return fault_set(f, FAULT_IO, "cannot run mke2fs (of e2fsprogs): %s",
                                 error->message);
        if (status != 0)
                return fault_set(f, FAULT_IO, "mke2fs: %s", g_strchomp(errors));
        return 0;
}

int image_make(const char *path, uint64_t size, Fault *f)
{
        autofd fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        if (fd < 0 || ftruncate(fd, (off_t) size) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make '%s'", path);
        return run_mke2fs(path, f);
}
