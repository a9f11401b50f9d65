/* SPDX-License-Identifier: MIT */

/* What profile_decide() says, and what the kernel does with the packet: the same, for random
 * questions about every kind of profile. Root.
 *
 *     live-profile [SEED] */

#include "base/cleanup.h"
#include "core/profile.h"
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

#define QUESTIONS 1000 /* of each profile */

#define NAMED_PRIVATE 0xc0a84d07U /* 192.168.77.7 */
#define NAMED_PUBLIC  0x01020304U
#define LAN_LAST      0xc0a84dffU
#define LOCAL_PUBLIC  0x08080000U /* a network of this host's that has addresses of the internet */

static const char networks[] =
        "[internet]\n"
        "connections = 65535\n"
        "connections_per_second = 10000\n"
        "[all]\n"
        "allow = 0.0.0.0/0\n"
        "connections = 65535\n"
        "connections_per_second = 10000\n"
        "[mirror]\n"
        "deny = 192.168.77.7, 9.9.9.10:81-443/tcp, 10.1.0.0/16:/udp\n"
        "allow = 192.168.77.0/24:80-81, 9.9.9.0/24:443, 10.0.0.0/8:8000-8100/udp, 9.9.9.9:/icmp, "
        "169.254.169.254:80/tcp, 10.123.0.0/16, 127.0.0.0/8, 224.0.0.0/4\n"
        "connections = 65535\n"
        "connections_per_second = 10000\n"
        "[names]\n"
        "names = example.com\n"
        "connections = 65535\n"
        "connections_per_second = 10000\n"
        "[everything]\n"
        "deny = 1.2.3.4:/tcp, 9.0.0.0/8:53\n"
        "allow = 192.168.77.2:22/tcp\n"
        "names = example.com\n"
        "internet = yes\n"
        "connections = 65535\n"
        "connections_per_second = 10000\n";

static const AddressRange local[] = {{NETWORK_LAN & ~0xffU, 24}, {LOCAL_PUBLIC, 16}};
static const uint32_t host[] = {NETWORK_HOST, LAN_LAST};
static const uint32_t named[] = {NAMED_PRIVATE, NAMED_PUBLIC, NETWORK_OTHER, 0xa9fe0001};

static const uint32_t addresses[] = {
        NETWORK_GATEWAY, NETWORK_GATEWAY,  NETWORK_GATEWAY,     NETWORK_GATEWAY,
        NETWORK_GATEWAY, NETWORK_GATEWAY,  NETWORK_GATEWAY,     NETWORK_GATEWAY,
        NETWORK_GATEWAY, NETWORK_GATEWAY,  NETWORK_GATEWAY,     NETWORK_GATEWAY,
        NETWORK_SANDBOX, NETWORK_PEER,     NETWORK_RANGE + 200, NETWORK_RANGE | 0xffff,
        NETWORK_RANGE,   NETWORK_HOST,     NETWORK_HOST,        NETWORK_LAN,
        NETWORK_LAN,     NETWORK_LAN,      NAMED_PRIVATE,       NAMED_PRIVATE,
        LAN_LAST,        NETWORK_INTERNET, NETWORK_INTERNET,    NETWORK_INTERNET,
        NETWORK_OTHER,   NETWORK_OTHER,    NAMED_PUBLIC,        NAMED_PUBLIC,
        0xa9fe0001,      0xa9fea9fe,       0xa9fea9fe,          LOCAL_PUBLIC + 7,
        INADDR_LOOPBACK, INADDR_BROADCAST, INADDR_BROADCAST,    0xe00000fb,
        0xefffffff,      0xf0000001,       0x00010203,          0x0a010001,
        0x0a020001,      0x0affffff,       0x0b000000,          0x643fffff,
        0x64400000,      0x647fffff,       0x64800000,          0x7effffff,
        0x80000000,      0xa83f8110,       0xa9fdffff,          0xa9ff0000,
        0xac0fffff,      0xac100000,       0xac1fffff,          0xac200000,
        0xc0000001,      0xc0000201,       0xc01fc401,          0xc034c101,
        0xc0586301,      0xc0a7ffff,       0xc0a90000,          0xc0af3001,
        0xc611ffff,      0xc6120000,       0xc613ffff,          0xc6140000,
        0xc6336401,      0xcb007101,       0xdfffffff,
};

static const uint16_t ports[] = {22,  53,  53,  67,   67,   68,   79,   80,   80,   81,    82, 442,
                                 443, 443, 444, 5300, 7999, 8000, 8050, 8100, 8101, 65535, 1};

static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_TCP, IPPROTO_TCP,  IPPROTO_UDP,
                                    IPPROTO_UDP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_GRE};

/* -- the kernel -------------------------------------------------------------------------------- */

