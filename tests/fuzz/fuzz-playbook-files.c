/* SPDX-License-Identifier: MIT */

/* Any bytes as the archive of a playbook: it ends, and what is there then is only what a playbook
 * has; what is taken over as written by hand can be unpacked. The checksum of every header is put
 * right first, for else nothing gets further than that. */

#include "base/cleanup.h"
#include "base/file.h"
#include "run/playbook-files.h"

#include <fcntl.h>
#include <ftw.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK       512
#define CHECKSUM_AT 148

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_checksum(uint8_t *block)
{
        unsigned sum = 0;

        memset(block + CHECKSUM_AT, ' ', 8);
        for (unsigned i = 0; i < BLOCK; i++)
                sum += block[i];
        (void) snprintf((char *) block + CHECKSUM_AT, 8, "%06o", sum);
}

static int check_file(const char *path, const struct stat *st, int flag, struct FTW *where)
{
        (void) path;
        g_assert(flag == FTW_D || flag == FTW_F);
        g_assert((st->st_mode & 07777) == (flag == FTW_D ? 0700 : 0600) && where->level <= 5);
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        g_autofree uint8_t *bytes = g_memdup2(data, size);
        char scratch[] = "/tmp/fluid-fuzz.XXXXXX";
        autofd fd = memfd_create("archive", MFD_CLOEXEC);
        Fault f = {0};

        g_assert(fd >= 0 && mkdtemp(scratch));
        /* What leads out of `top` is seen beside it. */
        g_autofree char *top = g_build_filename(scratch, "top", NULL);
        g_assert(mkdir(top, 0700) == 0);
        autofd top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        for (size_t at = 0; at + BLOCK <= size; at += BLOCK)
                if (memcmp(bytes + at + 257, "ustar", 5) == 0)
                        put_checksum(bytes + at);
        g_assert(top_fd >= 0 && (size == 0 || write(fd, bytes, size) == (ssize_t) size));
        g_assert(lseek(fd, 0, SEEK_SET) == 0);
        int checked = playbook_archive_check(fd, NULL);
        g_assert(lseek(fd, 0, SEEK_SET) == 0);
        int r = playbook_files_unpack(fd, top_fd, &f);
        g_assert(checked < 0 || r == 0);
        g_assert((r == 0) == (f.code == FAULT_NONE));
        g_assert(nftw(scratch, check_file, 8, FTW_PHYS) == 0 && rmdir(scratch) < 0);
        g_autofree char *playbook = g_build_filename(top, "playbook.yml", NULL);
        g_assert(r < 0 || access(playbook, R_OK) == 0);
        g_assert(remove_tree(top, NULL) == 0 && rmdir(scratch) == 0);
        return 0;
}
