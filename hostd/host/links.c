/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "host/links-private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <string.h>

/* A listing is asked for again when it changed meanwhile, but not for ever. */
#define LISTINGS_MAX 8

bool links_follows(const Links *l, const char *name)
{
        return g_str_has_prefix(name, l->prefix) || g_str_equal(name, l->bridge);
}

static int link_failed(const char *what, const char *name, int error, Fault *f)
{
        if (error == -ENODEV || error == -ENOENT)
                return fault_set(f, FAULT_NOT_FOUND, "there is no network link '%s'", name);
        return fault_set_errno(f, FAULT_IO, error, "cannot %s network link '%s'", what, name);
}

/* -- asking ------------------------------------------------------------------------------------ */

static NetlinkMessage *new_link_message(int type, int flags, const struct ifinfomsg *info)
{
        g_autoptr(NetlinkMessage) m = nlmsg_alloc_simple(type, flags);

        if (!m || nlmsg_append(m, (void *) info, sizeof *info, NLMSG_ALIGNTO) < 0)
                g_error("out of memory");
        return TAKE_PTR(m);
}

typedef struct Found {
        const char *name; /* that it has to have, or NULL */
        Link link;
        int master;
        bool is_there;
} Found;

static void read_found(const struct nlmsghdr *h, void *userdata)
{
        Found *found = userdata;
        Link link;
        int master;

        /* The kernel also finds links by their alternative names. */
        if (!message_link(h, &link, &master) ||
            (found->name && !g_str_equal(found->name, link.name)))
                return;
        found->link = link;
        found->master = master;
        found->is_there = true;
}

static int find(Links *l, NetlinkMessage *request, const char *name, Link *ret)
{
        Found found = {.name = name};
        int r = netlink_ask(l->requests, request, read_found, &found);

        if (r < 0)
                return r;
        if (!found.is_there)
                return -ENODEV;
        if (found.master > 0 && !if_indextoname((unsigned) found.master, found.link.master))
                found.link.master[0] = '\0';
        *ret = found.link;
        return 0;
}

int links_find_by_index(Links *l, int index, Link *ret)
{
        const struct ifinfomsg info = {.ifi_index = index};
        g_autoptr(NetlinkMessage) m = new_link_message(RTM_GETLINK, 0, &info);

        return find(l, m, NULL, ret);
}

static int find_by_name(Links *l, const char *name, Link *ret)
{
        const struct ifinfomsg info = {0};
        g_autoptr(NetlinkMessage) m = new_link_message(RTM_GETLINK, 0, &info);

        if (!*name || strlen(name) >= IFNAMSIZ)
                return -ENODEV;
        (void) nla_put_string(m, IFLA_IFNAME, name);
        return find(l, m, name, ret);
}

typedef struct Listing {
        const Links *links;
        GArray *found;   /* of Link */
        GArray *masters; /* of int */
} Listing;

static void read_listed(const struct nlmsghdr *h, void *userdata)
{
        Listing *listing = userdata;
        Link link;
        int master;

        if (!message_link(h, &link, &master) || !links_follows(listing->links, link.name))
                return;
        g_array_append_val(listing->found, link);
        g_array_append_val(listing->masters, master);
}

/* Their masters' names; neighbours in the list mostly have the same. */
static void name_masters(Listing *listing)
{
        char name[IFNAMSIZ] = "";
        int named = 0;

        for (guint i = 0; i < listing->found->len; i++) {
                int master = g_array_index(listing->masters, int, i);
                if (master != named && !if_indextoname((unsigned) master, name))
                        name[0] = '\0';
                named = master;
                memcpy(g_array_index(listing->found, Link, i).master, name, sizeof name);
        }
}

/* All that are followed, the bridge too. */
int links_list_followed(Links *l, GArray **ret)
{
        const struct ifinfomsg info = {0};
        int r = -EINTR;

        for (unsigned i = 0; i < LISTINGS_MAX && r == -EINTR; i++) {
                g_autoptr(NetlinkMessage) m = new_link_message(RTM_GETLINK, NLM_F_DUMP, &info);
                g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(Link));
                g_autoptr(GArray) masters = g_array_new(FALSE, FALSE, sizeof(int));
                Listing listing = {l, found, masters};
                r = netlink_ask(l->requests, m, read_listed, &listing);
                if (r < 0)
                        continue;
                name_masters(&listing);
                *ret = TAKE_PTR(found);
        }
        return r;
}

