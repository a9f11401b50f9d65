/* SPDX-License-Identifier: MIT */

/* host/links.h against the kernel: root, in namespaces of its own. The test plays the guest at the
 * other end of a veth pair, "vm". */

#include "tests/host/links-fixture.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#define GUEST UINT32_C(0x0a070002) /* 10.7.0.2 */

static void cases_of_reading(Net *t)
{
        g_autoptr(GArray) list = NULL;
        Fault f = {0};
        Link link;

        run("ip link add other0 type bridge");
        run("ip link add fl-0123456789ab address 02:fd:0a:07:00:02 type veth peer name vm");
        run("ip tuntap add dev fl-second mode tap");
        run("ip link property add dev other0 altname fl-alias");
        tap_is_int(links_get(t->links, "fl-0123456789ab", &link, &f), 0, "a link is found");
        tap_is_str(link.name, "fl-0123456789ab", "with its name");
        tap_ok(link.index > 0 && link.mac[0] == 0x02 && link.mac[5] == 0x02, "index and MAC");
        tap_ok(!link.is_up && !link.is_isolated && !link.master[0], "and is no port, and down");
        tap_is_int(links_get(t->links, "fl-absent", &link, &f), -ENOENT, "an absent one is not");
        fault_clear(&f);
        tap_is_int(links_get(t->links, "fl-alias", &link, &f), -ENOENT,
                   "an alternative name of a link is none");
        tap_is_int(links_get(t->links, "fl-0123456789abc", &link, NULL), -ENOENT,
                   "a name that is too long is absent");
        tap_is_int(links_get(t->links, "", &link, NULL), -ENOENT, "so is an empty one");
        tap_is_str(f.message, "there is no network link 'fl-alias'", "the message names it");
        tap_is_int(links_list(t->links, &list, NULL), 0, "links are listed");
        tap_is_int(list->len, 2, "those with the prefix, and not the bridge");
        forget(t);
}

static void cases_of_link_news(Net *t)
{
        run("ip tuntap add dev fl-a mode tap");
        expect_told(t, "+fl-a", "a new link is told");
        run("ip link set fl-a up");
        expect_told(t, "+fl-a", "one that comes up is told");
        tap_ok(t->link.is_up, "as being up");
        run("ip link set fl-a mtu 1400");
        expect_told(t, "", "what is not told of is no news");
        run("ip link set fl-a address 02:fd:00:00:00:09");
        expect_told(t, "+fl-a", "a changed MAC is told");
        tap_is_int(t->link.mac[5], 9, "the new one");
        run("ip link set fl-a master fluid0");
        expect_told(t, "+fl-a", "one that joins a bridge is told");
        tap_is_str(t->link.master, "fluid0", "with the bridge's name");
        run("bridge link set dev fl-a isolated on");
        expect_told(t, "+fl-a", "isolation is told");
        tap_ok(t->link.is_isolated, "as being on");
        run("bridge link set dev fl-a isolated off");
        expect_told(t, "+fl-a", "and its end");
        tap_ok(!t->link.is_isolated, "as being off");
        run("ip link set fl-a nomaster");
        expect_told(t, "+fl-a", "one that leaves the bridge is told, and not as gone");
        run("ip link set fl-a down");
        run("ip link set fl-a name gone0");
        expect_told(t, "-fl-a", "one that is renamed away is gone");
        run("ip link set gone0 up");
        run("ip link set gone0 down");
        expect_told(t, "", "and not told of any more");
        run("ip link set gone0 name fl-b");
        expect_told(t, "+fl-b", "one that is renamed to the prefix is there");
        run("ip link set fl-b name fl-c");
        expect_told(t, "-fl-b +fl-c", "one that is renamed within it is gone, then there");
        run("ip link del fl-c");
        expect_told(t, "-fl-c", "a deleted one is gone");
}

static void cases_of_names(Net *t)
{
        run("ip tuntap add dev fl-x mode tap");
        run("ip tuntap add dev spare mode tap");
        forget(t);
        run("ip link set spare mtu 1300");
        run("ip link set fl-x name old");
        run("ip link set spare name fl-x");
        expect_told(t, "-fl-x +fl-x", "a name that passes to another link ends as being there");
        run("ip link del old");
        run("ip link del fl-x");
        forget(t);
        run("ip tuntap add dev fl-\x1b[2J\xff;$(x) mode tap");
        expect_told(t, "+fl-\x1b[2J\xff;$(x)", "a hostile name is told as it is");
        run("ip link del fl-\x1b[2J\xff;$(x)");
        expect_told(t, "-fl-\x1b[2J\xff;$(x)", "and that it is gone");
        run("ip tuntap add dev xfl-a mode tap");
        run("ip tuntap add dev FL-a mode tap");
        run("ip tuntap add dev fl mode tap");
        expect_told(t, "", "other names are not told of");
        run("ip link set fluid0 down");
        expect_told(t, "+fluid0", "the bridge is told of");
        run("ip link set fluid0 up");
        run("ip link del FL-a");
        forget(t);
}

