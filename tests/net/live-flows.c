/* SPDX-License-Identifier: MIT */

/* What a profile allows works, what it does not goes nowhere, a change holds at once, and the
 * limits are kept: with real sockets in guests that are network namespaces. Root. */

#include "base/cleanup.h"
#include "tests/net/flow.h"
#include "tests/net/network.h"
#include "tests/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct World {
        Network *network;
        Firewall *fw;
        int web, other_web, dns, other_dns; /* on the internet */
        int lan_web, lan_ssh;               /* in the LAN */
        int gateway_dns, gateway_udp_dns;   /* dnsmasq's */
        int resolver, udp_resolver;         /* for profiles with names */
        int host_ssh;                       /* any address of the host */
        int guest_web, guest_udp, peer_web; /* in the sandboxes */
} World;

static void good(int r, const Fault *f)
{
        if (r < 0)
                tap_bail_out(f->message);
}

static void load(World *w, const char *profile, const FirewallPort *ports, size_t n_ports)
{
        Fault f = {0};

        network_enter(w->network->host);
        good(network_load(w->fw, profile, "internet", ports, n_ports, &f), &f);
}

static void change(World *w, const char *profile, const FirewallPort *ports, size_t n_ports)
{
        FirewallSandbox s = network_sandbox(2, profile);
        Fault f = {0};

        s.ports = ports;
        s.n_ports = n_ports;
        network_enter(w->network->host);
        good(firewall_set(w->fw, &s, &f), &f);
        good(firewall_verify(w->fw, SANDBOX_ID, &f), &f);
}

static FirewallCounters counters(World *w)
{
        FirewallCounters c = {0};
        Fault f = {0};

        good(firewall_counters(w->fw, SANDBOX_ID, &c, &f), &f);
        return c;
}

static void world_open(World *w, bool is_filtering)
{
        Network *n = network_new(true, is_filtering);

        network_add_guests(n);
        w->network = n;
        w->fw = network_open_firewall(n);
        w->web = flow_listen(n->lan, SOCK_STREAM, NETWORK_INTERNET, 80);
        w->other_web = flow_listen(n->lan, SOCK_STREAM, NETWORK_OTHER, 80);
        w->dns = flow_listen(n->lan, SOCK_DGRAM, NETWORK_INTERNET, 53);
        w->other_dns = flow_listen(n->lan, SOCK_DGRAM, NETWORK_OTHER, 53);
        w->lan_web = flow_listen(n->lan, SOCK_STREAM, NETWORK_LAN, 80);
        w->lan_ssh = flow_listen(n->lan, SOCK_STREAM, NETWORK_LAN, 22);
        w->gateway_dns = flow_listen(n->host, SOCK_STREAM, NETWORK_GATEWAY, 53);
        w->gateway_udp_dns = flow_listen(n->host, SOCK_DGRAM, NETWORK_GATEWAY, 53);
        w->resolver = flow_listen(n->host, SOCK_STREAM, NETWORK_GATEWAY, 5300);
        w->udp_resolver = flow_listen(n->host, SOCK_DGRAM, NETWORK_GATEWAY, 5300);
        w->host_ssh = flow_listen(n->host, SOCK_STREAM, 0, 22);
        w->guest_web = flow_listen(n->guests[0], SOCK_STREAM, 0, 80);
        w->guest_udp = flow_listen(n->guests[0], SOCK_DGRAM, NETWORK_SANDBOX, 53);
        w->peer_web = flow_listen(n->guests[1], SOCK_STREAM, 0, 80);
        network_enter(n->host);
}

static void world_close(World *w)
{
        const int fds[] = {w->web,         w->other_web,       w->dns,      w->other_dns,
                           w->lan_web,     w->lan_ssh,         w->resolver, w->udp_resolver,
                           w->gateway_dns, w->gateway_udp_dns, w->host_ssh, w->guest_web,
                           w->guest_udp,   w->peer_web};

        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
                (void) close_fd(fds[i]);
        (void) firewall_free(w->fw);
        (void) network_free(w->network);
}

/* -- frames ------------------------------------------------------------------------------------ */

