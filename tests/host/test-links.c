/* SPDX-License-Identifier: MIT */

/* How host/links.h reads what the kernel says: messages made here, whole and cut. */

#include "host/links-private.h"
#include "tests/tap.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>

static NetlinkMessage *new_message(int type, const void *header, size_t size)
{
        NetlinkMessage *m = nlmsg_alloc_simple(type, 0);

        if (!m || nlmsg_append(m, (void *) header, size, NLMSG_ALIGNTO) < 0)
                tap_bail_out("no memory");
        return m;
}

static void put_address(NetlinkMessage *m, int type, const char *text)
{
        uint32_t address = inet_addr(text);

        (void) nla_put(m, type, sizeof address, &address);
}

/* -- networks ---------------------------------------------------------------------------------- */

static char *to_text(const GArray *networks)
{
        GString *text = g_string_new(NULL);

        for (guint i = 0; i < networks->len; i++) {
                g_autofree char *one =
                        address_range_format(&g_array_index(networks, AddressRange, i));
                g_string_append_printf(text, "%s%s", i ? " " : "", one);
        }
        return g_string_free(text, FALSE);
}

static void cases_of_reducing(void)
{
        static const struct {
                const char *from, *to;
        } rows[] = {
                {"", ""},
                {"10.0.0.0/8", "10.0.0.0/8"},
                {"10.0.0.0/8 10.0.0.0/8", "10.0.0.0/8"},
                {"10.1.0.0/16 10.0.0.0/8 10.2.3.4/32", "10.0.0.0/8"},
                {"10.0.0.0/16 10.0.0.0/8 10.0.0.0/32", "10.0.0.0/8"},
                {"192.168.1.0/24 10.0.0.0/8 192.168.0.0/24",
                 "10.0.0.0/8 192.168.0.0/24 192.168.1.0/24"},
                {"255.255.255.255/32 128.0.0.0/2 192.0.0.0/2", "128.0.0.0/2 192.0.0.0/2"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(GArray) networks = g_array_new(FALSE, FALSE, sizeof(AddressRange));
                g_auto(GStrv) parts = g_strsplit(rows[i].from, " ", -1);
                for (char **part = parts; *part; part++) {
                        AddressRange range;
                        if (address_range_parse(*part, &range, NULL) >= 0)
                                g_array_append_val(networks, range);
                }
                networks_reduce(networks);
                g_autofree char *text = to_text(networks);
                tap_is_str(text, rows[i].to, "'%s' is reduced", rows[i].from);
        }
}

static void cases_of_routes(void)
{
        static const struct {
                unsigned char type, family, length;
                const char *destination;
                uint32_t out;
                const char *expected, *what;
        } rows[] = {
                {RTN_UNICAST, AF_INET, 24, "192.0.2.0", 7, "192.0.2.0/24", "a route"},
                {RTN_LOCAL, AF_INET, 16, "10.9.0.0", 1, "10.9.0.0/16", "a local one"},
                {RTN_UNICAST, AF_INET, 24, "192.0.2.9", 7, "192.0.2.0/24", "one with host bits"},
                {RTN_UNICAST, AF_INET, 32, "192.0.2.9", 7, "192.0.2.9/32", "one address"},
                {RTN_UNICAST, AF_INET, 24, "192.0.2.0", 5, "", "one by the bridge"},
                {RTN_UNICAST, AF_INET, 0, NULL, 7, "", "a default route"},
                {RTN_UNICAST, AF_INET, 1, "128.0.0.0", 7, "", "half a default route"},
                {RTN_UNICAST, AF_INET, 33, "192.0.2.0", 7, "", "an impossible length"},
                {RTN_BROADCAST, AF_INET, 32, "192.0.2.255", 7, "", "a broadcast address"},
                {RTN_MULTICAST, AF_INET, 4, "224.0.0.0", 7, "", "a multicast one"},
                {RTN_BLACKHOLE, AF_INET, 8, "10.0.0.0", 7, "", "one that only refuses"},
                {RTN_UNICAST, AF_INET6, 24, "192.0.2.0", 7, "", "one of IPv6"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(GArray) networks = g_array_new(FALSE, FALSE, sizeof(AddressRange));
                const struct rtmsg route = {.rtm_family = rows[i].family,
                                            .rtm_type = rows[i].type,
                                            .rtm_dst_len = rows[i].length};
                g_autoptr(NetlinkMessage) m = new_message(RTM_NEWROUTE, &route, sizeof route);
                if (rows[i].destination)
                        put_address(m, RTA_DST, rows[i].destination);
                (void) nla_put_u32(m, RTA_OIF, rows[i].out);
                bool is_one = message_network(nlmsg_hdr(m), 5, networks);
                g_autofree char *text = to_text(networks);
                tap_ok(is_one == (*rows[i].expected != '\0') && strcmp(text, rows[i].expected) == 0,
                       "%s counts as '%s'", rows[i].what, rows[i].expected);
        }
}

/* -- neighbours -------------------------------------------------------------------------------- */

static void cases_of_neighbors(void)
{
        static const struct {
                int type;
                uint8_t family;
                uint16_t state;
                const char *address, *what;
                bool counts;
        } rows[] = {
                {RTM_NEWNEIGH, AF_INET, NUD_REACHABLE, "192.0.2.1", "a reachable one", true},
                {RTM_NEWNEIGH, AF_INET, NUD_STALE, "192.0.2.1", "a stale one", false},
                {RTM_NEWNEIGH, AF_INET, NUD_PROBE, "192.0.2.1", "one that is asked", false},
                {RTM_NEWNEIGH, AF_INET, NUD_FAILED, "192.0.2.1", "one that failed", false},
                {RTM_DELNEIGH, AF_INET, NUD_REACHABLE, "192.0.2.1", "a forgotten one", false},
                {RTM_NEWNEIGH, AF_INET6, NUD_REACHABLE, "192.0.2.1", "one of IPv6", false},
                {RTM_NEWNEIGH, AF_BRIDGE, NUD_REACHABLE, "192.0.2.1", "a bridge's MAC", false},
                {RTM_NEWNEIGH, AF_INET, NUD_REACHABLE, NULL, "one without an address", false},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                const struct ndmsg header = {
                        .ndm_family = rows[i].family, .ndm_ifindex = 5, .ndm_state = rows[i].state};
                g_autoptr(NetlinkMessage) m = new_message(rows[i].type, &header, sizeof header);
                uint32_t address = 0;
                int index = 0;
                if (rows[i].address)
                        put_address(m, NDA_DST, rows[i].address);
                bool counts = message_neighbor(nlmsg_hdr(m), &index, &address);
                tap_ok(counts == rows[i].counts &&
                               (!counts || (index == 5 && address == 0xc0000201)),
                       "%s is %s", rows[i].what, rows[i].counts ? "told" : "not told");
        }
}

/* -- nftables ---------------------------------------------------------------------------------- */

/* One letter a message: B, I tables "fluid" of bridge and inet, 4 of ip, x another's of inet, r a
 * rule of I, e one without attributes, R one of another subsystem; then 1, 2, 0: the end of a
 * transaction by this process, another one, or one that is not told. The expected: of each end. */
static void cases_of_rulesets(void)
{
        static const struct {
                const char *messages, *told, *what;
        } rows[] = {
                {"B2", "+", "a bridge table"},
                {"I2", "+", "an inet table"},
                {"r2", "+", "a rule"},
                {"BIrrr2", "+", "many changes at once"},
                {"xxBx2", "+", "one of ours among others"},
                {"42", "-", "a table of another family"},
                {"x2", "-", "another's table"},
                {"e2", "-", "a message without attributes"},
                {"R2", "-", "another subsystem's message"},
                {"2", "-", "no change at all"},
                {"B1", "-", "our own change"},
                {"B1B2", "-+", "our own, then another's"},
                {"B2x2", "+-", "another's, then nothing of ours"},
                {"B1x2", "--", "what we touched is not put on the next one"},
                {"B0", "+", "a change by who knows whom"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                RulesetWatch w = {.own_pid = 1};
                g_autoptr(GString) told = g_string_new(NULL);
                for (const char *c = rows[i].messages; *c; c++) {
                        const struct nfgenmsg info = {.nfgen_family = *c == 'B'   ? NFPROTO_BRIDGE
                                                                      : *c == '4' ? NFPROTO_IPV4
                                                                                  : NFPROTO_INET};
                        int type = g_ascii_isdigit(*c) && *c != '4' ? NFT_MSG_NEWGEN
                                   : *c == 'r'                      ? NFT_MSG_NEWRULE
                                                                    : NFT_MSG_NEWTABLE;
                        int subsystem = *c == 'R' ? NFNL_SUBSYS_CTNETLINK : NFNL_SUBSYS_NFTABLES;
                        g_autoptr(NetlinkMessage) m =
                                new_message(subsystem << 8 | type, &info, sizeof info);
                        char program[PROGRAM_MAX];
                        uint32_t pid;
                        if (type != NFT_MSG_NEWGEN && *c != 'e')
                                (void) nla_put_string(m, NFTA_TABLE_NAME,
                                                      *c == 'x' ? "fluid0" : "fluid");
                        if (*c == '1' || *c == '2')
                                (void) nla_put_u32(m, NFTA_GEN_PROC_PID, htonl(*c - '0'));
                        bool is_told = message_ruleset(nlmsg_hdr(m), &w, &pid, program);
                        if (type == NFT_MSG_NEWGEN)
                                (void) g_string_append_c(told, is_told ? '+' : '-');
                }
                tap_is_str(told->str, rows[i].told, "%s", rows[i].what);
        }
}

static void cases_of_programs(void)
{
        static const struct {
                const char *name, *expected;
        } rows[] = {{"nft", "nft"},
                    {"fifteen-letters", "fifteen-letters"},
                    {"\x1b[2J", "\\x1b[2J"},
                    {"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f",
                     "\\x01\\x02\\x03\\x04\\x05\\x06\\x07\\x08\\x09\\x0a\\x0b\\x0c\\x0d\\x0e\\x0f"},
                    {NULL, "?"}};

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                const struct nfgenmsg info = {0};
                RulesetWatch w = {.own_pid = 1, .is_touched = true};
                char program[PROGRAM_MAX] = "";
                uint32_t pid;
                g_autoptr(NetlinkMessage) m =
                        new_message(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN, &info, sizeof info);
                if (rows[i].name)
                        (void) nla_put_string(m, NFTA_GEN_PROC_NAME, rows[i].name);
                (void) message_ruleset(nlmsg_hdr(m), &w, &pid, program);
                tap_is_str(program, rows[i].expected, "a program is called %s", rows[i].expected);
        }
}

/* -- links ------------------------------------------------------------------------------------- */

static NetlinkMessage *new_link(const char *kind, const char *name)
{
        const struct ifinfomsg info = {.ifi_index = 9, .ifi_flags = IFF_UP};
        const struct rtnl_link_stats64 stats = {.rx_packets = 1, .tx_bytes = 4};
        NetlinkMessage *m = new_message(RTM_NEWLINK, &info, sizeof info);

        (void) nla_put_string(m, IFLA_IFNAME, name);
        (void) nla_put(m, IFLA_ADDRESS, MAC_SIZE, "\x02\xfd\x01\x02\x03\x04");
        (void) nla_put_u32(m, IFLA_MASTER, 3);
        (void) nla_put(m, IFLA_STATS64, sizeof stats, &stats);
        struct nlattr *details = nla_nest_start(m, IFLA_LINKINFO);
        (void) nla_put_string(m, IFLA_INFO_SLAVE_KIND, kind);
        struct nlattr *port = nla_nest_start(m, IFLA_INFO_SLAVE_DATA);
        (void) nla_put_u8(m, IFLA_BRPORT_ISOLATED, 1);
        (void) nla_nest_end(m, port);
        (void) nla_nest_end(m, details);
        return m;
}

static void cases_of_links(void)
{
        g_autoptr(NetlinkMessage) m = new_link("bridge", "fl-1");
        g_autoptr(NetlinkMessage) bonded = new_link("bond", "fl-1");
        g_autoptr(NetlinkMessage) long_name = new_link("bridge", "fl-0123456789abc");
        int master = 0;
        Link link;

        tap_ok(message_link(nlmsg_hdr(m), &link, &master), "a link is read");
        tap_ok(link.index == 9 && master == 3 && strcmp(link.name, "fl-1") == 0 && link.is_up &&
                       link.is_isolated && link.mac[5] == 4 && link.received_packets == 1 &&
                       link.sent_bytes == 4 && link.received_bytes == 0,
               "with all that it has");
        tap_ok(message_link(nlmsg_hdr(bonded), &link, &master) && !link.is_isolated,
               "the same attribute of another kind of port is no isolation");
        tap_ok(!message_link(nlmsg_hdr(long_name), &link, &master), "too long a name is refused");
        nlmsg_hdr(m)->nlmsg_type = RTM_DELLINK;
        tap_ok(!message_link(nlmsg_hdr(m), &link, &master), "a link that goes is not there");
}

/* Each in memory of just its size, so that a sanitizer sees a byte too far. */
static void cases_of_cut_messages(void)
{
        g_autoptr(NetlinkMessage) whole = new_link("bridge", "fl-1");
        uint32_t size = nlmsg_hdr(whole)->nlmsg_len;
        bool is_bounded = true;

        for (uint32_t cut = NLMSG_HDRLEN; cut < size; cut++)
                for (uint16_t type = RTM_NEWLINK; type <= RTM_DELNEIGH; type++) {
                        g_autofree struct nlmsghdr *h = g_memdup2(nlmsg_hdr(whole), cut);
                        g_autoptr(GArray) networks =
                                g_array_new(FALSE, FALSE, sizeof(AddressRange));
                        RulesetWatch w = {0};
                        char program[PROGRAM_MAX];
                        const char *name;
                        uint32_t value;
                        int index;
                        Link link;
                        h->nlmsg_len = cut;
                        h->nlmsg_type = type;
                        if (message_link(h, &link, &index))
                                is_bounded = is_bounded && memchr(link.name, '\0', IFNAMSIZ);
                        (void) message_link_index(h, &index, &name);
                        (void) message_neighbor(h, &index, &value);
                        (void) message_changes_networks(h, "fl-");
                        (void) message_network(h, 3, networks);
                        h->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | (type & 1 ? NFT_MSG_NEWGEN : 0);
                        w.is_touched = true;
                        (void) message_ruleset(h, &w, &value, program);
                }
        tap_ok(is_bounded, "a message that is cut anywhere is read no further than its end");
}

int main(void)
{
        cases_of_reducing();
        cases_of_routes();
        cases_of_neighbors();
        cases_of_rulesets();
        cases_of_programs();
        cases_of_links();
        cases_of_cut_messages();
        return tap_done();
}