/* Whether a message of the kernel's shows a port of a bridge that is up and not isolated. */
static void look_for_leak(const struct nlmsghdr *h, void *userdata)
{
        Link link;
        int master;

        if (message_link(h, &link, &master) && g_str_has_prefix(link.name, "fl-") && master > 0 &&
            link.is_up && !link.is_isolated)
                *(bool *) userdata = true;
}

static void expect_port(Net *t, const char *state)
{
        static const int groups[] = {RTNLGRP_LINK};
        g_autoptr(NetlinkSocket) witness = NULL;
        bool leaks = false;
        Fault f = {0};
        Link link;

        if (netlink_open(NETLINK_ROUTE, &witness) < 0 ||
            netlink_join(witness, groups, 1, 1 << 20) < 0)
                tap_bail_out("no witness");
        tap_is_int(links_set_port(t->links, "fl-second", &f), 0, "%s becomes a port", state);
        tap_ok(links_get(t->links, "fl-second", &link, NULL) == 0 && link.is_up &&
                       link.is_isolated && g_str_equal(link.master, "fluid0"),
               "isolated, of the bridge, and up");
        (void) netlink_read_news(witness, look_for_leak, &leaks);
        tap_ok(!leaks, "and at no moment is it a port that is up and not isolated");
}

static void cases_of_ports(Net *t)
{
        Fault f = {0};
        Link link;

        tap_is_int(links_set_up(t->links, "fl-second", true, &f), 0, "a link is brought up");
        tap_ok(links_get(t->links, "fl-second", &link, NULL) == 0 && link.is_up, "and is up");
        expect_port(t, "a link of no bridge");
        run("ip link set fl-second nomaster");
        run("ip link set fl-second master other0");
        expect_port(t, "a port of another bridge");
        forget(t);
        tap_is_int(links_set_port(t->links, "fl-second", &f), 0, "one that is a port stays it");
        expect_told(t, "", "and nothing changes");
        run("bridge link set dev fl-second isolated off");
        tap_is_int(links_set_port(t->links, "fl-second", &f), 0, "one that is not isolated");
        tap_ok(links_get(t->links, "fl-second", &link, NULL) == 0 && link.is_isolated,
               "becomes isolated");
        tap_is_int(links_set_up(t->links, "fl-second", false, &f), 0, "a link is taken down");
        run("ip link set fl-second nomaster");
        tap_ok(links_set_port(t->links, "fl-second", &f) == 0 &&
                       links_get(t->links, "fl-second", &link, NULL) == 0 && !link.is_up,
               "one that is down becomes a port and stays down");
        tap_is_int(links_set_port(t->links, "fl-absent", &f), -ENOENT, "an absent one does not");
        tap_is_int(links_set_up(t->links, "fl-absent", true, NULL), -ENOENT, "nor come up");
        run("ip link set fluid0 name renamed");
        fault_clear(&f);
        tap_is_int(links_set_port(t->links, "fl-second", &f), -ENOENT, "nor without a bridge");
        tap_is_str(f.message, "there is no network link 'fluid0'", "which the message names");
        run("ip link set renamed name fluid0");
        forget(t);
}

static void cases_of_macs(Net *t)
{
        static const uint8_t good[MAC_SIZE] = {2, 0xfd, 1, 2, 3, 4}, group[MAC_SIZE] = {1};
        Fault f = {0};
        Link link;

        tap_is_int(links_set_mac(t->links, "fl-second", good, &f), 0, "a MAC is set");
        tap_ok(links_get(t->links, "fl-second", &link, NULL) == 0 &&
                       memcmp(link.mac, good, MAC_SIZE) == 0,
               "and is there");
        tap_ok(links_set_mac(t->links, "fl-second", group, &f) < 0, "a group's is refused");
        tap_ok(strstr(f.message, "cannot set the MAC of network link 'fl-second'") != NULL,
               "in words");
        forget(t);
}

