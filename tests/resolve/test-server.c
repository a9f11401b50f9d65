/* SPDX-License-Identifier: MIT */

/* The whole of fluid-resolver in a process of its own, while this one is the daemon, the guests and
 * the upstream in turn: so everything happens in the order in which it is written here. */

#include "resolve/server.h"

#include "base/cleanup.h"
#include "base/resolver-message.h"
#include "tests/fake/dns-packet.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define GATEWAY UINT32_C(0x7f000001)
#define CLIENT  UINT32_C(0x7f000002)
#define OTHER   UINT32_C(0x7f000003)

static int channel = -1, udp = -1, tcp = -1, upstream = -1, guest = -1;
static in_port_t port; /* in network byte order */
static pid_t pid;
static unsigned last_id;
static ResolverMessage news; /* what was added up of all news that were passed over */

/* -- sockets -------------------------------------------------------------------------------- */

static int open_socket(int type, uint32_t address, in_port_t *ret_port)
{
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
        int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
        socklen_t size = sizeof in;

        if (ret_port)
                in.sin_port = *ret_port;
        if (fd < 0 || bind(fd, (struct sockaddr *) &in, sizeof in) < 0)
                return close_fd(fd);
        g_assert(getsockname(fd, (struct sockaddr *) &in, &size) == 0);
        if (ret_port)
                *ret_port = in.sin_port;
        return fd;
}

static int connect_guest(int type, uint32_t address)
{
        struct sockaddr_in to = {
                .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(GATEWAY)};
        int fd = open_socket(type, address, NULL);

        g_assert(fd >= 0 && connect(fd, (struct sockaddr *) &to, sizeof to) == 0);
        return fd;
}

/* UDP and TCP on one port that nobody has. */
static void open_listening(void)
{
        for (unsigned i = 0; i < 100 && tcp < 0; i++) {
                udp = close_fd(udp);
                port = 0;
                udp = open_socket(SOCK_DGRAM, GATEWAY, &port);
                tcp = open_socket(SOCK_STREAM, GATEWAY, &port);
        }
        g_assert(tcp >= 0 && listen(tcp, 16) == 0);
        g_assert(fcntl(udp, F_SETFL, O_NONBLOCK) == 0 && fcntl(tcp, F_SETFL, O_NONBLOCK) == 0);
}

static bool is_readable(int fd)
{
        struct pollfd p = {.fd = fd, .events = POLLIN};

        return poll(&p, 1, 0) == 1;
}

/* -- the daemon ----------------------------------------------------------------------------- */

static void tell(ResolverMessage *m)
{
        g_assert(resolver_message_send(channel, m) == 0);
}

/* The next message; its type is 0 where it is gone. News are added up. */
static ResolverMessage hear_any(void)
{
        struct pollfd p = {.fd = channel, .events = POLLIN};
        ResolverMessage m = {0};
        int r = 0;

        while (r == 0) {
                (void) poll(&p, 1, -1);
                r = resolver_message_receive(channel, false, &m, NULL);
        }
        if (r < 0)
                m.type = 0;
        if (m.type == RESOLVER_NEWS) {
                news.news.questions += m.news.questions;
                news.news.refused += m.news.refused;
                news.news.limited += m.news.limited;
                news.news.failed += m.news.failed;
        }
        return m;
}

/* The next one that is no news. */
static ResolverMessage hear(void)
{
        ResolverMessage m;

        do
                m = hear_any();
        while (m.type == RESOLVER_NEWS);
        return m;
}

static void tell_list(uint32_t id, const char *pattern)
{
        ResolverMessage m = {.type = RESOLVER_LIST}, p = {.type = RESOLVER_PATTERN};

        m.list.id = p.pattern.list = id;
        (void) g_strlcpy(p.pattern.text, pattern, sizeof p.pattern.text);
        tell(&m);
        tell(&p);
}

static void tell_client(ResolverMessageType type, uint32_t address, uint32_t list)
{
        ResolverMessage m = {.type = type};

        m.client.address = address;
        m.client.list = list;
        tell(&m);
}

