/* SPDX-License-Identifier: MIT */
#pragma once

/* Ownership in the type: a variable that frees itself at the end of its scope, and giving it away.
 * GLib's g_autofree and g_autoptr() serve memory; this adds what GLib 2.74 lacks. */

#include <glib.h>

/* An open file descriptor or -1, closed at the end of its scope. */
#define autofd __attribute__((cleanup(cleanup_close))) int

/* Closes if >= 0, keeps errno, returns -1. */
int close_fd(int fd);

static inline void cleanup_close(int *fd)
{
        (void) close_fd(*fd);
}

/* The value, with the variable reset: ownership passes to whoever takes the result. */
#define TAKE_PTR(ptr) g_steal_pointer(&(ptr))
#define TAKE_FD(fd) \
        ({ \
                int _fd = (fd); \
                (fd) = -1; \
                _fd; \
        })