/* -- ARP: the guest answers ------------------------------------------------------------------- */

typedef struct Arp {
        uint8_t destination[MAC_SIZE], source[MAC_SIZE];
        uint16_t ethertype, hardware, protocol;
        uint8_t hardware_size, protocol_size;
        uint16_t operation;
        uint8_t sender_mac[MAC_SIZE];
        uint32_t sender;
        uint8_t target_mac[MAC_SIZE];
        uint32_t target;
} __attribute__((packed)) Arp;

static unsigned questions; /* that the guest was asked */

static int on_frame(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        static const uint8_t mac[MAC_SIZE] = {2, 0xfd, 0x0a, 7, 0, 2};
        Arp arp;

        (void) source, (void) events, (void) userdata;
        if (recv(fd, &arp, sizeof arp, MSG_DONTWAIT) != sizeof arp || arp.operation != htons(1) ||
            arp.target != htonl(GUEST))
                return 0;
        questions++;
        memcpy(arp.destination, arp.source, MAC_SIZE);
        memcpy(arp.source, mac, MAC_SIZE);
        memcpy(arp.target_mac, arp.sender_mac, MAC_SIZE);
        memcpy(arp.sender_mac, mac, MAC_SIZE);
        arp.target = arp.sender;
        arp.sender = htonl(GUEST);
        arp.operation = htons(2);
        (void) send(fd, &arp, sizeof arp, 0);
        return 0;
}

static int open_guest(void)
{
        struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                      .sll_protocol = htons(ETH_P_ARP),
                                      .sll_ifindex = (int) if_nametoindex("vm")};
        autofd fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ARP));

        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof address) < 0)
                tap_bail_out("the guest has no socket");
        return TAKE_FD(fd);
}

static bool has_neighbor(Net *t)
{
        return t->neighbors > 0;
}

static void expect_answer(Net *t, const char *what)
{
        Fault f = {0};

        forget(t);
        questions = 0;
        if (links_probe(t->links, GUEST, &f) < 0)
                tap_note("%s", f.message);
        tap_ok(wait_until(t, has_neighbor) && t->address == GUEST && questions == 1, "%s", what);
}

static void cases_of_neighbors(Net *t)
{
        sd_event_source *source = NULL;
        Fault f = {0};
        Link link;

        run("ip link set vm up");
        run("ip link set fl-0123456789ab up");
        run("ip addr add 10.7.0.1/24 dev fluid0");
        tap_is_int(links_set_port(t->links, "fl-0123456789ab", &f), 0, "the guest is a port");
        /* Who is slow to answer is not asked twice: every question is one that was told to be. */
        run("ip ntable change name arp_cache dev fluid0 retrans 60000");
        autofd fd = open_guest();
        (void) sd_event_add_io(t->event, &source, fd, EPOLLIN, on_frame, NULL);
        expect_answer(t, "an address that nobody knew is asked for, and its answer told");
        expect_answer(t, "it is told again when it is asked for again");
        run("ip neigh replace 10.7.0.2 dev fluid0 lladdr 02:fd:0a:07:00:02 nud stale");
        expect_answer(t, "one that was not heard of for long is asked at once");
        run("ip neigh replace 10.7.0.2 dev fluid0 nud failed");
        expect_answer(t, "one that did not answer before is asked again");
        forget(t);
        run("ip neigh replace 10.7.0.9 dev fluid0 lladdr 02:fd:0a:07:00:09 nud reachable");
        settle(t);
        tap_ok(t->neighbors == 1 && t->address == GUEST + 7,
               "one that a DHCP server made a neighbour is told");
        run("ip neigh replace 10.7.0.9 dev other0 lladdr 02:fd:0a:07:00:09 nud reachable");
        settle(t);
        tap_is_int(t->neighbors, 1, "those of other links are not");
        tap_is_int(links_probe(t->links, GUEST + 1, &f), 0, "one that nobody has is asked for");
        expect_answer(t, "and only who answered is told");
        tap_ok(links_get(t->links, "fl-0123456789ab", &link, NULL) == 0 &&
                       link.received_packets >= 4 && link.received_bytes > link.received_packets &&
                       link.sent_packets >= 4,
               "what the guest sent is counted as received");
        run("ip link set fluid0 down");
        tap_ok(links_probe(t->links, GUEST, NULL) <= 0, "a bridge that is down does no harm");
        run("ip link set fluid0 up");
        source = sd_event_source_disable_unref(source);
        forget(t);
}

