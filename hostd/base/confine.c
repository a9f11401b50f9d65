/* SPDX-License-Identifier: MIT */
#include "base/confine.h"

#include "base/cleanup.h"
#include "base/quantity.h"

#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif

/* The sanitizer's shadow needs terabytes, and its report needs system calls. */
#ifdef SANITIZED
static const bool is_sanitized = true;
#else
static const bool is_sanitized = false;
#endif

/* Nothing is allocated here. */
static void say(const char *message)
{
        const char *name = program_invocation_short_name;
        struct iovec parts[] = {
                {(char *) name, strlen(name)},
                {(char *) message, strlen(message)},
        };

        (void) !writev(STDERR_FILENO, parts, (int) G_N_ELEMENTS(parts));
}

static void on_deadline(int signal)
{
        (void) signal;
        say(": the deadline passed first\n");
        _exit(EXIT_FAILURE);
}

/* GLib's errors are about memory: where it cannot have any, it says so and traps. */
static GLogWriterOutput on_log(GLogLevelFlags level, const GLogField *fields, gsize n_fields,
                               gpointer data)
{
        (void) fields, (void) n_fields, (void) data;
        if (level & (G_LOG_LEVEL_ERROR | G_LOG_FLAG_FATAL)) {
                say(": the memory limit was reached\n");
                _exit(EXIT_FAILURE);
        }
        return G_LOG_WRITER_HANDLED;
}

static int limit(int resource, uint64_t value, Fault *f)
{
        struct rlimit old;

        if (getrlimit((__rlimit_resource_t) resource, &old) < 0)
                return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot read a resource limit");
        rlim_t wanted = (rlim_t) MIN(value, (uint64_t) old.rlim_max);
        struct rlimit new = {.rlim_cur = wanted, .rlim_max = wanted};
        if (setrlimit((__rlimit_resource_t) resource, &new) < 0)
                return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot set a resource limit");
        return 0;
}

static int set_deadline(uint64_t usec, Fault *f)
{
        uint64_t seconds = usec / USEC_PER_SEC;
        struct itimerval timer = {
                .it_value = {.tv_sec = (time_t) seconds,
                             .tv_usec = (suseconds_t) MAX(usec % USEC_PER_SEC, seconds ? 0 : 1)},
        };

        if (setitimer(ITIMER_REAL, &timer, NULL) < 0)
                return fault_set_errno(f, FAULT_INVALID_ARGUMENT, errno, "cannot set the deadline");
        /* Should the timer's signal be lost, the processor time ends it. */
        return limit(RLIMIT_CPU, seconds + 2, f);
}

int confine_limits(uint64_t memory_bytes, uint64_t deadline_usec, Fault *f)
{
        struct sigaction deadline = {.sa_handler = on_deadline};

        if (sigaction(SIGALRM, &deadline, NULL) < 0 || sigaction(SIGXCPU, &deadline, NULL) < 0)
                return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot set up signals");
        g_log_set_writer_func(on_log, NULL, NULL);
        int r = limit(RLIMIT_CORE, 0, f);
        if (r == 0 && !is_sanitized)
                r = limit(RLIMIT_AS, memory_bytes, f);
        if (r == 0 && deadline_usec != USEC_INFINITY)
                r = set_deadline(deadline_usec, f);
        return r;
}

int confine_output(uint64_t bytes, Fault *f)
{
        const struct sigaction ignore = {.sa_handler = SIG_IGN};

        if (sigaction(SIGXFSZ, &ignore, NULL) < 0)
                return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot set up signals");
        return limit(RLIMIT_FSIZE, bytes, f);
}

static int compare_ints(const void *a, const void *b)
{
        int x = *(const int *) a, y = *(const int *) b;

        return (x > y) - (x < y);
}

static int close_others(const int *keep, unsigned n_keep, Fault *f)
{
        g_autofree int *sorted = g_memdup2(keep, n_keep * sizeof(*keep));
        unsigned from = STDERR_FILENO + 1;

        if (n_keep > 0)
                qsort(sorted, n_keep, sizeof(*sorted), compare_ints);
        for (unsigned i = 0; i <= n_keep; i++) {
                unsigned to = i < n_keep ? (unsigned) sorted[i] : ~0u;

                if (i < n_keep && to < from)
                        continue;
                if (from < to && close_range(from, i < n_keep ? to - 1 : to, 0) < 0)
                        return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot close files");
                from = to + 1;
        }
        return 0;
}