/* How many frames the host has given to the peer. */
static unsigned long given_to_peer(void)
{
        g_autofree char *text = NULL;
        unsigned long packets = 0;
        const char *line = NULL;

        if (g_file_get_contents("/proc/thread-self/net/dev", &text, NULL, NULL))
                line = strstr(text, "fl-" PEER_ID ":");
        if (!line ||
            sscanf(strchr(line, ':') + 1, "%*u %*u %*u %*u %*u %*u %*u %*u %*u %lu", &packets) != 1)
                tap_bail_out("cannot tell what the peer got");
        return packets;
}

static void test_frames(World *w)
{
        int guest = w->network->guests[0];

        load(w, "internet", NULL, 0);
        network_run("ip neigh replace 10.123.0.2 lladdr 02:fd:0a:7b:00:03 dev fluid0");
        unsigned long before = given_to_peer();
        tap_ok(!flow_reaches(guest, NETWORK_INTERNET, 80, w->web),
               "an answer in the peer's frame does not get to the sandbox");
        network_enter(w->network->host);
        tap_is_int((long) given_to_peer(), (long) before, "nor to the peer");
        network_run("ip neigh replace 10.123.0.2 lladdr 02:fd:0a:7b:00:02 dev fluid0");

        tap_ok(flow_datagram(guest, NETWORK_INTERNET, 53, w->dns), "then all is well again");
        network_enter(w->network->host);
        network_run("nft delete element bridge fluid pinned '{ \"fl-000000000002\" . "
                    "02:fd:0a:7b:00:02 . 10.123.0.2 }'");
        tap_ok(flow_reaches(guest, NETWORK_INTERNET, 80, w->web),
               "TCP has a way of its own, which asks for no other pin");
        tap_ok(!flow_datagram(guest, NETWORK_INTERNET, 53, w->dns), "UDP has none");
}

/* -- profiles ---------------------------------------------------------------------------------- */

static void test_internet(World *w)
{
        Network *n = w->network;
        int guest = n->guests[0];

        load(w, "internet", NULL, 0);
        FirewallCounters before = counters(w);
        tap_ok(flow_reaches(guest, NETWORK_INTERNET, 80, w->web), "internet: TCP gets there");
        tap_ok(flow_datagram(guest, NETWORK_INTERNET, 53, w->dns), "internet: UDP gets there");
        tap_ok(flow_reaches(guest, NETWORK_GATEWAY, 53, w->gateway_dns),
               "internet: DNS over TCP of the gateway answers");
        tap_ok(flow_datagram(guest, NETWORK_GATEWAY, 53, w->gateway_udp_dns),
               "internet: DNS over UDP of the gateway answers");
        tap_ok(flow_datagram_of(guest, NETWORK_INTERNET, 53, w->dns, 4000),
               "internet: an answer in fragments arrives");
        tap_ok(flow_ping(guest, NETWORK_INTERNET), "internet: a ping answers");
        tap_ok(counters(w).passed.packets > before.passed.packets, "what passed was counted");
        autofd fd = flow_connect(guest, NETWORK_INTERNET, 80);
        uint32_t from = 0;
        autofd accepted = flow_accept(w->web, &from);
        tap_ok(flow_works(fd, accepted) && from == NETWORK_HOST,
               "internet: it comes from the host's address");
        tap_ok(!flow_reaches(guest, NETWORK_LAN, 80, w->lan_web), "internet: not the LAN");
        tap_ok(!flow_reaches(guest, NETWORK_HOST, 22, w->host_ssh), "internet: not the host");
        tap_ok(!flow_reaches(guest, NETWORK_GATEWAY, 22, w->host_ssh),
               "internet: not another port of the gateway");
        tap_ok(!flow_reaches(guest, NETWORK_GATEWAY, 5300, w->resolver),
               "internet: not the resolver of others");
        tap_ok(!flow_reaches(guest, NETWORK_PEER, 80, w->peer_web), "internet: not the peer");
        tap_ok(!flow_reaches(n->host, NETWORK_SANDBOX, 80, w->guest_web),
               "nobody begins a connection to a sandbox: not the host");
        tap_ok(!flow_reaches(n->lan, NETWORK_SANDBOX, 80, w->guest_web), "and not the LAN");
}

