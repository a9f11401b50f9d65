/* SPDX-License-Identifier: MIT */

/* What the resolver's user may send: live-resolver (root), in network namespaces of its own. The
 * kernel tells a sender of UDP that its packet was dropped on the way out: EPERM. */

#include "base/cleanup.h"
#include "tests/net/network.h"
#include "tests/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT 5300 /* as network_open_firewall() has it */

typedef int (*Job)(void);

static struct sockaddr_storage to, from;

static socklen_t length_of(const struct sockaddr_storage *s)
{
        return s->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

static struct sockaddr_storage place(const char *address, uint16_t port)
{
        struct sockaddr_storage s = {.ss_family = AF_INET};
        struct sockaddr_in *v4 = (void *) &s;
        struct sockaddr_in6 *v6 = (void *) &s;

        v4->sin_port = htons(port);
        if (inet_pton(AF_INET, address, &v4->sin_addr) == 1)
                return s;
        s.ss_family = AF_INET6;
        g_assert(inet_pton(AF_INET6, address, &v6->sin6_addr) == 1);
        return s;
}

/* The errno of a job that such a user does. */
static int do_as(uid_t uid, Job job)
{
        int status = 0;
        pid_t pid = fork();

        if (pid == 0)
                _exit(setresuid(uid, uid, uid) < 0 ? EINVAL : job());
        if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
                tap_bail_out("cannot send as another user");
        return WEXITSTATUS(status);
}

static int send_datagram(void)
{
        autofd fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (from.ss_family && bind(fd, (struct sockaddr *) &from, length_of(&from)) < 0)
                return errno;
        return sendto(fd, "?", 1, 0, (struct sockaddr *) &to, length_of(&to)) == 1 ? 0 : errno;
}

static int connect_stream(void)
{
        autofd fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        return connect(fd, (struct sockaddr *) &to, length_of(&to)) == 0 ? 0 : errno;
}

/* Only whether a packet of it was dropped: it would wait for an answer for minutes. */
static int begin_stream(void)
{
        autofd fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        (void) connect(fd, (struct sockaddr *) &to, length_of(&to));
        return 0;
}

static void is_sent(uid_t uid, const char *address, uint16_t port, int expected, const char *why)
{
        to = place(address, port);
        int error = do_as(uid, send_datagram);
        if (!tap_ok(error == expected, "%s", why))
                tap_note("%s port %u: %s", address, port, g_strerror(error));
}

static unsigned dropped(void)
{
        g_autofree char *text = NULL;

        if (!g_spawn_command_line_sync("nft list counter inet fluid dropped-resolver", &text, NULL,
                                       NULL, NULL))
                tap_bail_out("cannot read the counter");
        const char *number = strstr(text, "packets ");
        return number ? (unsigned) atoi(number + strlen("packets ")) : 0;
}

static ResolverUpstream upstream(const char *address, uint16_t port)
{
        ResolverUpstream u = {.family = AF_INET, .port = htons(port)};

        if (inet_pton(AF_INET, address, &u.address.v4) == 1)
                return u;
        u.family = AF_INET6;
        g_assert(inet_pton(AF_INET6, address, &u.address.v6) == 1);
        return u;
}

static bool is_right(Firewall *fw)
{
        Fault f = {0};
        int r = firewall_verify_all(fw, &f);

        if (r < 0)
                tap_note("%s", f.message);
        return r == 0;
}

static void test_asking(Firewall *fw, const Network *n)
{
        const ResolverUpstream one[] = {upstream("9.9.9.9", 53), upstream("::1", 53)};
        const ResolverUpstream other[] = {upstream("9.9.9.10", 5353)};

        is_sent(NETWORK_RESOLVER_UID, "9.9.9.9", 53, EPERM,
                "it asks nobody before it is told whom");
        tap_ok(firewall_set_upstreams(fw, one, 2, NULL) == 0 && is_right(fw), "it is told of two");
        is_sent(NETWORK_RESOLVER_UID, "9.9.9.9", 53, 0, "it asks one");
        is_sent(NETWORK_RESOLVER_UID, "::1", 53, 0, "and the other, by IPv6");
        is_sent(NETWORK_RESOLVER_UID, "9.9.9.9", 80, EPERM, "on no other port");
        is_sent(NETWORK_RESOLVER_UID, "::1", 80, EPERM, "nor there");
        is_sent(NETWORK_RESOLVER_UID, "9.9.9.10", 53, EPERM, "no other address");
        is_sent(NETWORK_RESOLVER_UID, "127.0.0.1", 53, EPERM, "nor this host's own services");
        is_sent(NETWORK_RESOLVER_UID, "192.168.77.2", 53, EPERM, "nor its LAN");
        is_sent(NETWORK_RESOLVER_UID, "10.123.0.2", 53, EPERM, "nor a guest that asked nothing");
        is_sent(0, "9.9.9.10", 80, 0, "others are not held to it");
        is_sent(NETWORK_RESOLVER_UID + 1, "9.9.9.10", 80, 0, "whoever they are");

        to = place("9.9.9.9", 53);
        network_enter(n->lan);
        autofd listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(listener, (struct sockaddr *) &to, length_of(&to)) < 0 || listen(listener, 8) < 0)
                tap_bail_out("cannot listen");
        network_enter(n->host);
        tap_ok(do_as(NETWORK_RESOLVER_UID, connect_stream) == 0, "TCP is as UDP: it asks one");
        unsigned before = dropped();
        to = place("9.9.9.9", 80);
        (void) do_as(NETWORK_RESOLVER_UID, begin_stream);
        tap_ok(dropped() > before, "and nothing else, which is counted");

        tap_ok(firewall_set_upstreams(fw, other, 1, NULL) == 0 && is_right(fw),
               "it is told of another");
        is_sent(NETWORK_RESOLVER_UID, "9.9.9.10", 5353, 0, "that it asks");
        is_sent(NETWORK_RESOLVER_UID, "9.9.9.9", 53, EPERM, "those before no more");
}

