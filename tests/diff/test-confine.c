/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "diff/confine.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

enum { GOOD = 42, BAD = 1 };

static int kept, other;

/* Each runs in a process of its own that has been sealed, and ends it with GOOD if nothing stops it
 * and all is as it should be. */
static void read_kept(void)
{
        char byte;

        _exit(pread(kept, &byte, 1, 0) == 1 ? GOOD : BAD);
}

static void read_other(void)
{
        char byte;

        _exit(pread(other, &byte, 1, 0) < 0 && errno == EBADF ? GOOD : BAD);
}

static void open_path(void)
{
        _exit(open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES ? GOOD : BAD);
}

static void make_socket(void)
{
        (void) socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        _exit(BAD);
}

static void execute(void)
{
        static char *argv[] = {NULL};

        (void) execve("/bin/true", argv, argv);
        _exit(BAD);
}

static void make_process(void)
{
        (void) syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        _exit(BAD);
}

static void mount_something(void)
{
        (void) syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, NULL);
        _exit(BAD);
}

static void make_code(void)
{
        (void) mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                    0);
        _exit(BAD);
}

static void use_memory(void)
{
        void *memory = mmap(NULL, (size_t) 1 << 30, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        _exit(memory == MAP_FAILED && errno == ENOMEM ? GOOD : BAD);
}

static int run_sealed(void (*attempt)(void))
{
        pid_t pid = fork();
        int status = 0;

        if (pid < 0)
                tap_bail_out("cannot fork");
        if (pid == 0) {
                if (confine_limits(CONFINE_MEMORY_DEFAULT, USEC_INFINITY, NULL) < 0 ||
                    confine_seal(&kept, 1, NULL) < 0)
                        _exit(BAD);
                attempt();
        }
        if (waitpid(pid, &status, 0) != pid)
                tap_bail_out("cannot wait");
        return status;
}

static void test_allowed(const char *sentence, void (*attempt)(void))
{
        int status = run_sealed(attempt);

        tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == GOOD, "%s", sentence);
}

static void test_killed(const char *sentence, void (*attempt)(void))
{
        int status = run_sealed(attempt);

        tap_ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s", sentence);
}

static void test_deadline(void)
{
        pid_t pid = fork();
        int status = 0;

        if (pid == 0) {
                (void) close(STDERR_FILENO);
                if (confine_limits(CONFINE_MEMORY_DEFAULT, 10 * USEC_PER_MSEC, NULL) < 0)
                        _exit(GOOD);
                for (;;)
                        (void) pause();
        }
        (void) waitpid(pid, &status, 0);
        tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE,
               "the deadline ends a process that does nothing");
}

int main(void)
{
        kept = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        other = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        test_deadline();
#ifdef SANITIZED
        tap_skip("a sealed process is confined", "the sanitizer needs what is forbidden");
#else
        test_allowed("an input stays readable", read_kept);
        test_allowed("other descriptors are closed", read_other);
        test_allowed("nothing can be opened by path", open_path);
        test_allowed("memory is limited", use_memory);
        test_killed("a socket kills", make_socket);
        test_killed("executing a program kills", execute);
        test_killed("making a process kills", make_process);
        test_killed("mounting kills", mount_something);
        test_killed("memory that can be executed kills", make_code);
#endif
        return tap_done();
}