/* -- the object -------------------------------------------------------------------------------- */

int links_new(sd_event *event, const char *prefix, const char *bridge,
              const LinksObserver *observer, void *userdata, Links **ret, Fault *f)
{
        g_autoptr(Links) l = g_new0(Links, 1);

        l->prefix = g_strdup(prefix);
        l->bridge = g_strdup(bridge);
        l->observer = *observer;
        l->userdata = userdata;
        int r = netlink_open(NETLINK_ROUTE, &l->requests);
        if (r >= 0)
                r = links_news_begin(l, event);
        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r,
                                       "cannot talk to the kernel about links and nftables");
        *ret = TAKE_PTR(l);
        return 0;
}

Links *links_free(Links *l)
{
        if (!l)
                return NULL;
        links_news_end(l);
        nl_socket_free(l->requests);
        g_free(l->prefix);
        g_free(l->bridge);
        g_free(l);
        return NULL;
}

int links_get(Links *l, const char *name, Link *ret, Fault *f)
{
        int r = find_by_name(l, name, ret);

        return r < 0 ? link_failed("look at", name, r, f) : 0;
}

int links_list(Links *l, GArray **ret, Fault *f)
{
        g_autoptr(GArray) all = NULL;
        int r = links_list_followed(l, &all);

        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "cannot list the network links");
        for (guint i = all->len; i-- > 0;)
                if (!g_str_has_prefix(g_array_index(all, Link, i).name, l->prefix))
                        (void) g_array_remove_index(all, i);
        *ret = TAKE_PTR(all);
        return 0;
}

/* -- changing ---------------------------------------------------------------------------------- */

static int change(Links *l, NetlinkMessage *m)
{
        return netlink_ask(l->requests, m, NULL, NULL);
}

static int set_flags(Links *l, int index, unsigned flags, unsigned mask)
{
        const struct ifinfomsg info = {.ifi_index = index, .ifi_flags = flags, .ifi_change = mask};
        g_autoptr(NetlinkMessage) m = new_link_message(RTM_SETLINK, 0, &info);

        return change(l, m);
}

static int set_master(Links *l, int index, int master)
{
        const struct ifinfomsg info = {.ifi_index = index};
        g_autoptr(NetlinkMessage) m = new_link_message(RTM_SETLINK, 0, &info);

        (void) nla_put_u32(m, IFLA_MASTER, (uint32_t) master);
        return change(l, m);
}

static int set_isolated(Links *l, int index)
{
        const struct ifinfomsg info = {.ifi_family = AF_BRIDGE, .ifi_index = index};
        g_autoptr(NetlinkMessage) m = new_link_message(RTM_SETLINK, 0, &info);
        struct nlattr *port = nla_nest_start(m, IFLA_PROTINFO | NLA_F_NESTED);

        (void) nla_put_u8(m, IFLA_BRPORT_ISOLATED, 1);
        (void) nla_nest_end(m, port);
        return change(l, m);
}

int links_set_up(Links *l, const char *name, bool is_up, Fault *f)
{
        Link link;
        int r = find_by_name(l, name, &link);

        if (r >= 0)
                r = set_flags(l, link.index, is_up ? IFF_UP : 0, IFF_UP);
        return r < 0 ? link_failed(is_up ? "bring up" : "take down", name, r, f) : 0;
}

/* A port that has not been isolated yet could reach the others: it is down meanwhile. */
static int join_bridge(Links *l, const Link *link, int bridge)
{
        int r = link->is_up ? set_flags(l, link->index, 0, IFF_UP) : 0;

        if (r >= 0)
                r = set_master(l, link->index, bridge);
        if (r >= 0)
                r = set_isolated(l, link->index);
        if (r >= 0 && link->is_up)
                r = set_flags(l, link->index, IFF_UP, IFF_UP);
        return r;
}

