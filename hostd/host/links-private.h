/* SPDX-License-Identifier: MIT */
#pragma once

/* What the kernel says on netlink, read; and the sockets that it says it on. Below host/links.h and
 * private to it. The attributes are those of linux/rtnetlink.h, if_link.h and nf_tables.h. */

#include "host/links.h"

#include <linux/netlink.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <stdbool.h>

/* -- pure (links-message.c) --------------------------------------------------------------------
 *
 * What is not well formed, or of another kind, is false and changes nothing. */

/* The link that any RTM_NEWLINK or RTM_DELLINK is about: its index, and its name, which points into
 * the message. */
bool message_link_index(const struct nlmsghdr *h, int *ret_index, const char **ret_name);

/* RTM_NEWLINK of family AF_UNSPEC, which has all of a link; `ret_master` is an index or 0, and
 * ret->master "". */
bool message_link(const struct nlmsghdr *h, Link *ret, int *ret_master);

/* RTM_NEWNEIGH: that IPv4 address is reachable on that link. */
bool message_neighbor(const struct nlmsghdr *h, int *ret_index, uint32_t *ret_address);

/* Whether addresses or routes may have become others by it. The kernel tells of no IPv4 route that
 * goes with its link: so those that go up or down count, but for the ones that begin with prefix.
 */
bool message_changes_networks(const struct nlmsghdr *h, const char *prefix);

/* RTM_NEWADDR and RTM_NEWROUTE: appends the network, an AddressRange, but for those of link
 * `bridge`, of broadcast and multicast, those that only refuse, and default routes, which
 * 0.0.0.0/1 and 128.0.0.0/1 are, too. */
bool message_network(const struct nlmsghdr *h, int bridge, GArray *networks);

/* Sorts AddressRanges, and leaves out those that are inside another. */
void networks_reduce(GArray *networks);

/* The changes of nftables: messages that name tables, then one that ends the transaction. */
#define PROGRAM_MAX (15 * 4 + 1) /* a task's name, each byte escaped */
typedef struct RulesetWatch {
        uint32_t own_pid; /* as the kernel tells it */
        bool is_touched;  /* by the transaction that has not ended yet */
} RulesetWatch;

/* True when the message ends another task's transaction that touched a table of ours. */
bool message_ruleset(const struct nlmsghdr *h, RulesetWatch *w, uint32_t *ret_pid,
                     char ret_program[PROGRAM_MAX]);

/* The pid, as the kernel tells it, of an answer to NFT_MSG_GETGEN or an NFT_MSG_NEWGEN. */
bool message_generation_pid(const struct nlmsghdr *h, uint32_t *ret_pid);

/* -- sockets (links-socket.c) ------------------------------------------------------------------
 *
 * All return 0 or a negative errno. */

typedef struct nl_sock NetlinkSocket;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NetlinkSocket, nl_socket_free)
typedef struct nl_msg NetlinkMessage;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NetlinkMessage, nlmsg_free)

typedef void (*NetlinkReader)(const struct nlmsghdr *h, void *userdata);

int netlink_open(int protocol, NetlinkSocket **ret);

/* Sends the request and reads until it is answered. `reader` may be NULL. -EINTR: what was listed
 * changed meanwhile. */
int netlink_ask(NetlinkSocket *s, NetlinkMessage *request, NetlinkReader reader, void *userdata);

/* From now on the socket gets news of these groups, at most that many bytes in waiting. */
int netlink_join(NetlinkSocket *s, const int *groups, size_t n_groups, int buffer_size);

/* Reads news without waiting: 1 when none is left, 0 when there may be more, -ENOBUFS when some
 * were lost; there may be more then, too. */
int netlink_read_news(NetlinkSocket *s, NetlinkReader reader, void *userdata);

/* -- the object (links.c), and what it hears (links-news.c) ------------------------------------ */

struct Links {
        char *prefix, *bridge;
        LinksObserver observer;
        void *userdata;
        NetlinkSocket *requests;

        /* of links-news.c */
        NetlinkSocket *route_news, *ruleset_news;
        sd_event_source *route_source, *ruleset_source;
        GHashTable *followed; /* of Link, by index: as told last */
        GArray *touched;      /* of int: links */
        GArray *reachable;    /* of neighbours */
        bool has_new_networks, has_lost_route, has_lost_ruleset;
        RulesetWatch ruleset;
};

/* Whether a link of that name is told of: one with the prefix, or the bridge. */
bool links_follows(const Links *l, const char *name);

/* 0, -ENODEV or another negative errno; the bridge is listed, too. */
int links_find_by_index(Links *l, int index, Link *ret);
int links_list_followed(Links *l, GArray **ret);

int links_news_begin(Links *l, sd_event *event);
void links_news_end(Links *l);