static void accept_found(const ResolverMessage *found, uint32_t mask)
{
        ResolverMessage m = {.type = RESOLVER_ACCEPTED};

        m.accepted.serial = found->found.serial;
        m.accepted.mask = mask;
        tell(&m);
}

static void tell_all(void)
{
        ResolverMessage m = {.type = RESOLVER_UPSTREAMS};
        struct sockaddr_in in;
        socklen_t size = sizeof in;

        g_assert(getsockname(upstream, (struct sockaddr *) &in, &size) == 0);
        m.upstreams.n = 1;
        m.upstreams.items[0] = (ResolverUpstream){
                .family = AF_INET, .port = in.sin_port, .address.v4 = in.sin_addr};
        tell(&m);
        tell_list(1, "*.example.com");
        tell_client(RESOLVER_CLIENT, CLIENT, 1);
        tell(&(ResolverMessage){.type = RESOLVER_LISTEN});
}

/* Begins a resolver that has not been told anything. */
static void begin_untold(void)
{
        int fds[2];

        open_listening();
        upstream = open_socket(SOCK_DGRAM, GATEWAY, &(in_port_t){0});
        g_assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
        (void) fflush(stdout);
        pid = fork();
        if (pid == 0) {
                (void) close(fds[0]);
                exit(server_run(fds[1], udp, tcp, NULL) == 0 ? 42 : 43); /* and leaks are told */
        }
        (void) close(fds[1]);
        channel = fds[0];
        guest = connect_guest(SOCK_DGRAM, CLIENT);
        news = (ResolverMessage){0};
        if (hear().type != RESOLVER_READY)
                tap_bail_out("it is not ready");
}

static void begin(void)
{
        begin_untold();
        tell_all();
}

/* The exit status. */
static int end(void)
{
        int status = 0;

        channel = close_fd(channel);
        (void) waitpid(pid, &status, 0);
        udp = close_fd(udp);
        tcp = close_fd(tcp);
        upstream = close_fd(upstream);
        guest = close_fd(guest);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* -- the guests, and the upstream ----------------------------------------------------------- */

static void guest_send(int fd, const char *name)
{
        g_autoptr(DnsPacket) p = dns_packet(++last_id & 0xffff, DNS_ASK);

        dns_put_question(p, name, ns_t_a);
        g_assert(send(fd, p->data, p->len, MSG_NOSIGNAL) == (ssize_t) p->len);
}

static char *guest_receive(int fd)
{
        uint8_t bytes[4096];
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);

        return n > 0 ? dns_describe(bytes, (size_t) n) : g_strdup("nothing");
}

static void guest_expect(int fd, const char *expected, const char *sentence)
{
        g_autofree char *got = guest_receive(fd);

        tap_is_str(got, expected, "%s", sentence);
}

typedef struct Asked {
        struct sockaddr_in from;
        unsigned id;
        char name[NS_MAXDNAME];
} Asked;

static Asked upstream_receive(void)
{
        Asked a = {0};
        socklen_t size = sizeof a.from;
        uint8_t bytes[2048];
        ssize_t n = recvfrom(upstream, bytes, sizeof bytes, 0, (struct sockaddr *) &a.from, &size);
        ns_msg m;
        ns_rr rr;

        g_assert(n > 0 && ns_initparse(bytes, (int) n, &m) == 0 &&
                 ns_parserr(&m, ns_s_qd, 0, &rr) == 0);
        a.id = ns_msg_id(m);
        (void) g_strlcpy(a.name, ns_rr_name(rr), sizeof a.name);
        return a;
}

static void upstream_answer(const Asked *a, const char *address)
{
        g_autoptr(DnsPacket) p = dns_packet(a->id, DNS_REPLY);

        dns_put_question(p, a->name, ns_t_a);
        dns_put_a(p, a->name, 60, address);
        (void) sendto(upstream, p->data, p->len, 0, (const struct sockaddr *) &a->from,
                      sizeof a->from);
}

