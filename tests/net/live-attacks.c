/* SPDX-License-Identifier: MIT */

/* Every frame of attacks.h through a tap: without the rules it is seen to leave, with them it is
 * seen nowhere, and the counter of its reason grows. Root. */

#include "base/cleanup.h"
#include "tests/net/frame.h"
#include "tests/net/network.h"
#include "tests/tap.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef enum Spot {
        SPOT_PEER,   /* its tap */
        SPOT_UPLINK, /* the other end of it */
        SPOT_ANSWER, /* what came back */
        SPOT_SOCKET, /* of the host's IP */
        SPOT_KERNEL, /* protocols of the host beside IP */
        SPOT_BRIDGE, /* the host's interface to it, below IP */
        _SPOT_MAX,
} Spot;

static const char *const spot_names[_SPOT_MAX] = {
        [SPOT_PEER] = "peer",     [SPOT_UPLINK] = "uplink", [SPOT_ANSWER] = "answer",
        [SPOT_SOCKET] = "socket", [SPOT_KERNEL] = "kernel", [SPOT_BRIDGE] = "bridge",
};

#define WATCHERS_MAX 16

typedef struct Watcher {
        Spot spot;
        int fd;
        bool is_packet; /* a packet socket, which tells the direction */
} Watcher;

typedef struct Field {
        Network *network;
        Watcher watchers[WATCHERS_MAX];
        size_t n_watchers;
        uint8_t fence[ATTACK_FRAME_MAX];
        size_t fence_size;
        unsigned bridged; /* what the peer has of the sandbox's own */
        bool is_open;     /* no rules: the host's own ARP is nobody's attack */
} Field;

/* -- watching ---------------------------------------------------------------------------------- */

static void add_watcher(Field *t, Spot spot, int fd, bool is_packet)
{
        if (fd < 0 || t->n_watchers == WATCHERS_MAX)
                tap_bail_out("cannot watch");
        t->watchers[t->n_watchers++] = (Watcher){spot, fd, is_packet};
}

static void watch_packets(Field *t, Spot spot, const char *interface, uint16_t protocol)
{
        struct sockaddr_ll address = {
                .sll_family = AF_PACKET,
                .sll_protocol = htons(protocol),
                .sll_ifindex = (int) if_nametoindex(interface),
        };
        int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 || address.sll_ifindex == 0 ||
            bind(fd, (struct sockaddr *) &address, sizeof address) < 0)
                tap_bail_out("cannot watch an interface");
        add_watcher(t, spot, fd, true);
}

static void watch(Field *t)
{
        /* What listens for one type on the tap itself gets it after the bridge has had its say. */
        static const uint16_t types[] = {ETH_P_LLDP, ETH_P_PAE, ETH_P_SLOW, ETH_P_802_2};
        static const int protocols[] = {IPPROTO_ICMP, IPPROTO_UDP, IPPROTO_TCP};

        add_watcher(t, SPOT_PEER, t->network->taps[1], false);
        add_watcher(t, SPOT_ANSWER, t->network->taps[0], false);
        watch_packets(t, SPOT_BRIDGE, "fluid0", ETH_P_ALL);
        for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
                watch_packets(t, SPOT_KERNEL, "fl-" SANDBOX_ID, types[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(protocols); i++)
                add_watcher(t, SPOT_SOCKET,
                            socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocols[i]),
                            false);
        network_enter(t->network->lan);
        watch_packets(t, SPOT_UPLINK, "lan0", ETH_P_ALL);
        network_enter(t->network->host);
}

static Field *field_new(bool is_isolated, bool is_filtering)
{
        Field *t = g_new0(Field, 1);

        t->network = network_new(is_isolated, is_filtering);
        network_add_taps(t->network);
        t->fence_size = attack_build_fence(&t->network->place, t->fence);
        watch(t);
        return t;
}

static void field_free(Field *t)
{
        for (size_t i = 0; i < t->n_watchers; i++)
                if (t->watchers[i].fd != t->network->taps[0] &&
                    t->watchers[i].fd != t->network->taps[1])
                        (void) close_fd(t->watchers[i].fd);
        (void) network_free(t->network);
        g_free(t);
}

static bool is_fence(const Field *t, const uint8_t *bytes, size_t size)
{
        return size >= t->fence_size && memcmp(bytes, t->fence, t->fence_size) == 0;
}

static bool is_arp_of_gateway(const Field *t, const uint8_t *bytes, size_t size)
{
        return size >= 42 && bytes[12] == 8 && bytes[13] == 6 &&
               memcmp(bytes + 6, t->network->place.gateway_mac, 6) == 0;
}

/* The answer to the fence. */
static bool is_end(const Field *t, const uint8_t *bytes, size_t size)
{
        return is_arp_of_gateway(t, bytes, size) && bytes[21] == 2 &&
               memcmp(bytes, t->network->place.mac, 6) == 0;
}

