/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/confine.h"
#include "base/quantity.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#define SOCKETS    20
#define MEMORY_MAX (UINT64_C(512) << 20)

enum { GOOD = 42, BAD = 1 };

static int kept, other, kept_socket, kept_listener, client;
static in_port_t listening_port;

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

/* As it is used: an sd_event is told of a datagram, and of the time. */
static int on_datagram(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        char byte;

        (void) source, (void) revents, (void) userdata;
        return recv(fd, &byte, 1, 0) == 1 && byte == 'x' ? 0 : -EBADMSG;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
        (void) usec, (void) userdata;
        return sd_event_exit(sd_event_source_get_event(source), GOOD);
}

static void use_sockets(void)
{
        sd_event *event = NULL;
        int tcp = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = listening_port,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

        if ((tcp < 0 && errno != EAFNOSUPPORT) || udp < 0 ||
            connect(udp, (struct sockaddr *) &to, sizeof to) < 0 || send(udp, "x", 1, 0) != 1 ||
            sd_event_new(&event) < 0 ||
            sd_event_add_io(event, NULL, kept_socket, EPOLLIN, on_datagram, NULL) < 0 ||
            sd_event_add_time_relative(event, NULL, CLOCK_MONOTONIC, 1000, 1, on_time, NULL) < 0)
                _exit(BAD);
        _exit(sd_event_loop(event));
}

static void use_many_sockets(void)
{
        unsigned n = 0;

        while (n <= SOCKETS && socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) >= 0)
                n++;
        _exit(n <= SOCKETS && errno == EMFILE ? GOOD : BAD);
}

static void make_raw_socket(void)
{
        (void) socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 0);
        _exit(BAD);
}

static void make_local_socket(void)
{
        (void) socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        _exit(BAD);
}

static void make_other_protocol(void)
{
        (void) socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);
        _exit(BAD);
}

static void bind_socket(void)
{
        struct sockaddr_in any = {.sin_family = AF_INET};
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        (void) bind(fd, (struct sockaddr *) &any, sizeof any);
        _exit(BAD);
}

static void listen_somewhere(void)
{
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof address;

        kept_socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (bind(kept_socket, (struct sockaddr *) &address, size) < 0 ||
            getsockname(kept_socket, (struct sockaddr *) &address, &size) < 0)
                tap_bail_out("no socket");
        listening_port = address.sin_port;
}

/* Instead of a number of sockets: as who serves what connects. */
#define SERVER UINT_MAX

/* Somebody waits there already. */
static void listen_for_clients(void)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        socklen_t size = sizeof(sa_family_t);

        kept_listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        /* A name that the kernel chooses. */
        if (bind(kept_listener, (struct sockaddr *) &address, size) < 0 ||
            listen(kept_listener, 1) < 0)
                tap_bail_out("no listening socket");
        size = sizeof address;
        if (getsockname(kept_listener, (struct sockaddr *) &address, &size) < 0 ||
            connect(client, (struct sockaddr *) &address, size) < 0 || write(client, "x", 1) != 1)
                tap_bail_out("no client");
}

static void serve_client(void)
{
        struct sockaddr_un from;
        socklen_t size = sizeof from;
        int fd = accept4(kept_listener, (struct sockaddr *) &from, &size, SOCK_CLOEXEC);
        char byte;

        _exit(fd >= 0 && read(fd, &byte, 1) == 1 && byte == 'x' && write(fd, "y", 1) == 1 ? GOOD
                                                                                          : BAD);
}

static int seal(unsigned sockets_max)
{
        const int keep[] = {kept, kept_socket, kept_listener};

        return sockets_max == SERVER ? confine_seal_server(keep, 3, 64, NULL)
                                     : confine_seal(keep, 2, sockets_max, NULL);
}

static int run_sealed(void (*attempt)(void), unsigned sockets_max)
{
        pid_t pid = fork();
        int status = 0;

        if (pid < 0)
                tap_bail_out("cannot fork");
        if (pid == 0) {
                if (confine_limits(MEMORY_MAX, USEC_INFINITY, NULL) < 0 || seal(sockets_max) < 0)
                        _exit(BAD);
                attempt();
        }
        if (waitpid(pid, &status, 0) != pid)
                tap_bail_out("cannot wait");
        return status;
}

static void test_allowed(const char *sentence, unsigned sockets_max, void (*attempt)(void))
{
        int status = run_sealed(attempt, sockets_max);

        tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == GOOD, "%s", sentence);
}

static void test_killed(const char *sentence, unsigned sockets_max, void (*attempt)(void))
{
        int status = run_sealed(attempt, sockets_max);

        tap_ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s", sentence);
}

static void test_deadline(void)
{
        pid_t pid = fork();
        int status = 0;

        if (pid == 0) {
                (void) close(STDERR_FILENO);
                if (confine_limits(MEMORY_MAX, 10 * USEC_PER_MSEC, NULL) < 0)
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
        listen_somewhere();
        listen_for_clients();
        test_deadline();
#ifdef SANITIZED
        const bool is_sanitized = true;
#else
        const bool is_sanitized = false;
#endif
        if (is_sanitized) {
                tap_skip("a sealed process is confined", "the sanitizer needs what is forbidden");
                return tap_done();
        }
        test_allowed("an input stays readable", 0, read_kept);
        test_allowed("other descriptors are closed", 0, read_other);
        test_allowed("nothing can be opened by path", 0, open_path);
        test_allowed("memory is limited", 0, use_memory);
        test_killed("a socket kills", 0, make_socket);
        test_killed("executing a program kills", 0, execute);
        test_killed("making a process kills", 0, make_process);
        test_killed("mounting kills", 0, mount_something);
        test_killed("memory that can be executed kills", 0, make_code);
        test_allowed("with sockets, UDP and TCP work, and waiting for them", SOCKETS, use_sockets);
        test_allowed("with sockets, there are not more than asked for", SOCKETS, use_many_sockets);
        test_allowed("with sockets, nothing can be opened by path", SOCKETS, open_path);
        test_killed("with sockets, a raw one kills", SOCKETS, make_raw_socket);
        test_killed("with sockets, one of another family kills", SOCKETS, make_local_socket);
        test_killed("with sockets, a UDP socket of another protocol kills", SOCKETS,
                    make_other_protocol);
        test_killed("with sockets, binding one kills", SOCKETS, bind_socket);
        test_killed("with sockets, executing a program kills", SOCKETS, execute);
        test_allowed("a server has clients", SERVER, serve_client);
        test_allowed("it can open nothing by path", SERVER, open_path);
        test_killed("and make no socket of its own", SERVER, make_socket);
        test_killed("not of the other kind either", SERVER, make_local_socket);
        test_killed("nor a process", SERVER, make_process);
        return tap_done();
}