/* From the guest's question to the daemon's ears. */
static ResolverMessage find(const char *name)
{
        Asked a;

        guest_send(guest, name);
        a = upstream_receive();
        upstream_answer(&a, "9.9.9.9");
        return hear();
}

/* What it was asked before has been dealt with when it answers this. */
static void settle(void)
{
        autofd other = connect_guest(SOCK_DGRAM, OTHER);

        tell_client(RESOLVER_CLIENT, OTHER, 1);
        guest_send(other, "settle.example.org");
        g_free(guest_receive(other));
}

/* -- cases ---------------------------------------------------------------------------------- */

static void test_beginning(void)
{
        begin_untold();
        guest_send(guest, "a.example.org");
        tell_all();
        guest_expect(guest, "NXDOMAIN", "what was asked before it was told all is not lost");
        tap_is_int(end(), 42, "when the daemon ends, so does it");
}

static void test_order(void)
{
        ResolverMessage m;

        begin();
        m = find("a.example.com");
        tap_ok(m.type == RESOLVER_FOUND && m.found.client == CLIENT && m.found.list == 1 &&
                       m.found.n == 1 && m.found.addresses[0] == UINT32_C(0x09090909) &&
                       m.found.ttl_sec == 60 && g_str_equal(m.found.name, "a.example.com"),
               "the daemon is told what was found");
        m.found.serial++;
        accept_found(&m, 1);
        settle();
        tap_ok(!is_readable(guest), "nothing is answered before that was accepted");
        m.found.serial--;
        accept_found(&m, 1);
        guest_expect(guest, "NOERROR a.example.com 60 A 9.9.9.9", "then it is");
        accept_found(&m, 1);
        settle();
        tap_ok(!is_readable(guest), "accepted twice it is answered once");

        m = find("b.example.com");
        accept_found(&m, 0);
        guest_expect(guest, "NOERROR", "what was not accepted is not answered");
        m = hear();
        tap_ok(m.type == RESOLVER_REFUSED && m.refused.reason == RESOLVER_REASON_ADDRESS,
               "and is told as refused");
        g_assert(end() == 42);
}

static void test_silent_daemon(void)
{
        begin();
        (void) find("a.example.com");
        guest_expect(guest, "SERVFAIL", "when the daemon does not accept in time, it is a failure");
        while (news.news.failed == 0)
                (void) hear_any();
        tap_is_int(news.news.failed, 1, "and counted");
        g_assert(end() == 42);
}

static void test_twice(void)
{
        Asked a;
        ResolverMessage m;

        begin();
        guest_send(guest, "a.example.com");
        last_id--;
        guest_send(guest, "a.example.com");
        a = upstream_receive();
        settle();
        tap_ok(!is_readable(upstream), "a question that is repeated is asked once");
        upstream_answer(&a, "9.9.9.9");
        m = hear();
        accept_found(&m, 1);
        guest_expect(guest, "NOERROR a.example.com 60 A 9.9.9.9", "and answered");
        settle();
        tap_ok(!is_readable(guest), "once, too");
        g_assert(end() == 42);
}

static void test_changes(void)
{
        ResolverMessage m;
        Asked a;

        begin();
        guest_send(guest, "a.example.com");
        a = upstream_receive();
        tell_list(2, "b.example.com");
        tell_client(RESOLVER_CLIENT, CLIENT, 2);
        upstream_answer(&a, "9.9.9.9");
        guest_expect(guest, "NXDOMAIN", "a name that is not allowed any more is not answered");
        m = hear();
        tap_ok(m.type == RESOLVER_REFUSED && m.refused.reason == RESOLVER_REASON_NAME,
               "and is told as refused");
        m = find("b.example.com");
        tap_is_int(m.found.list, 2, "what is found is found for the new list");
        tell_client(RESOLVER_DROP_CLIENT, CLIENT, 0);
        accept_found(&m, 1);
        settle();
        tap_ok(!is_readable(guest), "a client that is gone is not answered");
        tell_client(RESOLVER_CLIENT, CLIENT, 2);
        guest_send(guest, "b.example.com");
        a = upstream_receive();
        tell_client(RESOLVER_DROP_CLIENT, CLIENT, 0);
        tell_client(RESOLVER_CLIENT, CLIENT, 2);
        upstream_answer(&a, "9.9.9.9");
        m = find("b.example.com");
        accept_found(&m, 1);
        guest_expect(guest, "NOERROR b.example.com 60 A 9.9.9.9",
                     "one that is back has not asked yet");
        settle();
        tap_ok(!is_readable(guest), "and is answered once");
        g_assert(end() == 42);
}