typedef struct Field {
        Network *network;
        Firewall *fw;
        int hosts[4]; /* what the host's IP gets, by protocol */
        int uplink;   /* and what the LAN and the internet get */
        uint8_t fence[ATTACK_FRAME_MAX];
        size_t fence_size;
        unsigned sent;
} Field;

static int open_uplink(const Network *n)
{
        struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP)};

        network_enter(n->lan);
        int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        address.sll_ifindex = (int) if_nametoindex("lan0");
        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof address) < 0)
                tap_bail_out("cannot watch the uplink");
        network_enter(n->host);
        return fd;
}

static void field_open(Field *t)
{
        static const int watched[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_GRE};

        t->network = network_new(true, false);
        network_add_taps(t->network);
        network_run("ip neigh add 192.168.77.7 lladdr 02:00:00:00:77:02 dev uplink0");
        t->fw = network_open_firewall(t->network);
        t->uplink = open_uplink(t->network);
        for (size_t i = 0; i < G_N_ELEMENTS(watched); i++) {
                t->hosts[i] = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, watched[i]);
                if (t->hosts[i] < 0)
                        tap_bail_out("cannot watch the host");
        }
        t->fence_size = attack_build_fence(&t->network->place, t->fence);
}

static void field_close(Field *t)
{
        for (size_t i = 0; i < G_N_ELEMENTS(t->hosts); i++)
                (void) close_fd(t->hosts[i]);
        (void) close_fd(t->uplink);
        (void) firewall_free(t->fw);
        (void) network_free(t->network);
}

/* A packet for that address: whatever else is on the way is an answer. */
static bool is_it(const uint8_t *ip, size_t size, const ProfileQuestion *q)
{
        uint32_t destination;

        if (size < 20 || ip[9] != q->protocol)
                return false;
        memcpy(&destination, ip + 16, sizeof destination);
        return ntohl(destination) == q->address;
}

/* Reads all that is there. */
static bool drain(int fd, const ProfileQuestion *q)
{
        uint8_t bytes[2048];
        struct sockaddr_ll from = {0};
        socklen_t length = sizeof from;
        bool seen = false;
        ssize_t n;

        while ((n = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *) &from, &length)) > 0) {
                bool is_own = from.sll_family == AF_PACKET && from.sll_pkttype == PACKET_OUTGOING;
                seen |= !is_own && is_it(bytes, (size_t) n, q);
                length = sizeof from;
        }
        return seen;
}

static bool drain_all(Field *t, const ProfileQuestion *q)
{
        bool seen = drain(t->uplink, q);

        for (size_t i = 0; i < G_N_ELEMENTS(t->hosts); i++)
                seen |= drain(t->hosts[i], q);
        return seen;
}

/* Reads the sandbox's tap up to the gateway's answer to the fence. */
static bool is_answered(Field *t)
{
        const AttackPlace *p = &t->network->place;
        uint8_t bytes[2048];
        bool answered = false;
        ssize_t n;

        while ((n = read(t->network->taps[0], bytes, sizeof bytes)) > 0)
                answered |= n >= 42 && bytes[12] == 8 && bytes[13] == 6 && bytes[21] == 2 &&
                            memcmp(bytes + 6, p->gateway_mac, 6) == 0;
        return answered;
}

static void send_frame(Field *t, const uint8_t *frame, size_t size)
{
        if (write(t->network->taps[0], frame, size) < 0)
                tap_bail_out("the tap takes no frames");
}

static AttackFrame frame_of(const Field *t, const ProfileQuestion *q)
{
        AttackFrame frame = {
                .destination_address = q->address,
                .port = q->port,
                .source_port = (uint16_t) (20000 + t->sent % 40000),
        };
        bool is_dhcp = q->protocol == IPPROTO_UDP && q->port == 67;

        switch (q->protocol) {
        case IPPROTO_TCP:
                frame.kind = FRAME_TCP;
                break;
        case IPPROTO_UDP:
                frame.kind = FRAME_UDP;
                break;
        case IPPROTO_ICMP:
                frame.kind = FRAME_ICMP;
                break;
        default:
                frame.kind = FRAME_PROTOCOL;
                frame.protocol = q->protocol;
        }
        if (is_dhcp && (q->address == q->gateway || q->address == INADDR_BROADCAST))
                frame = (AttackFrame){
                        .kind = FRAME_DHCP,
                        .source = WHO_SELF,
                        .destination = q->address == q->gateway ? WHO_GATEWAY : WHO_BROADCAST,
                        .to = q->address == q->gateway ? WHO_GATEWAY : WHO_BROADCAST,
                };
        return frame;
}

