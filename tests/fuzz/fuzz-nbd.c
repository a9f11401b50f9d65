/* SPDX-License-Identifier: MIT */

/* Any bytes as a client of the NBD server: it ends, and reads nothing but its exports. */

#include "base/cleanup.h"
#include "base/file.h"
#include "guestfs/nbd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define INPUT_MAX 65536 /* what a socket holds */
#define DISK_SIZE 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static Chain *make_disk(void)
{
        autofd fd = memfd_create("disk", MFD_CLOEXEC);
        DiskFormat format = DISK_RAW;
        Chain *chain = NULL;

        g_assert(fd >= 0 && ftruncate(fd, DISK_SIZE) == 0);
        g_assert(chain_open_fds(&fd, &format, 1, NULL, &chain, NULL) == 0);
        return chain;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static Chain *chain;
        static Volume *volume;
        const NbdExport *export = NULL;
        Fault fault = {0};
        int fds[2];

        if (size > INPUT_MAX)
                return 0;
        if (!chain) {
                chain = make_disk();
                volume = volume_new_disk(0, chain);
        }
        const NbdExport exports[] = {{"old-0", volume}, {"new-1", volume}};
        g_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
        /* Nobody reads the answers: when there are too many, it is as if the client were gone. */
        (void) fcntl(fds[0], F_SETFL, O_NONBLOCK);
        (void) !write_all(fds[1], data, size);
        (void) shutdown(fds[1], SHUT_WR);
        if (nbd_negotiate(fds[0], exports, G_N_ELEMENTS(exports), &export) == 0) {
                g_assert(export == &exports[0] || export == &exports[1]);
                while (nbd_serve(fds[0], export, &fault) > 0)
                        ;
                g_assert(fault.code == FAULT_NONE);
        }
        (void) close_fd(fds[0]);
        (void) close_fd(fds[1]);
        return 0;
}