/* -- networks ---------------------------------------------------------------------------------- */

static char *networks_of(Net *t)
{
        g_autoptr(GArray) networks = NULL;
        g_autoptr(GString) text = g_string_new(NULL);
        Fault f = {0};

        if (links_networks(t->links, &networks, &f) < 0)
                return g_strdup(f.message);
        for (guint i = 0; i < networks->len; i++) {
                g_autofree char *one =
                        address_range_format(&g_array_index(networks, AddressRange, i));
                g_string_append_printf(text, "%s%s", i ? " " : "", one);
        }
        return g_string_free(TAKE_PTR(text), FALSE);
}

static void expect_networks(Net *t, const char *expected, const char *what)
{
        g_autofree char *now = networks_of(t);

        settle(t);
        tap_is_str(now, expected, "%s", what);
        tap_ok(t->networks > 0, "and that they changed is told");
        t->networks = 0;
}

static void cases_of_networks(Net *t)
{
        g_autofree char *before = networks_of(t);

        tap_is_str(before, "127.0.0.0/8", "the bridge's own network is none of the host's");
        run("ip tuntap add dev lan mode tap");
        run("ip addr add 192.168.1.7/24 dev lan");
        expect_networks(t, "127.0.0.0/8 192.168.1.0/24",
                        "an address is in its network, also while its link is down");
        run("ip link set lan up");
        run("ip route add default via 192.168.1.1");
        run("ip route add 0.0.0.0/1 via 192.168.1.1");
        run("ip route add 128.0.0.0/1 via 192.168.1.1");
        run("ip route add 10.0.0.0/9 via 192.168.1.1");
        run("ip route add 10.7.9.0/24 dev fluid0");
        run("ip route add unreachable 172.16.0.0/12");
        run("ip route add 198.51.100.0/24 via 192.168.1.2 table 77");
        run("ip route add 203.0.113.0/24 nexthop via 192.168.1.3 nexthop dev fluid0");
        run("ip addr add 10.9.9.1 peer 172.31.0.2 dev lan");
        expect_networks(t,
                        "10.0.0.0/9 127.0.0.0/8 172.31.0.2/32 192.168.1.0/24 198.51.100.0/24 "
                        "203.0.113.0/24",
                        "routes count, of all tables, but no default ones and none of the bridge");
        run("ip link set lan down");
        expect_networks(t, "10.9.9.1/32 127.0.0.0/8 172.31.0.2/32 192.168.1.0/24",
                        "routes that go silently with their link are not there");
        run("ip link del lan");
        expect_networks(t, "127.0.0.0/8", "nor those of a deleted one");
        run("ip link set fl-second up");
        run("ip link set fl-second down");
        settle(t);
        tap_is_int(t->networks, 0, "a link of ours that goes up and down is no such news");
}

/* -- losses ------------------------------------------------------------------------------------ */

static bool has_overrun(Net *t)
{
        return t->overruns > 0;
}

static void cases_of_overrun(Net *t)
{
        int small = 4096;

        forget(t);
        (void) setsockopt(nl_socket_get_fd(t->links->route_news), SOL_SOCKET, SO_RCVBUFFORCE,
                          &small, sizeof small);
        for (unsigned i = 0; i < 40; i++)
                run("ip link set fl-second mtu %u", 1000 + i);
        run("ip tuntap add dev fl-lost mode tap");
        tap_ok(wait_until(t, has_overrun), "more news than the buffer takes is an overrun");
        settle(t);
        tap_is_int(t->overruns, 1, "told once");
        tap_ok(strstr(t->told->str, "fl-lost") == NULL, "what was lost is not told");
        forget(t);
        run("ip link set fl-lost mtu 1000");
        expect_told(t, "", "but it is known");
        run("ip link del fl-lost");
        expect_told(t, "-fl-lost", "and news go on");
}

static int cases(void)
{
        Net t = {0};

        run("ip link add fluid0 address 02:fd:0a:07:00:01 type bridge");
        run("ip link set fluid0 up");
        begin(&t);
        cases_of_reading(&t);
        cases_of_link_news(&t);
        cases_of_names(&t);
        cases_of_ports(&t);
        cases_of_macs(&t);
        cases_of_neighbors(&t);
        cases_of_networks(&t);
        cases_of_overrun(&t);
        end(&t);
        return tap_done();
}

int main(void)
{
        return run_alone(cases);
}
