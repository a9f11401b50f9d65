/* SPDX-License-Identifier: MIT */
#pragma once

/* Bytes as the beginning of a large disk of zeros, made over and over again at little cost. */

#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DISK_BYTES_MAX (64 << 10)

/* A descriptor that stays open, of a file of `disk_size` bytes; what is beyond DISK_BYTES_MAX of
 * the data is left out. */
static inline int disk_of(const uint8_t *data, size_t size, off_t disk_size)
{
        static int fd = -1;
        static uint8_t *bytes;
        static size_t used;

        if (fd < 0) {
                fd = memfd_create("disk", MFD_CLOEXEC);
                g_assert(fd >= 0 && ftruncate(fd, disk_size) == 0);
                bytes = mmap(NULL, DISK_BYTES_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
                g_assert(bytes != MAP_FAILED);
        }
        size = MIN(size, DISK_BYTES_MAX);
        if (size > 0)
                memcpy(bytes, data, size);
        if (used > size)
                memset(bytes + size, 0, used - size);
        used = size;
        return fd;
}