static void test_tampering(Firewall *fw)
{
        Fault f = {0};

        network_run("nft flush chain inet fluid asking");
        tap_ok(firewall_verify_all(fw, &f) < 0 && strstr(f.message, "asking"),
               "that somebody took them away is seen: %s", f.message);
        tap_ok(firewall_restore(fw, NULL) == 0 && is_right(fw), "and put right");
        is_sent(NETWORK_RESOLVER_UID, "9.9.9.10", 5353, 0, "with whom it asks");
        network_run("nft add rule inet fluid asking udp dport 80 accept");
        tap_ok(firewall_verify_all(fw, NULL) < 0 && firewall_restore(fw, NULL) == 0,
               "so is one more");
        is_sent(NETWORK_RESOLVER_UID, "9.9.9.10", 80, EPERM, "which is gone then");
}

/* What comes to the resolver goes back to where it came from. */
static int answer_one(void)
{
        struct sockaddr_in asker = {0};
        socklen_t size = sizeof asker;
        char c;
        autofd fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (bind(fd, (struct sockaddr *) &from, length_of(&from)) < 0)
                return errno;
        (void) alarm(20);
        (void) raise(SIGSTOP);
        if (recvfrom(fd, &c, 1, 0, (struct sockaddr *) &asker, &size) != 1)
                return errno;
        return sendto(fd, &c, 1, 0, (struct sockaddr *) &asker, size) == 1 ? 0 : errno;
}

static void test_answering(const Network *n)
{
        int status = 0;
        char c = 0;

        from = place("10.123.0.1", PORT);
        is_sent(NETWORK_RESOLVER_UID, "10.123.0.2", 4000, EPERM,
                "from its own port, too, nothing goes to a guest that asked nothing");
        pid_t pid = fork();
        if (pid == 0)
                _exit(setresuid(NETWORK_RESOLVER_UID, NETWORK_RESOLVER_UID, NETWORK_RESOLVER_UID) <
                                      0
                              ? EINVAL
                              : answer_one());
        if (pid < 0 || waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
                tap_bail_out("there is nobody to answer");
        network_enter(n->guests[0]);
        to = place("10.123.0.1", 53);
        autofd guest = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        const struct timeval patience = {.tv_sec = 20};
        (void) setsockopt(guest, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (connect(guest, (struct sockaddr *) &to, length_of(&to)) < 0 ||
            write(guest, "!", 1) != 1)
                tap_bail_out("cannot ask");
        network_enter(n->host);
        (void) kill(pid, SIGCONT);
        tap_ok(read(guest, &c, 1) == 1 && c == '!', "a guest that asked is answered");
        tap_ok(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0,
               "by the resolver's user");
}

int main(void)
{
        g_autoptr(Network) n = network_new(true, false);
        g_autoptr(Firewall) fw = network_open_firewall(n);
        Fault f = {0};

        network_run("ip -6 addr show dev lo | grep -q ::1 ||"
                    "{ echo 0 > /proc/sys/net/ipv6/conf/lo/disable_ipv6; }");
        network_add_guests(n);
        if (network_load(fw, "named", "named", NULL, 0, &f) < 0)
                tap_bail_out(f.message);
        test_asking(fw, n);
        test_tampering(fw);
        test_answering(n);
        return tap_done();
}