int links_set_port(Links *l, const char *name, Fault *f)
{
        Link bridge, link;
        int r = find_by_name(l, l->bridge, &bridge);

        if (r < 0)
                return link_failed("look at", l->bridge, r, f);
        r = find_by_name(l, name, &link);
        if (r >= 0 && !g_str_equal(link.master, l->bridge))
                r = join_bridge(l, &link, bridge.index);
        else if (r >= 0 && !link.is_isolated)
                r = set_isolated(l, link.index);
        return r < 0 ? link_failed("make an isolated port of", name, r, f) : 0;
}

int links_set_mac(Links *l, const char *name, const uint8_t mac[MAC_SIZE], Fault *f)
{
        Link link;
        int r = find_by_name(l, name, &link);

        if (r >= 0) {
                const struct ifinfomsg info = {.ifi_index = link.index};
                g_autoptr(NetlinkMessage) m = new_link_message(RTM_SETLINK, 0, &info);
                (void) nla_put(m, IFLA_ADDRESS, MAC_SIZE, mac);
                r = change(l, m);
        }
        return r < 0 ? link_failed("set the MAC of", name, r, f) : 0;
}

/* -- neighbours and networks ------------------------------------------------------------------- */

static int set_neighbor(Links *l, int index, uint32_t address, const struct ndmsg *how, int flags)
{
        const uint32_t destination = htonl(address);
        struct ndmsg info = *how;
        g_autoptr(NetlinkMessage) m = nlmsg_alloc_simple(RTM_NEWNEIGH, flags);

        info.ndm_family = AF_INET;
        info.ndm_ifindex = index;
        if (!m || nlmsg_append(m, &info, sizeof info, NLMSG_ALIGNTO) < 0 ||
            nla_put(m, NDA_DST, sizeof destination, &destination) < 0)
                return -ENOMEM;
        return change(l, m);
}

int links_probe(Links *l, uint32_t address, Fault *f)
{
        static const struct ndmsg probe = {.ndm_state = NUD_PROBE}, use = {.ndm_flags = NTF_USE};
        char text[ADDRESS_TEXT_MAX];
        Link bridge;
        int r = find_by_name(l, l->bridge, &bridge);

        if (r < 0)
                return link_failed("look at", l->bridge, r, f);
        /* Whose MAC the kernel knows is asked at once; it refuses that for all others, and those
         * it asks for as if it had something to send. */
        r = set_neighbor(l, bridge.index, address, &probe, NLM_F_REPLACE);
        if (r == -ENOENT || r == -EINVAL)
                r = set_neighbor(l, bridge.index, address, &use, NLM_F_CREATE | NLM_F_REPLACE);
        if (r >= 0)
                return 0;
        address_format(address, text);
        return fault_set_errno(f, FAULT_IO, r, "cannot ask for %s on bridge '%s'", text, l->bridge);
}

typedef struct NetworkListing {
        int bridge;
        GArray *networks;
} NetworkListing;

static void read_network(const struct nlmsghdr *h, void *userdata)
{
        NetworkListing *listing = userdata;

        (void) message_network(h, listing->bridge, listing->networks);
}

static int list_networks(Links *l, int type, int bridge, GArray *networks)
{
        guint before = networks->len;
        int r = -EINTR;

        for (unsigned i = 0; i < LISTINGS_MAX && r == -EINTR; i++) {
                /* The longer one of the headers of both types, whose first member is the family. */
                const struct rtmsg info = {.rtm_family = AF_INET};
                g_autoptr(NetlinkMessage) m = nlmsg_alloc_simple(type, NLM_F_DUMP);
                NetworkListing listing = {bridge, networks};
                g_array_set_size(networks, before);
                if (!m || nlmsg_append(m, (void *) &info, sizeof info, NLMSG_ALIGNTO) < 0)
                        return -ENOMEM;
                r = netlink_ask(l->requests, m, read_network, &listing);
        }
        return r;
}

int links_networks(Links *l, GArray **ret, Fault *f)
{
        g_autoptr(GArray) networks = g_array_new(FALSE, FALSE, sizeof(AddressRange));
        Link bridge = {0};
        int r = find_by_name(l, l->bridge, &bridge);

        if (r >= 0 || r == -ENODEV)
                r = list_networks(l, RTM_GETADDR, bridge.index, networks);
        if (r >= 0)
                r = list_networks(l, RTM_GETROUTE, bridge.index, networks);
        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "cannot list this host's networks");
        networks_reduce(networks);
        *ret = TAKE_PTR(networks);
        return 0;
}