/* Not an answer of the host, or of others through it, to a forged one. */
static bool is_from_sandbox(const Field *t, const uint8_t *bytes, size_t size)
{
        uint32_t source = htonl(t->network->place.address);

        return memcmp(bytes + 6, t->network->place.gateway_mac, 6) != 0 ||
               (size >= 34 && bytes[12] == 8 && bytes[13] == 0 &&
                memcmp(bytes + 26, &source, sizeof source) == 0);
}

/* Reads all that is there; adds to `seen`. */
static void drain(Field *t, unsigned seen[_SPOT_MAX], bool *ended)
{
        uint8_t bytes[4096];

        for (size_t i = 0; i < t->n_watchers; i++) {
                Watcher *w = &t->watchers[i];
                struct sockaddr_ll from = {0};
                socklen_t length = sizeof from;
                ssize_t n;

                while ((n = w->is_packet ? recvfrom(w->fd, bytes, sizeof bytes, 0,
                                                    (struct sockaddr *) &from, &length)
                                         : read(w->fd, bytes, sizeof bytes)) > 0) {
                        if (w->is_packet && from.sll_pkttype == PACKET_OUTGOING)
                                continue;
                        if (w->spot == SPOT_ANSWER && is_end(t, bytes, (size_t) n) && !*ended) {
                                *ended = true;
                                continue;
                        }
                        if (is_fence(t, bytes, (size_t) n) ||
                            (t->is_open && w->spot != SPOT_ANSWER &&
                             is_arp_of_gateway(t, bytes, (size_t) n)))
                                continue;
                        seen[w->spot]++;
                        if (w->spot == SPOT_PEER && is_from_sandbox(t, bytes, (size_t) n))
                                t->bridged++;
                }
        }
}

/* Sends one frame, and what it takes to know that it was dealt with. */
static void attack(Field *t, const uint8_t *frame, size_t size, unsigned seen[_SPOT_MAX])
{
        unsigned before[_SPOT_MAX] = {0};
        bool ended = false;

        /* A frame of the peer: the bridge knows again where it is, whatever was forged before. */
        AttackPlace peer = t->network->place;
        uint8_t hello[ATTACK_FRAME_MAX];
        memcpy(peer.mac, peer.peer_mac, sizeof peer.mac);
        peer.address = peer.peer_address;
        if (write(t->network->taps[1], hello, attack_build_fence(&peer, hello)) < 0)
                tap_bail_out("the peer's tap takes no frames");

        memset(seen, 0, _SPOT_MAX * sizeof *seen);
        drain(t, before, &ended);
        if (write(t->network->taps[0], frame, size) < 0)
                tap_note("the tap took no frame: %s", strerror(errno));
        ended = false;
        if (write(t->network->taps[0], t->fence, t->fence_size) < 0)
                tap_bail_out("the tap takes no frames");
        for (unsigned i = 0; i < 100 && !ended; i++) {
                struct pollfd p = {.fd = t->network->taps[0], .events = POLLIN};
                (void) poll(&p, 1, 20);
                drain(t, seen, &ended);
        }
        if (!ended)
                tap_note("the gateway did not answer");
        drain(t, seen, &ended);
}

static unsigned total(const unsigned seen[_SPOT_MAX], Spot end)
{
        unsigned sum = 0;

        for (Spot spot = 0; spot < end; spot++)
                sum += seen[spot];
        return sum;
}

/* What goes on to another namespace may get there after the answer to the fence. */
static void await(Field *t, unsigned seen[_SPOT_MAX], Spot end)
{
        bool ended = true;

        for (unsigned i = 0; i < 1000 && total(seen, end) == 0; i++) {
                (void) poll(NULL, 0, 20);
                drain(t, seen, &ended);
        }
}

static char *where(const unsigned seen[_SPOT_MAX])
{
        GString *text = g_string_new(NULL);

        for (Spot spot = 0; spot < _SPOT_MAX; spot++)
                if (seen[spot])
                        g_string_append_printf(text, " %s:%u", spot_names[spot], seen[spot]);
        return g_string_free(text, FALSE);
}

/* -- the suite --------------------------------------------------------------------------------- */