static void test_limits(void)
{
        uint8_t bytes[4096];
        unsigned n = 0;

        begin();
        for (unsigned i = 0; i < 64; i++) {
                g_autofree char *name = g_strdup_printf("%u.example.com", i);
                guest_send(guest, name);
                (void) upstream_receive();
        }
        guest_send(guest, "more.example.com");
        guest_expect(guest, "SERVFAIL", "the 65th question at a time is a failure");
        while (news.news.limited == 0)
                (void) hear_any();
        tap_is_int(news.news.limited, 1, "and is counted");
        /* Faster than anybody may ask, until that is told. */
        while (news.news.limited == 1) {
                for (unsigned i = 0; i < 10; i++, n++)
                        guest_send(guest, "a.example.org");
                while (recv(guest, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
                        ;
                while (news.news.limited == 1 && is_readable(channel))
                        (void) hear_any();
        }
        tap_ok(n + 65 >= 400, "who asks more than 400 times at once is not answered");
        g_assert(end() == 42);
}

static bool is_answered_over_tcp(int fd)
{
        g_autoptr(DnsPacket) p = dns_packet(++last_id & 0xffff, DNS_ASK);
        uint8_t bytes[4096];
        ssize_t n;

        dns_put_question(p, "a.example.org", ns_t_a);
        uint8_t size[] = {(uint8_t) (p->len >> 8), (uint8_t) p->len};
        g_byte_array_prepend(p, size, sizeof size);
        (void) send(fd, p->data, p->len, MSG_NOSIGNAL);
        n = recv(fd, bytes, NS_INT16SZ, MSG_WAITALL);
        return n == NS_INT16SZ && recv(fd, bytes, ns_get16(bytes), MSG_WAITALL) > 0;
}

static bool is_hung_up(int fd)
{
        uint8_t byte;

        return recv(fd, &byte, 1, 0) <= 0;
}

static void test_connections(void)
{
        int fds[5];
        bool are_answered = true;

        begin();
        for (unsigned i = 0; i < 4; i++) {
                fds[i] = connect_guest(SOCK_STREAM, CLIENT);
                are_answered = are_answered && is_answered_over_tcp(fds[i]);
        }
        tap_ok(are_answered, "a guest has four connections");
        fds[4] = connect_guest(SOCK_STREAM, CLIENT);
        tap_ok(is_hung_up(fds[4]) && is_answered_over_tcp(fds[0]), "and no fifth");
        g_assert(send(fds[0], "\0\1x", 3, MSG_NOSIGNAL) == 3);
        tap_ok(is_hung_up(fds[0]), "a packet that is too short ends one");
        g_assert(send(fds[1], "\xff\xff", 2, MSG_NOSIGNAL) == 2);
        tap_ok(is_hung_up(fds[1]), "one that is too long, too");
        tap_ok(is_hung_up(fds[2]), "so does saying nothing for long");
        for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++)
                (void) close_fd(fds[i]);
        g_assert(end() == 42);
}

static void test_contradictions(void)
{
        begin();
        tell_client(RESOLVER_CLIENT, OTHER, 77);
        while (hear().type != 0)
                ;
        tap_is_int(end(), 43, "a daemon that contradicts itself ends it");
        begin();
        g_assert(write(channel, "x", 1) == 1);
        while (hear().type != 0)
                ;
        tap_is_int(end(), 43, "so does one that is of another version");
}

int main(void)
{
        test_beginning();
        test_order();
        test_silent_daemon();
        test_twice();
        test_changes();
        test_limits();
        test_connections();
        test_contradictions();
        return tap_done();
}