/* Sends the packet: whether it gets anywhere. */
static bool ask_kernel(Field *t, const ProfileQuestion *q)
{
        AttackFrame frame = frame_of(t, q);
        uint8_t bytes[ATTACK_FRAME_MAX];
        bool ended = false, seen = false;

        (void) drain_all(t, q);
        (void) is_answered(t);
        t->sent++;
        send_frame(t, bytes, frame_build(&frame, &t->network->place, bytes));
        send_frame(t, t->fence, t->fence_size);
        for (unsigned i = 0; i < 100 && !ended; i++) {
                struct pollfd p = {.fd = t->network->taps[0], .events = POLLIN};
                (void) poll(&p, 1, 20);
                ended = is_answered(t);
        }
        if (!ended)
                tap_bail_out("the gateway does not answer ARP");
        seen = drain_all(t, q);
        return seen;
}

/* -- asking both ------------------------------------------------------------------------------- */

static bool is_any(const uint32_t *some, size_t n, uint32_t address)
{
        for (size_t i = 0; i < n; i++)
                if (some[i] == address)
                        return true;
        return false;
}

static uint32_t any_address(GRand *random)
{
        uint32_t address;

        if (g_rand_int_range(random, 0, 4) > 0)
                return addresses[g_rand_int_range(random, 0, G_N_ELEMENTS(addresses))];
        /* Of the LAN the kernel would have to ask for their MACs. */
        do
                address = g_rand_int(random);
        while (address == 0 || address_range_contains(&local[0], address));
        return address;
}

static ProfileQuestion any_question(GRand *random)
{
        ProfileQuestion q = {
                .range = {NETWORK_RANGE, 16},
                .gateway = NETWORK_GATEWAY,
                .self = NETWORK_SANDBOX,
                .local = local,
                .n_local = G_N_ELEMENTS(local),
                .host = host,
                .n_host = G_N_ELEMENTS(host),
                .address = any_address(random),
                .protocol = protocols[g_rand_int_range(random, 0, G_N_ELEMENTS(protocols))],
        };

        if (q.protocol == IPPROTO_TCP || q.protocol == IPPROTO_UDP)
                q.port = g_rand_int_range(random, 0, 8) > 0
                                 ? ports[g_rand_int_range(random, 0, G_N_ELEMENTS(ports))]
                                 : (uint16_t) g_rand_int_range(random, 1, 65536);
        q.is_named = is_any(named, G_N_ELEMENTS(named), q.address);
        return q;
}

static void test_profile(Field *t, const Profile *p, GRand *random)
{
        FirewallSandbox s = network_sandbox(2, p->rules.name);
        unsigned allowed = 0, different = 0;
        Fault f = {0};

        if (firewall_set(t->fw, &s, &f) < 0)
                tap_bail_out(f.message);
        for (size_t i = 0; p->rules.has_names && i < G_N_ELEMENTS(named); i++)
                if (firewall_allow(t->fw, s.id, named[i], 3600, &f) < 0)
                        tap_bail_out(f.message);
        for (unsigned i = 0; i < QUESTIONS; i++) {
                ProfileQuestion q = any_question(random);
                char address[ADDRESS_TEXT_MAX];
                g_autofree char *why = NULL;
                bool decided = profile_decide(p, &q, &why);

                allowed += decided;
                if (ask_kernel(t, &q) == decided)
                        continue;
                address_format(q.address, address);
                if (different++ < 10)
                        tap_note("%s, protocol %u, port %u: the kernel lets it %s, but: %s",
                                 address, q.protocol, q.port, decided ? "nowhere" : "out", why);
        }
        tap_is_int(different, 0, "the kernel does what is said about '%s', %d times", p->rules.name,
                   QUESTIONS);
        tap_ok(allowed >= 3 && allowed <= QUESTIONS - 50, "and that is not always the same: %u",
               allowed);
}

int main(int argc, char **argv)
{
        uint32_t seed = argc > 1 ? (uint32_t) strtoul(argv[1], NULL, 10) : 4;
        g_autoptr(GRand) random = g_rand_new_with_seed(seed);
        g_autoptr(Profiles) profiles = NULL;
        g_autoptr(GArray) rules = g_array_new(FALSE, FALSE, sizeof(FirewallProfile));
        FirewallSandbox both[] = {network_sandbox(2, "isolated"), network_sandbox(3, "isolated")};
        Field t = {0};
        Fault f = {0};
        size_t n;

        tap_note("seed %u", seed);
        if (profiles_parse("networks.conf", networks, &profiles, &f) < 0)
                tap_bail_out(f.message);
        const Profile *list = profiles_list(profiles, &n);
        for (size_t i = 0; i < n; i++)
                g_array_append_val(rules, list[i].rules);
        field_open(&t);
        if (firewall_load(t.fw, (const FirewallProfile *) (void *) rules->data, n, both,
                          G_N_ELEMENTS(both), local, G_N_ELEMENTS(local), &f) < 0)
                tap_bail_out(f.message);
        for (size_t i = 0; i < n; i++)
                test_profile(&t, &list[i], random);
        field_close(&t);
        return tap_done();
}