static void test_open(void)
{
        Field *t = field_new(false, false);
        uint8_t frame[ATTACK_FRAME_MAX];
        unsigned seen[_SPOT_MAX];

        t->is_open = true;
        for (size_t i = 0; i < attacks_count; i++) {
                const Attack *a = &attacks[i];
                /* What is dropped below IP has left where the host's interface shows it. */
                Spot end = a->reason == ATTACK_HOST || a->reason == ATTACK_REACH ? SPOT_BRIDGE
                                                                                 : _SPOT_MAX;
                attack(t, frame, attack_build(a, &t->network->place, frame), seen);
                if (!a->contained)
                        await(t, seen, end);
                g_autofree char *text = where(seen);
                if (a->contained)
                        tap_ok(total(seen, end) == 0, "without rules %s goes nowhere either: %s",
                               a->name, a->contained);
                else
                        tap_ok(total(seen, end) > 0, "without rules %s leaves:%s", a->name, text);
        }
        field_free(t);
}

static bool counts_right(const Attack *a, const FirewallCounters *before,
                         const FirewallCounters *after)
{
        bool right = after->passed.packets == before->passed.packets;

        for (FirewallReason reason = 0; reason < _FIREWALL_REASON_MAX; reason++) {
                bool grew = after->dropped[reason].packets > before->dropped[reason].packets;
                right = right && grew == (!a->contained && reason == (FirewallReason) a->reason);
                if (grew)
                        tap_note("counted as %s", firewall_reason_to_string(reason));
        }
        return right;
}

static void test_held(Field *t, Firewall *fw, const char *how)
{
        uint8_t frame[ATTACK_FRAME_MAX];
        unsigned seen[_SPOT_MAX];

        for (size_t i = 0; i < attacks_count; i++) {
                const Attack *a = &attacks[i];
                Spot end = a->reason == ATTACK_HOST || a->reason == ATTACK_REACH ? SPOT_BRIDGE
                                                                                 : _SPOT_MAX;
                FirewallCounters before = {0}, after = {0};
                Fault f = {0};

                if (firewall_counters(fw, SANDBOX_ID, &before, &f) < 0)
                        tap_bail_out(f.message);
                attack(t, frame, attack_build(a, &t->network->place, frame), seen);
                (void) firewall_counters(fw, SANDBOX_ID, &after, NULL);
                g_autofree char *text = where(seen);
                if (total(seen, end))
                        tap_note("seen:%s", text);
                bool right = counts_right(a, &before, &after);
                tap_ok(right && total(seen, end) == 0, "%s: %s is dropped and counted", how,
                       a->name);
        }
}

/* Between a flush and its repair. */
static void test_flushed(Field *t, const char *how)
{
        uint8_t frame[ATTACK_FRAME_MAX];
        unsigned seen[_SPOT_MAX];

        network_run("nft flush ruleset");
        t->bridged = 0;
        for (size_t i = 0; i < attacks_count; i++)
                attack(t, frame, attack_build(&attacks[i], &t->network->place, frame), seen);
        tap_is_int(t->bridged, 0, "%s: without any rules still nothing reaches the peer", how);
}

static void test_rules(bool is_isolated, bool is_filtering, const char *how)
{
        static const FirewallPort ports[] = {{IPPROTO_TCP, NETWORK_LOCALHOST, 8080, 80}};
        Field *t = field_new(is_isolated, is_filtering);
        g_autoptr(Firewall) fw = network_open_firewall(t->network);
        Fault f = {0};

        if (network_load(fw, "internet", "internet", ports, 1, &f) < 0)
                tap_bail_out(f.message);
        test_held(t, fw, how);
        tap_ok(firewall_verify_all(fw, &f) == 0, "%s: the rules are as they were", how);
        if (is_isolated)
                test_flushed(t, how);
        field_free(t);
}

/* A tap with our prefix and no rules of its own is mute, however honest. */
static void test_mute(void)
{
        static const AttackFrame frames[] = {
                {.kind = FRAME_UDP},
                {.kind = FRAME_TCP, .destination = WHO_GATEWAY, .port = 53},
                {.kind = FRAME_ARP},
                {.kind = FRAME_DHCP},
                {.kind = FRAME_IPV6, .next = 58},
                {.kind = FRAME_RAW, .type = 0x88cc, .to_group = "01:80:c2:00:00:0e"},
        };
        Field *t = field_new(false, false);
        g_autoptr(Firewall) fw = network_open_firewall(t->network);
        FirewallSandbox peer = network_sandbox(3, "plain");
        static const FirewallProfile plain = {.name = "plain",
                                              .has_internet = true,
                                              .connections_max = 9,
                                              .connections_per_sec = 9};
        unsigned seen[_SPOT_MAX] = {0};
        uint8_t frame[ATTACK_FRAME_MAX];
        bool ended = false;
        Fault f = {0};

        if (firewall_load(fw, &plain, 1, &peer, 1, NULL, 0, &f) < 0)
                tap_bail_out(f.message);
        for (size_t i = 0; i < G_N_ELEMENTS(frames); i++) {
                size_t size = frame_build(&frames[i], &t->network->place, frame);
                if (write(t->network->taps[0], frame, size) < 0)
                        tap_bail_out("the tap takes no frames");
        }
        /* The peer's own question comes after them, and is answered. */
        AttackPlace other = t->network->place;
        memcpy(other.mac, other.peer_mac, sizeof other.mac);
        other.address = other.peer_address;
        t->fence_size = attack_build_fence(&other, t->fence);
        if (write(t->network->taps[1], t->fence, t->fence_size) < 0)
                tap_bail_out("the peer's tap takes no frames");
        struct pollfd p = {.fd = t->network->taps[1], .events = POLLIN};
        tap_is_int(poll(&p, 1, 20000), 1, "beside a tap without rules one with rules is heard");
        t->is_open = true; /* that answer is none of the mute one's */
        drain(t, seen, &ended);
        g_autofree char *text = where(seen);
        tap_is_int(total(seen, _SPOT_MAX), 0, "a tap without rules of its own passes nothing%s",
                   text);
        field_free(t);
}