static void test_other_profiles(World *w)
{
        int guest = w->network->guests[0];

        change(w, "isolated", NULL, 0);
        tap_ok(!flow_reaches(guest, NETWORK_INTERNET, 80, w->web), "isolated: not the internet");
        tap_ok(!flow_datagram(guest, NETWORK_INTERNET, 53, w->dns), "isolated: no other resolver");
        tap_ok(flow_datagram(guest, NETWORK_GATEWAY, 53, w->gateway_udp_dns),
               "isolated: the gateway's DNS");
        change(w, "lan", NULL, 0);
        tap_ok(flow_reaches(guest, NETWORK_LAN, 80, w->lan_web), "rules: a port that they allow");
        tap_ok(!flow_reaches(guest, NETWORK_LAN, 22, w->lan_ssh), "rules: no other port");
        tap_ok(flow_datagram(guest, NETWORK_INTERNET, 53, w->dns),
               "rules: a range that they allow");
        tap_ok(!flow_datagram(guest, NETWORK_OTHER, 53, w->other_dns),
               "rules: not what one before denies");
        tap_ok(!flow_reaches(guest, NETWORK_INTERNET, 80, w->web), "rules: no other protocol");
        tap_ok(flow_ping(guest, NETWORK_LAN), "rules: ICMP");
}

static void test_names(World *w)
{
        int guest = w->network->guests[0];
        Fault f = {0};

        change(w, "named", NULL, 0);
        tap_ok(flow_datagram(guest, NETWORK_GATEWAY, 53, w->udp_resolver),
               "names: DNS over UDP goes to the resolver");
        tap_ok(flow_reaches(guest, NETWORK_GATEWAY, 53, w->resolver),
               "names: DNS over TCP goes to the resolver");
        tap_ok(!flow_datagram(guest, NETWORK_INTERNET, 53, w->dns), "names: no other resolver");
        tap_ok(!flow_reaches(guest, NETWORK_INTERNET, 80, w->web), "names: nothing yet");
        good(firewall_allow(w->fw, SANDBOX_ID, NETWORK_INTERNET, 1, &f), &f);
        autofd fd = flow_connect(guest, NETWORK_INTERNET, 80);
        autofd accepted = flow_accept(w->web, NULL);
        tap_ok(flow_works(fd, accepted), "names: an address that the resolver allowed");
        tap_ok(!flow_reaches(guest, NETWORK_OTHER, 80, w->other_web), "names: no other address");
        network_enter(w->network->host);
        for (unsigned i = 0; i < 300; i++)
                if (!network_try("nft get element inet fluid names '{ 10.123.0.2 . 9.9.9.9 }' "
                                 "> /dev/null 2>&1"))
                        break;
        tap_ok(!flow_reaches(guest, NETWORK_INTERNET, 80, w->web),
               "names: no new connection after its time");
        tap_ok(flow_works(fd, accepted), "names: an open connection goes on after it");
        good(firewall_verify_all(w->fw, &f), &f);
        change(w, "isolated", NULL, 0);
        tap_ok(!flow_works(fd, accepted), "names: it ends with the profile");
        change(w, "named", NULL, 0);
        tap_ok(!flow_works(fd, accepted), "names: and does not come back with it");
}

static void test_change(World *w)
{
        int guest = w->network->guests[0];
        Fault f = {0};

        change(w, "internet", NULL, 0);
        autofd fd = flow_connect(guest, NETWORK_INTERNET, 80);
        autofd accepted = flow_accept(w->web, NULL);
        tap_ok(flow_works(fd, accepted), "a connection is open");
        good(firewall_restore(w->fw, &f), &f);
        tap_ok(flow_works(fd, accepted), "it goes on after all was restored");
        change(w, "isolated", NULL, 0);
        tap_ok(!flow_works(fd, accepted), "it ends where the new profile does not allow it");
        change(w, "internet", NULL, 0);
        autofd second = flow_connect(guest, NETWORK_INTERNET, 80);
        autofd second_accepted = flow_accept(w->web, NULL);
        tap_ok(flow_works(second, second_accepted), "another is open");
        network_enter(w->network->host);
        good(firewall_remove(w->fw, SANDBOX_ID, &f), &f);
        tap_ok(!flow_works(second, second_accepted), "it ends with the sandbox's rules");
        tap_ok(!flow_reaches(guest, NETWORK_INTERNET, 80, w->web),
               "a sandbox without rules reaches nothing");
        network_enter(w->network->host);
        tap_ok(!network_try("grep -q 'src=10.123.0.2 ' /proc/net/nf_conntrack 2>/dev/null"),
               "its connections are forgotten");
        load(w, "internet", NULL, 0);
}

/* -- published ports --------------------------------------------------------------------------- */

