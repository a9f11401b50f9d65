/* SPDX-License-Identifier: MIT */
#include "base/escape.h"
#include "host/links-private.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <string.h>

/* The attributes behind a header of `size` bytes; false where it does not hold together. */
static bool parse(const struct nlmsghdr *h, int size, struct nlattr **attributes, int max)
{
        return nlmsg_parse((struct nlmsghdr *) h, size, attributes, max, NULL) >= 0;
}

static bool get_u32(struct nlattr *a, uint32_t *ret)
{
        if (!a || nla_len(a) < (int) sizeof *ret)
                return false;
        *ret = nla_get_u32(a);
        return true;
}

static bool get_address(struct nlattr *a, uint32_t *ret)
{
        uint32_t value;

        if (!a || nla_len(a) != sizeof value || !get_u32(a, &value))
                return false;
        *ret = ntohl(value);
        return true;
}

/* A string that ends inside its attribute, or NULL. */
static const char *get_text(struct nlattr *a)
{
        return a && nla_len(a) > 0 && memchr(nla_data(a), '\0', (size_t) nla_len(a)) ? nla_data(a)
                                                                                     : NULL;
}

bool message_link_index(const struct nlmsghdr *h, int *ret_index, const char **ret_name)
{
        struct nlattr *a[IFLA_MAX + 1];

        if ((h->nlmsg_type != RTM_NEWLINK && h->nlmsg_type != RTM_DELLINK) ||
            !parse(h, sizeof(struct ifinfomsg), a, IFLA_MAX) || !get_text(a[IFLA_IFNAME]))
                return false;
        *ret_index = ((const struct ifinfomsg *) nlmsg_data(h))->ifi_index;
        *ret_name = get_text(a[IFLA_IFNAME]);
        return true;
}

static bool is_isolated_port(struct nlattr *link_info)
{
        struct nlattr *a[IFLA_INFO_MAX + 1], *port[IFLA_BRPORT_MAX + 1];

        if (!link_info || nla_parse_nested(a, IFLA_INFO_MAX, link_info, NULL) < 0 ||
            g_strcmp0(get_text(a[IFLA_INFO_SLAVE_KIND]), "bridge") != 0 ||
            !a[IFLA_INFO_SLAVE_DATA] ||
            nla_parse_nested(port, IFLA_BRPORT_MAX, a[IFLA_INFO_SLAVE_DATA], NULL) < 0)
                return false;
        struct nlattr *isolated = port[IFLA_BRPORT_ISOLATED];
        return isolated && nla_len(isolated) >= 1 && nla_get_u8(isolated);
}

bool message_link(const struct nlmsghdr *h, Link *ret, int *ret_master)
{
        struct nlattr *a[IFLA_MAX + 1];
        struct rtnl_link_stats64 stats = {0};
        uint32_t master = 0;

        if (h->nlmsg_type != RTM_NEWLINK || !parse(h, sizeof(struct ifinfomsg), a, IFLA_MAX))
                return false;
        const struct ifinfomsg *info = nlmsg_data(h);
        const char *name = get_text(a[IFLA_IFNAME]);
        if (info->ifi_family != AF_UNSPEC || !name || strlen(name) >= IFNAMSIZ)
                return false;
        Link link = {.index = info->ifi_index,
                     .is_up = info->ifi_flags & IFF_UP,
                     .is_isolated = is_isolated_port(a[IFLA_LINKINFO])};
        (void) g_strlcpy(link.name, name, sizeof link.name);
        /* A tunnel's address is another thing than a MAC. */
        if (a[IFLA_ADDRESS] && nla_len(a[IFLA_ADDRESS]) == MAC_SIZE)
                memcpy(link.mac, nla_data(a[IFLA_ADDRESS]), MAC_SIZE);
        if (a[IFLA_STATS64])
                memcpy(&stats, nla_data(a[IFLA_STATS64]),
                       MIN((size_t) nla_len(a[IFLA_STATS64]), sizeof stats));
        link.received_packets = stats.rx_packets;
        link.received_bytes = stats.rx_bytes;
        link.sent_packets = stats.tx_packets;
        link.sent_bytes = stats.tx_bytes;
        (void) get_u32(a[IFLA_MASTER], &master);
        *ret = link;
        *ret_master = (int) master;
        return true;
}