/* -- what has to pass -------------------------------------------------------------------------- */

static bool drops_nothing(Firewall *fw)
{
        FirewallCounters c = {0};
        uint64_t sum = 0;

        if (firewall_counters(fw, SANDBOX_ID, &c, NULL) < 0)
                return false;
        for (FirewallReason reason = 0; reason < _FIREWALL_REASON_MAX; reason++)
                sum += c.dropped[reason].packets;
        return sum == 0;
}

/* As dnsmasq answers a client that asks for a broadcast. */
static void answer_dhcp(const Field *t, const uint8_t *client)
{
        uint8_t answer[300] = {2, 1, 6};
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(67)};
        struct sockaddr_in to = {
                .sin_family = AF_INET, .sin_port = htons(68), .sin_addr = {INADDR_BROADCAST}};
        int one = 1;
        autofd fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        memcpy(answer + 28, client, 6);
        network_enter(t->network->host);
        if (bind(fd, (struct sockaddr *) &from, sizeof from) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof one) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "fluid0", 7) < 0 ||
            sendto(fd, answer, sizeof answer, 0, (struct sockaddr *) &to, sizeof to) < 0)
                tap_bail_out("cannot answer DHCP");
}

static void test_honest(bool is_filtering)
{
        static const struct {
                const char *what;
                AttackFrame frame;
        } rows[] = {
                {"a DHCP request", {.kind = FRAME_DHCP}},
                {"a DHCP renewal",
                 {.kind = FRAME_DHCP,
                  .source = WHO_SELF,
                  .to = WHO_GATEWAY,
                  .destination = WHO_GATEWAY}},
                {"a DHCP rebinding", {.kind = FRAME_DHCP, .source = WHO_SELF}},
                {"an ARP probe for its own address",
                 {.kind = FRAME_ARP, .sender = WHO_NOBODY, .target = WHO_SELF}},
                {"an ARP announcement", {.kind = FRAME_ARP, .target = WHO_SELF}},
                {"an ARP reply to the gateway",
                 {.kind = FRAME_ARP, .operation = 2, .to = WHO_GATEWAY}},
        };
        Field *t = field_new(false, is_filtering);
        g_autoptr(Firewall) fw = network_open_firewall(t->network);
        unsigned seen[_SPOT_MAX] = {0};
        uint8_t frame[ATTACK_FRAME_MAX];
        bool ended = true;
        Fault f = {0};

        if (network_load(fw, "isolated", "isolated", NULL, 0, &f) < 0)
                tap_bail_out(f.message);
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                bool is_dhcp = rows[i].frame.kind == FRAME_DHCP;
                attack(t, frame, frame_build(&rows[i].frame, &t->network->place, frame), seen);
                tap_ok(seen[SPOT_BRIDGE] == 1 && (seen[SPOT_SOCKET] >= 1 || !is_dhcp) &&
                               seen[SPOT_PEER] == 0 && drops_nothing(fw),
                       "%s reaches the host, and nobody else", rows[i].what);
        }
        memset(seen, 0, sizeof seen);
        answer_dhcp(t, t->network->place.mac);
        drain(t, seen, &ended);
        tap_ok(seen[SPOT_ANSWER] == 1 && seen[SPOT_PEER] == 0,
               "a DHCP answer to all reaches the sandbox that it is for, and no other");
        memset(seen, 0, sizeof seen);
        answer_dhcp(t, t->network->place.peer_mac);
        drain(t, seen, &ended);
        tap_ok(seen[SPOT_ANSWER] == 0 && seen[SPOT_PEER] == 1, "and the other's is not heard");
        field_free(t);
}

int main(void)
{
        test_open();
        test_rules(true, false, "held");
        test_rules(true, true, "with bridged frames filtered");
        test_rules(false, false, "with ports that are not isolated");
        test_mute();
        test_honest(false);
        test_honest(true);
        return tap_done();
}