static int add(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                int r = seccomp_rule_add(filter, action, calls[i], 0);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* What GLib tries on the way to the text of an error, and can do without. */
static int deny_softly(scmp_filter_ctx filter)
{
        static const int calls[] = {
                SCMP_SYS(openat),     SCMP_SYS(open),  SCMP_SYS(getpeername),
                SCMP_SYS(newfstatat), SCMP_SYS(fstat),
        };

        return add(filter, SCMP_ACT_ERRNO(EACCES), calls, G_N_ELEMENTS(calls));
}

static int allow(scmp_filter_ctx filter)
{
        static const int calls[] = {
                SCMP_SYS(read),
                SCMP_SYS(pread64),
                SCMP_SYS(write),
                SCMP_SYS(writev),
                SCMP_SYS(munmap),
                SCMP_SYS(mremap),
                SCMP_SYS(madvise),
                SCMP_SYS(brk),
                SCMP_SYS(futex),
                SCMP_SYS(exit),
                SCMP_SYS(exit_group),
                SCMP_SYS(rt_sigreturn),
                SCMP_SYS(clock_gettime),
                SCMP_SYS(gettimeofday),
                SCMP_SYS(getrandom),
                SCMP_SYS(close),
                SCMP_SYS(restart_syscall),
        };
        int r = add(filter, SCMP_ACT_ALLOW, calls, G_N_ELEMENTS(calls));

        /* Memory, but never memory that can be executed. */
        if (r == 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                                     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        if (r == 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                                     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        return r;
}

/* Sockets for UDP and TCP, and what an sd_event waits for them with. */
static int allow_internet(scmp_filter_ctx filter)
{
        static const int calls[] = {
                SCMP_SYS(accept4),         SCMP_SYS(connect),      SCMP_SYS(recvfrom),
                SCMP_SYS(sendto),          SCMP_SYS(getpid),       SCMP_SYS(gettid),
                SCMP_SYS(epoll_create1),   SCMP_SYS(epoll_ctl),    SCMP_SYS(epoll_wait),
                SCMP_SYS(epoll_pwait),     SCMP_SYS(epoll_pwait2), SCMP_SYS(timerfd_create),
                SCMP_SYS(timerfd_settime),
        };
        static const int families[] = {AF_INET, AF_INET6}, types[] = {SOCK_DGRAM, SOCK_STREAM};
        int r = add(filter, SCMP_ACT_ALLOW, calls, G_N_ELEMENTS(calls));

        for (size_t i = 0; i < G_N_ELEMENTS(families); i++)
                for (size_t j = 0; r == 0 && j < G_N_ELEMENTS(types); j++)
                        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 3,
                                             SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t) families[i], 0),
                                             SCMP_A1(SCMP_CMP_MASKED_EQ,
                                                     (scmp_datum_t) ~(SOCK_CLOEXEC | SOCK_NONBLOCK),
                                                     (scmp_datum_t) types[j]),
                                             SCMP_A2(SCMP_CMP_EQ, 0, 0));
        return r;
}

static int allow_server(scmp_filter_ctx filter)
{
        static const int calls[] = {
                SCMP_SYS(accept4),
                SCMP_SYS(epoll_ctl),
                SCMP_SYS(epoll_wait),
                SCMP_SYS(epoll_pwait),
        };

        return add(filter, SCMP_ACT_ALLOW, calls, G_N_ELEMENTS(calls));
}

/* For who starts the program as root. Whoever has none already may not be allowed to say so. */
static int drop_capabilities(void)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
        struct __user_cap_data_struct some[_LINUX_CAPABILITY_U32S_3];

        if (syscall(SYS_capget, &header, some) == 0 && memcmp(some, none, sizeof(none)) == 0)
                return 0;
        return (int) syscall(SYS_capset, &header, none);
}

/* `allow_more` is NULL for none. */
static int filter_calls(int (*allow_more)(scmp_filter_ctx filter), Fault *f)
{
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
        int r;

        if (!filter)
                return fault_set(f, FAULT_NO_MEMORY, "cannot make a system call filter");
        r = allow(filter);
        if (r == 0)
                r = deny_softly(filter);
        if (r == 0 && allow_more)
                r = allow_more(filter);
        if (r == 0)
                r = seccomp_load(filter);
        seccomp_release(filter);
        return r < 0 ? fault_set_errno(f, FAULT_INTERNAL, r, "cannot set the system call filter")
                     : 0;
}

static int seal(const int *keep, unsigned n_keep, unsigned fds_max,
                int (*allow_more)(scmp_filter_ctx filter), Fault *f)
{
        if (is_sanitized)
                return 0;
        int r = close_others(keep, n_keep, f);
        if (r < 0)
                return r;
        r = limit(RLIMIT_NOFILE, fds_max, f);
        if (r < 0)
                return r;
        if (drop_capabilities() < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot give up privileges");
        return filter_calls(allow_more, f);
}

int confine_seal(const int *keep, unsigned n_keep, unsigned sockets_max, Fault *f)
{
        return seal(keep, n_keep, sockets_max, sockets_max > 0 ? allow_internet : NULL, f);
}

int confine_seal_server(const int *keep, unsigned n_keep, unsigned fds_max, Fault *f)
{
        return seal(keep, n_keep, fds_max, allow_server, f);
}
