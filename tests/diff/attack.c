/* SPDX-License-Identifier: MIT */

/* What somebody could do who has taken over fluid-diff: linked into it in place of libc's write(),
 * it tries what FLUID_TEST_TRY says when the result is written. For test-confinement. */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Exit status 42: it could be done. 43: it was refused. */
static void end(int is_done)
{
        syscall(SYS_exit_group, is_done ? 42 : 43);
}

static void try(const char *what)
{
        char *none[] = {NULL}, path[] = "/bin/true", *program[] = {path, NULL};
        struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
        struct __user_cap_data_struct all[2] = {{~0u, ~0u, 0}, {~0u, ~0u, 0}};

        if (!strcmp(what, "write"))
                end(1);
        if (!strcmp(what, "open"))
                end(open("/etc/hostname", O_RDONLY) >= 0);
        if (!strcmp(what, "create"))
                end(open("/dev/shm/fluid-diff-was-here", O_WRONLY | O_CREAT, 0600) >= 0);
        if (!strcmp(what, "socket"))
                end(socket(AF_INET, SOCK_STREAM, 0) >= 0);
        if (!strcmp(what, "unix-socket"))
                end(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
        if (!strcmp(what, "execute"))
                end(execve(path, program, none) >= 0);
        if (!strcmp(what, "fork"))
                end(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0);
        if (!strcmp(what, "mount"))
                end(mount("none", "/mnt", "tmpfs", 0, NULL) >= 0);
        if (!strcmp(what, "unshare"))
                end(syscall(SYS_unshare, 0x10000000) >= 0);
        if (!strcmp(what, "trace"))
                end(ptrace(PTRACE_ATTACH, getppid(), 0, 0) >= 0);
        if (!strcmp(what, "kill"))
                end(syscall(SYS_kill, getppid(), 0) >= 0);
        if (!strcmp(what, "unlink"))
                end(unlink("/dev/shm/fluid-diff-target") >= 0);
        if (!strcmp(what, "capabilities"))
                end(syscall(SYS_capset, &header, all) >= 0);
        if (!strcmp(what, "become-root"))
                end(syscall(SYS_setuid, 0) >= 0);
        if (!strcmp(what, "code"))
                end(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
        if (!strcmp(what, "memory"))
                end(mmap(NULL, 1ul << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                         0) != MAP_FAILED);
        if (!strcmp(what, "image")) {
                int written = 0;
                for (int fd = 3; fd < 1024; fd++)
                        written |= syscall(SYS_pwrite64, fd, "x", 1, 0) == 1;
                end(written);
        }
        if (!strcmp(what, "more-memory")) {
                struct rlimit none_at_all = {RLIM_INFINITY, RLIM_INFINITY};
                end(syscall(SYS_prlimit64, 0, RLIMIT_AS, &none_at_all, NULL) >= 0);
        }
        if (!strcmp(what, "inherited")) {
                const char *fd = getenv("FLUID_TEST_FD");
                char byte;
                end(fd && read(atoi(fd), &byte, 1) == 1);
        }
        if (!strcmp(what, "spin"))
                for (;;)
                        ;
        if (!strcmp(what, "flood"))
                for (;;) {
                        static char zeros[65536];
                        if (syscall(SYS_write, 1, zeros, sizeof zeros) < 0)
                                end(errno != EFBIG);
                }
        end(1);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
        const char *what = getenv("FLUID_TEST_TRY");

        if (what && fd == 1)
                try(what);
        return syscall(SYS_write, fd, bytes, size);
}
