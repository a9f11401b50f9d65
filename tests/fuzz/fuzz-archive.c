/* SPDX-License-Identifier: MIT */

/* Any bytes as an archive: it ends, entries keep the promises of base/archive.h, and no name
 * that passes its check leads out of a directory. The checksum of every header is put right first,
 * for else nothing gets further than that. */

#include "base/archive.h"
#include "base/cleanup.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
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

static void check_name(const char *name)
{
        unsigned depth = 0;

        if (archive_name_check(name, NULL) < 0)
                return;
        g_auto(GStrv) parts = g_strsplit(name, "/", -1);
        for (char **part = parts; *part; part++) {
                g_assert(!g_str_equal(*part, ".."));
                depth += **part != '\0';
        }
        g_assert(name[0] != '/' && depth > 0);
}

static void read_all(int fd, size_t size)
{
        g_autoptr(Archive) archive = archive_new(fd);
        const ArchiveEntry *entry;
        char bytes[1000];
        Fault f = {0};
        int r;

        while ((r = archive_next(archive, &entry, &f)) > 0) {
                uint64_t n = 0;
                ssize_t piece = 0;

                g_assert(entry->name && entry->target && entry->size <= INT64_MAX);
                g_assert((entry->mode & ~07777U) == 0 && entry->mtime_nsec < 1000000000);
                check_name(entry->name);
                /* What is not read is passed over. */
                while (entry->size % 2 == 0 &&
                       (piece = archive_read(archive, bytes, sizeof bytes, &f)) > 0)
                        n += (uint64_t) piece;
                g_assert(n <= entry->size && n <= size);
                if (piece < 0)
                        break;
        }
        g_assert(r >= 0 || f.code == FAULT_IO);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        g_autofree uint8_t *bytes = g_memdup2(data, size);
        static int fd = -1;

        /* One for all: to make a file takes longer than to read it. */
        if (fd < 0)
                fd = memfd_create("archive", MFD_CLOEXEC);
        g_assert(fd >= 0 && ftruncate(fd, (off_t) size) == 0);
        for (size_t at = 0; at + BLOCK <= size; at += BLOCK)
                if (memcmp(bytes + at + 257, "ustar", 5) == 0)
                        put_checksum(bytes + at);
        g_assert(size == 0 || pwrite(fd, bytes, size, 0) == (ssize_t) size);
        g_assert(lseek(fd, 0, SEEK_SET) == 0);
        read_all(fd, size);
        return 0;
}