static void test_published(World *w)
{
        static const FirewallPort ports[] = {{IPPROTO_TCP, NETWORK_LOCALHOST, 8080, 80},
                                             {IPPROTO_TCP, NETWORK_HOST, 8081, 80},
                                             {IPPROTO_TCP, 0, 8082, 80},
                                             {IPPROTO_UDP, 0, 8053, 53}};
        Network *n = w->network;
        uint32_t from = 0;

        change(w, "isolated", ports, G_N_ELEMENTS(ports));
        tap_ok(flow_reaches(n->host, NETWORK_LOCALHOST, 8080, w->guest_web),
               "published on 127.0.0.1: from the host");
        tap_ok(!flow_reaches(n->host, NETWORK_HOST, 8080, w->guest_web),
               "published on 127.0.0.1: not on another address");
        tap_ok(!flow_reaches(n->lan, NETWORK_HOST, 8080, w->guest_web),
               "published on 127.0.0.1: not from the LAN");
        network_enter(n->lan);
        network_run("ip route add 127.0.0.1/32 via 192.168.77.1 dev lan0 table 99;"
                    "ip rule add to 127.0.0.1 dport 8080 table 99 priority 0;"
                    "ip rule add lookup local priority 1; ip rule del priority 0 lookup local;"
                    "echo 1 > /proc/sys/net/ipv4/conf/lan0/route_localnet");
        tap_ok(!flow_reaches(n->lan, NETWORK_LOCALHOST, 8080, w->guest_web),
               "published on 127.0.0.1: not from the LAN by a packet for 127.0.0.1");
        tap_ok(flow_reaches(n->host, NETWORK_HOST, 8081, w->guest_web),
               "published on an address: from the host");
        tap_ok(flow_reaches(n->lan, NETWORK_HOST, 8081, w->guest_web),
               "published on an address: from the LAN");
        tap_ok(flow_reaches(n->host, NETWORK_LOCALHOST, 8082, w->guest_web),
               "published on any address: from the host, on 127.0.0.1");
        autofd fd = flow_connect(n->lan, NETWORK_HOST, 8082);
        autofd accepted = flow_accept(w->guest_web, &from);
        tap_ok(flow_works(fd, accepted) && from == NETWORK_LAN,
               "published on any address: from the LAN, with its own address");
        tap_ok(flow_datagram(n->lan, NETWORK_HOST, 8053, w->guest_udp), "published: UDP");
        tap_ok(!flow_reaches(n->guests[1], NETWORK_HOST, 8082, w->guest_web),
               "published: not for a sandbox");
        tap_ok(!flow_reaches(n->lan, NETWORK_SANDBOX, 80, w->guest_web),
               "published: not at the sandbox's own address");
        tap_ok(!flow_reaches(n->guests[0], NETWORK_LAN, 80, w->lan_web),
               "published: the sandbox reaches no more than before");
        change(w, "isolated", ports, 1);
        tap_ok(!flow_works(fd, accepted),
               "a port that is no longer published: its connections end");
        tap_ok(!flow_reaches(n->lan, NETWORK_HOST, 8082, w->guest_web),
               "and there are no new ones");
        tap_ok(flow_reaches(n->host, NETWORK_LOCALHOST, 8080, w->guest_web), "the others stay");
        change(w, "isolated", NULL, 0);
        network_enter(n->host);
        tap_ok(network_try("grep -q 0 /proc/sys/net/ipv4/conf/fluid0/route_localnet"),
               "without a port on 127.0.0.1 the bridge does not route it");
}

/* -- limits ------------------------------------------------------------------------------------ */

static unsigned connect_many(World *w, unsigned n, int fds[])
{
        unsigned connected = 0;

        for (unsigned i = 0; i < n; i++) {
                struct sockaddr_in to = {.sin_family = AF_INET,
                                         .sin_port = htons(80),
                                         .sin_addr = {htonl(NETWORK_INTERNET)}};
                network_enter(w->network->guests[0]);
                fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                (void) connect(fds[i], (struct sockaddr *) &to, sizeof to);
        }
        for (unsigned i = 0; i < n; i++) {
                int fd = flow_accept(w->web, NULL);
                if (fd < 0)
                        break;
                connected++;
                (void) close_fd(fd);
        }
        for (unsigned i = 0; i < n; i++)
                (void) close_fd(fds[i]);
        return connected;
}