bool message_neighbor(const struct nlmsghdr *h, int *ret_index, uint32_t *ret_address)
{
        struct nlattr *a[NDA_MAX + 1];

        if (h->nlmsg_type != RTM_NEWNEIGH || !parse(h, sizeof(struct ndmsg), a, NDA_MAX))
                return false;
        const struct ndmsg *neighbor = nlmsg_data(h);
        if (neighbor->ndm_family != AF_INET || !(neighbor->ndm_state & NUD_REACHABLE) ||
            !get_address(a[NDA_DST], ret_address))
                return false;
        *ret_index = neighbor->ndm_ifindex;
        return true;
}

static bool link_goes_up_or_down(const struct nlmsghdr *h, const char *prefix)
{
        const struct ifinfomsg *info = nlmsg_data(h);
        const char *name;
        int index;

        if (!message_link_index(h, &index, &name) || info->ifi_family != AF_UNSPEC)
                return false;
        return (h->nlmsg_type == RTM_DELLINK || info->ifi_change & IFF_UP) &&
               !g_str_has_prefix(name, prefix);
}

bool message_changes_networks(const struct nlmsghdr *h, const char *prefix)
{
        switch (h->nlmsg_type) {
        case RTM_NEWADDR:
        case RTM_DELADDR:
        case RTM_NEWROUTE:
        case RTM_DELROUTE:
        case RTM_NEWNEXTHOP:
        case RTM_DELNEXTHOP:
                return true;
        case RTM_NEWLINK:
        case RTM_DELLINK:
                return link_goes_up_or_down(h, prefix);
        default:
                return false;
        }
}

static bool append_range(GArray *networks, uint32_t address, unsigned prefix_length)
{
        if (prefix_length <= 1 || prefix_length > 32)
                return false;
        AddressRange range = {address & address_mask(prefix_length), prefix_length};
        g_array_append_val(networks, range);
        return true;
}

static bool append_address(const struct nlmsghdr *h, int bridge, GArray *networks)
{
        struct nlattr *a[IFA_MAX + 1];
        uint32_t address;

        if (!parse(h, sizeof(struct ifaddrmsg), a, IFA_MAX))
                return false;
        const struct ifaddrmsg *info = nlmsg_data(h);
        if (info->ifa_family != AF_INET || (int) info->ifa_index == bridge)
                return false;
        /* IFA_ADDRESS is the network's, or the other end's; IFA_LOCAL this host's own. */
        bool has_network = get_address(a[IFA_ADDRESS], &address) &&
                           append_range(networks, address, info->ifa_prefixlen);
        return (get_address(a[IFA_LOCAL], &address) && append_range(networks, address, 32)) ||
               has_network;
}

/* Whether all ways of a route lead to that link. */
static bool leads_only_to(struct nlattr **a, int index)
{
        uint32_t out;

        if (get_u32(a[RTA_OIF], &out))
                return (int) out == index;
        if (!a[RTA_MULTIPATH])
                return false;
        const struct rtnexthop *hop = nla_data(a[RTA_MULTIPATH]);
        int left = nla_len(a[RTA_MULTIPATH]);
        while (RTNH_OK(hop, left)) {
                if (hop->rtnh_ifindex != index && !(hop->rtnh_flags & RTNH_F_DEAD))
                        return false;
                left -= (int) RTNH_ALIGN(hop->rtnh_len);
                hop = RTNH_NEXT(hop);
        }
        return true;
}

