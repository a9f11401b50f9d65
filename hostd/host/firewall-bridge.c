/* SPDX-License-Identifier: MIT */

/* What the rules stand on beside nftables, by rtnetlink, so that no file of the kernel's has to be
 * writable:
 *
 * route_localnet, where a port is published on 127.0.0.1: the answers come back through the bridge.
 * Otherwise it is off, so that not even a flush of the rules opens the host's own services to a
 * guest.
 *
 * group_fwd_mask for LLDP: of the frames that a bridge keeps for itself, LLDP alone passes none of
 * the hooks of nftables and is given to whoever listens on the tap. As one to be forwarded it
 * passes prerouting, where it is dropped.
 *
 * A rule of routing for what would leave by the bridge that it came from: without the rules of
 * nftables, too, no sandbox reaches another by way of the host. No route can tell where a packet
 * comes from. Where it is the only such rule of a host, the way of each packet that is forwarded
 * gets a tenth longer by it. */

#include "host/firewall-private.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>

#define FORWARD_LLDP  (1U << 14)
#define RULE_PRIORITY 10 /* after the host's own addresses, before all else */

static void put_settings(struct nlmsghdr *h, bool is_localhost_published)
{
        struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO);
        mnl_attr_put_strz(h, IFLA_INFO_KIND, "bridge");
        struct nlattr *data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
        mnl_attr_put_u16(h, IFLA_BR_GROUP_FWD_MASK, FORWARD_LLDP);
        mnl_attr_nest_end(h, data);
        mnl_attr_nest_end(h, info);

        struct nlattr *families = mnl_attr_nest_start(h, IFLA_AF_SPEC);
        struct nlattr *family = mnl_attr_nest_start(h, AF_INET);
        struct nlattr *settings = mnl_attr_nest_start(h, IFLA_INET_CONF);
        mnl_attr_put_u32(h, IPV4_DEVCONF_ROUTE_LOCALNET, is_localhost_published);
        mnl_attr_nest_end(h, settings);
        mnl_attr_nest_end(h, family);
        mnl_attr_nest_end(h, families);
}

static struct nlmsghdr *put_header(void *buffer, uint16_t type, uint16_t flags)
{
        struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);

        h->nlmsg_type = type;
        h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        h->nlmsg_seq = 1;
        return h;
}

static int talk(struct mnl_socket *socket, struct nlmsghdr *h)
{
        char buffer[4096];
        ssize_t n;

        if (mnl_socket_sendto(socket, h, h->nlmsg_len) < 0 ||
            (n = mnl_socket_recvfrom(socket, buffer, sizeof buffer)) < 0 ||
            mnl_cb_run(buffer, (size_t) n, 1, mnl_socket_get_portid(socket), NULL, NULL) < 0)
                return -errno;
        return 0;
}

static int add_rule(struct mnl_socket *socket, const Firewall *fw)
{
        char buffer[1024];
        struct nlmsghdr *h = put_header(buffer, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL);
        struct fib_rule_hdr *rule = mnl_nlmsg_put_extra_header(h, sizeof *rule);

        rule->family = AF_INET;
        rule->dst_len = (uint8_t) fw->range.prefix_length;
        rule->action = FR_ACT_BLACKHOLE;
        mnl_attr_put_u32(h, FRA_PRIORITY, RULE_PRIORITY);
        mnl_attr_put_u32(h, FRA_DST, htonl(fw->range.address));
        mnl_attr_put_strz(h, FRA_IIFNAME, fw->bridge);
        int r = talk(socket, h);
        return r == -EEXIST ? 0 : r;
}

static int change_link(struct mnl_socket *socket, unsigned index, bool is_localhost_published)
{
        char buffer[1024];
        struct nlmsghdr *h = put_header(buffer, RTM_NEWLINK, 0);
        struct ifinfomsg *link = mnl_nlmsg_put_extra_header(h, sizeof *link);
        link->ifi_index = (int) index;
        put_settings(h, is_localhost_published);
        int r = talk(socket, h);
        return r == -ENODEV ? 0 : r;
}

unsigned bridge_localhost_ports(const Sandbox *s)
{
        unsigned n = 0;

        for (guint i = 0; s && i < s->ports->len; i++) {
                uint32_t host = g_array_index(s->ports, FirewallPort, i).host_address;
                n += host == 0 || host >> 24 == 127;
        }
        return n;
}

static int prepare(const Firewall *fw, unsigned index)
{
        struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
        int r = socket && mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 ? 0 : -errno;

        if (r >= 0)
                r = add_rule(socket, fw);
        if (r >= 0 && index)
                r = change_link(socket, index, fw->localhost_ports > 0);
        if (socket)
                (void) mnl_socket_close(socket);
        return r;
}

int bridge_prepare(Firewall *fw, bool is_forced, Fault *f)
{
        unsigned index = if_nametoindex(fw->bridge);
        int r;

        if (!is_forced && fw->bridge_index == index &&
            fw->bridge_has_localhost == (fw->localhost_ports > 0))
                return 0;
        if ((r = prepare(fw, index)) < 0)
                return fault_set_errno(f, FAULT_IO, r, "cannot set up bridge '%s'", fw->bridge);
        fw->bridge_index = index;
        fw->bridge_has_localhost = fw->localhost_ports > 0;
        return 0;
}