static void test_limits(World *w)
{
        int fds[40];

        load(w, "few", NULL, 0);
        FirewallCounters before = counters(w);
        tap_is_int(connect_many(w, 40, fds), 5, "5 connections at a time are 5");
        tap_ok(counters(w).dropped[FIREWALL_LIMIT].packets >=
                       before.dropped[FIREWALL_LIMIT].packets + 35,
               "the rest is counted");
        load(w, "slow", NULL, 0);
        unsigned connected = connect_many(w, 40, fds);
        tap_ok(connected >= 1 && connected < 20, "3 new ones a second are few: %u", connected);
}

static unsigned tracked(void)
{
        unsigned n = 0;
        FILE *file = fopen("/proc/sys/net/netfilter/nf_conntrack_count", "re");

        if (!file || fscanf(file, "%u", &n) != 1)
                tap_bail_out("cannot read the number of tracked connections");
        (void) fclose(file);
        return n;
}

/* SYNs that nobody answers, each from another port to another address. */
static void test_half_open(World *w)
{
        enum { FLOOD = 100000 };
        Network *n = w->network;
        struct {
                uint8_t ip[20], tcp[20];
        } packet = {.ip = {0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 123, 0, 2}};

        load(w, "internet", NULL, 0);
        network_enter(n->guests[0]);
        autofd fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
        unsigned sent = 0;
        for (unsigned i = 0; i < FLOOD; i++) {
                struct sockaddr_in to = {.sin_family = AF_INET,
                                         .sin_addr = {htonl(0x08000000U + i)}};
                memcpy(packet.ip + 16, &to.sin_addr, 4);
                packet.tcp[0] = (uint8_t) (i >> 8 | 0x80);
                packet.tcp[1] = (uint8_t) i;
                packet.tcp[3] = 80;
                packet.tcp[12] = 5 << 4;
                packet.tcp[13] = 2;
                sent += sendto(fd, &packet, sizeof packet, 0, (struct sockaddr *) &to, sizeof to) >
                        0;
        }
        network_enter(n->host);
        unsigned count = tracked();
        tap_ok(sent > FLOOD / 2 && count < 300, "%u half-open connections leave %u tracked", sent,
               count);
        tap_ok(flow_reaches(n->host, NETWORK_LAN, 80, w->lan_web),
               "the host opens new connections after them");
        tap_ok(flow_reaches(n->guests[1], NETWORK_INTERNET, 80, w->web), "and the peer does");
}

static void test_drops(World *w)
{
        g_autoptr(GArray) drops = NULL;
        Fault f = {0};
        bool found_reach = false, found_host = false;

        load(w, "isolated", NULL, 0);
        (void) flow_connect(w->network->guests[0], NETWORK_OTHER, 4711);
        (void) flow_connect(w->network->guests[0], NETWORK_HOST, 4712);
        good(firewall_drops(w->fw, SANDBOX_ID, &drops, &f), &f);
        for (guint i = 0; i < drops->len; i++) {
                const FirewallDrop *d = &g_array_index(drops, FirewallDrop, i);
                bool is_tcp = d->protocol == IPPROTO_TCP && d->age_usec < 60 * G_USEC_PER_SEC;
                found_reach |= is_tcp && d->reason == FIREWALL_REACH &&
                               d->address == NETWORK_OTHER && d->port == 4711;
                found_host |= is_tcp && d->reason == FIREWALL_HOST && d->address == NETWORK_HOST &&
                              d->port == 4712;
        }
        tap_ok(found_reach && found_host, "the last drops tell where it wanted to");
        g_clear_pointer(&drops, g_array_unref);
        good(firewall_drops(w->fw, PEER_ID, &drops, &f), &f);
        for (guint i = 0; i < drops->len; i++)
                found_reach &= g_array_index(drops, FirewallDrop, i).port != 4711;
        tap_ok(found_reach, "and not of another's");
}

static void test_all(bool is_filtering)
{
        World w = {0};

        tap_note("bridged frames pass the hooks of IP: %s", is_filtering ? "yes" : "no");
        world_open(&w, is_filtering);
        test_internet(&w);
        test_other_profiles(&w);
        test_names(&w);
        test_change(&w);
        test_drops(&w);
        test_limits(&w);
        test_half_open(&w);
        load(&w, "internet", NULL, 0);
        test_published(&w);
        test_frames(&w);
        world_close(&w);
}

int main(void)
{
        test_all(false);
        test_all(true);
        return tap_done();
}