static bool append_route(const struct nlmsghdr *h, int bridge, GArray *networks)
{
        struct nlattr *a[RTA_MAX + 1];
        uint32_t address;

        if (!parse(h, sizeof(struct rtmsg), a, RTA_MAX))
                return false;
        const struct rtmsg *route = nlmsg_data(h);
        if (route->rtm_family != AF_INET ||
            (route->rtm_type != RTN_UNICAST && route->rtm_type != RTN_LOCAL &&
             route->rtm_type != RTN_NAT) ||
            !get_address(a[RTA_DST], &address) || (bridge > 0 && leads_only_to(a, bridge)))
                return false;
        return append_range(networks, address, route->rtm_dst_len);
}

bool message_network(const struct nlmsghdr *h, int bridge, GArray *networks)
{
        if (h->nlmsg_type == RTM_NEWADDR)
                return append_address(h, bridge, networks);
        if (h->nlmsg_type == RTM_NEWROUTE)
                return append_route(h, bridge, networks);
        return false;
}

/* By address, and where that is the same the larger one first. */
static int compare_ranges(gconstpointer a, gconstpointer b)
{
        const AddressRange *x = a, *y = b;

        if (x->address != y->address)
                return x->address < y->address ? -1 : 1;
        return (x->prefix_length > y->prefix_length) - (x->prefix_length < y->prefix_length);
}

void networks_reduce(GArray *networks)
{
        guint kept = 0;

        g_array_sort(networks, compare_ranges);
        for (guint i = 0; i < networks->len; i++) {
                AddressRange range = g_array_index(networks, AddressRange, i);
                if (kept > 0 &&
                    address_range_contains(&g_array_index(networks, AddressRange, kept - 1),
                                           range.address))
                        continue;
                g_array_index(networks, AddressRange, kept++) = range;
        }
        g_array_set_size(networks, kept);
}

/* NFTA_TABLE_NAME, NFTA_CHAIN_TABLE and so on: the first attribute of every message that is about
 * something in a table. */
static bool names_our_table(const struct nlmsghdr *h)
{
        struct nlattr *a[NFTA_TABLE_NAME + 1];

        if (!parse(h, sizeof(struct nfgenmsg), a, NFTA_TABLE_NAME))
                return false;
        const struct nfgenmsg *info = nlmsg_data(h);
        return (info->nfgen_family == NFPROTO_BRIDGE || info->nfgen_family == NFPROTO_INET) &&
               g_strcmp0(get_text(a[NFTA_TABLE_NAME]), "fluid") == 0;
}

bool message_generation_pid(const struct nlmsghdr *h, uint32_t *ret_pid)
{
        struct nlattr *a[NFTA_GEN_MAX + 1];

        return h->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN) &&
               parse(h, sizeof(struct nfgenmsg), a, NFTA_GEN_MAX) &&
               get_address(a[NFTA_GEN_PROC_PID], ret_pid);
}

static void get_program(const struct nlmsghdr *h, char ret[PROGRAM_MAX])
{
        struct nlattr *a[NFTA_GEN_MAX + 1];
        const char *name = NULL;

        if (parse(h, sizeof(struct nfgenmsg), a, NFTA_GEN_MAX))
                name = get_text(a[NFTA_GEN_PROC_NAME]);
        (void) escape_print_into(ret, PROGRAM_MAX, name ? name : "?", name ? strlen(name) : 1);
}

bool message_ruleset(const struct nlmsghdr *h, RulesetWatch *w, uint32_t *ret_pid,
                     char ret_program[PROGRAM_MAX])
{
        uint32_t pid = 0;

        if (h->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES)
                return false;
        if ((h->nlmsg_type & 0xff) != NFT_MSG_NEWGEN) {
                w->is_touched |= names_our_table(h);
                return false;
        }
        bool was_touched = w->is_touched;
        w->is_touched = false;
        if (!was_touched || (message_generation_pid(h, &pid) && pid == w->own_pid))
                return false;
        *ret_pid = pid;
        get_program(h, ret_program);
        return true;
}
