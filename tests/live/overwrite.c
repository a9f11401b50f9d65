/* SPDX-License-Identifier: MIT */

/* Writes into a file in place, in ways that a shell has not, and sets its times back:
 *
 *     overwrite mmap|direct FILE BLOCK BYTE
 *
 * makes block BLOCK, of 4096 bytes, of a file consist of BYTE. For guests without libraries. */

#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096

static void overwrite_by_mapping(int fd, off_t at, int byte)
{
        void *map = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);

        if (map == MAP_FAILED)
                err(1, "mmap");
        memset(map, byte, BLOCK);
        if (msync(map, BLOCK, MS_SYNC) < 0)
                err(1, "msync");
}

static void overwrite_directly(int fd, off_t at, int byte)
{
        void *buffer = aligned_alloc(BLOCK, BLOCK);

        if (!buffer)
                err(1, "memory");
        memset(buffer, byte, BLOCK);
        if (pwrite(fd, buffer, BLOCK, at) != BLOCK)
                err(1, "pwrite");
        free(buffer);
}

int main(int argc, char **argv)
{
        struct stat st;

        if (argc != 5)
                errx(2, "see the head of tests/live/overwrite.c");
        int directly = strcmp(argv[1], "direct") == 0;
        off_t at = (off_t) atoi(argv[3]) * BLOCK;
        int fd = open(argv[2], O_RDWR | O_CLOEXEC | (directly ? O_DIRECT : 0));
        if (fd < 0 || fstat(fd, &st) < 0)
                err(1, "%s", argv[2]);
        if (directly)
                overwrite_directly(fd, at, argv[4][0]);
        else
                overwrite_by_mapping(fd, at, argv[4][0]);
        struct timespec times[] = {st.st_atim, st.st_mtim};
        if (futimens(fd, times) < 0 || fsync(fd) < 0)
                err(1, "%s", argv[2]);
        return 0;
}
