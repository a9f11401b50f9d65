/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/log.h"
#include "host/links-private.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

/* Of news in waiting. A load of all rules of thousands of sandboxes is news, too. */
#define ROUTE_BUFFER_BYTES   (4 << 20)
#define RULESET_BUFFER_BYTES (16 << 20)

/* Something that happened, to be told when all that waits has been read. */
typedef struct Reachable {
        int index;
        uint32_t address;
} Reachable;

/* -- news of links ----------------------------------------------------------------------------- */

static int follow_all(Links *l)
{
        g_autoptr(GArray) all = NULL;
        int r = links_list_followed(l, &all);

        if (r < 0)
                return r;
        g_hash_table_remove_all(l->followed);
        for (guint i = 0; i < all->len; i++) {
                Link *link = &g_array_index(all, Link, i);
                (void) g_hash_table_insert(l->followed, GINT_TO_POINTER(link->index),
                                           g_memdup2(link, sizeof *link));
        }
        return 0;
}

static int bridge_index(const Links *l)
{
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, l->followed);
        while (g_hash_table_iter_next(&iter, NULL, &value))
                if (g_str_equal(((const Link *) value)->name, l->bridge))
                        return ((const Link *) value)->index;
        return 0;
}

static void read_route_news(const struct nlmsghdr *h, void *userdata)
{
        Links *l = userdata;
        const char *name;
        Reachable r;
        int index;

        if (message_neighbor(h, &r.index, &r.address))
                g_array_append_val(l->reachable, r);
        if (message_changes_networks(h, l->prefix))
                l->has_new_networks = true;
        if (message_link_index(h, &index, &name) &&
            (links_follows(l, name) || g_hash_table_contains(l->followed, GINT_TO_POINTER(index))))
                g_array_append_val(l->touched, index);
}

/* All but what grows with every packet. */
static bool is_same(const Link *a, const Link *b)
{
        return g_str_equal(a->name, b->name) && memcmp(a->mac, b->mac, MAC_SIZE) == 0 &&
               g_str_equal(a->master, b->master) && a->is_up == b->is_up &&
               a->is_isolated == b->is_isolated;
}

/* What is there now, not what the news said: that may be history. What is gone is told first, so
 * that a name that passed from one link to another ends as being there. */
static int tell_links(Links *l, const GArray *touched)
{
        g_autoptr(GArray) there = g_array_new(FALSE, FALSE, sizeof(Link));

        for (guint i = 0; i < touched->len; i++) {
                gpointer key = GINT_TO_POINTER(g_array_index(touched, int, i));
                const Link *told = g_hash_table_lookup(l->followed, key);
                Link now;
                int r = links_find_by_index(l, GPOINTER_TO_INT(key), &now);
                if (r < 0 && r != -ENODEV)
                        return r;
                bool is_there = r == 0 && links_follows(l, now.name);
                if (is_there)
                        g_array_append_val(there, now);
                if (!told || (is_there && g_str_equal(told->name, now.name)))
                        continue;
                char name[IFNAMSIZ];
                memcpy(name, told->name, sizeof name);
                (void) g_hash_table_remove(l->followed, key);
                l->observer.link(name, NULL, l->userdata);
        }
        for (guint i = 0; i < there->len; i++) {
                Link *now = &g_array_index(there, Link, i);
                gpointer key = GINT_TO_POINTER(now->index);
                const Link *told = g_hash_table_lookup(l->followed, key);
                bool is_known = told && is_same(told, now);
                (void) g_hash_table_insert(l->followed, key, g_memdup2(now, sizeof *now));
                if (!is_known)
                        l->observer.link(now->name, now, l->userdata);
        }
        return 0;
}

static void tell_neighbors(Links *l, const GArray *reachable)
{
        int bridge = bridge_index(l);

        for (guint i = 0; bridge > 0 && i < reachable->len; i++) {
                const Reachable *r = &g_array_index(reachable, Reachable, i);
                if (r->index == bridge)
                        l->observer.neighbor(r->address, l->userdata);
        }
}

/* The lists are taken away first: an observer may ask, and its questions make more news. */
static void tell_route_news(Links *l)
{
        g_autoptr(GArray) touched = TAKE_PTR(l->touched);
        g_autoptr(GArray) reachable = TAKE_PTR(l->reachable);
        bool has_new_networks = l->has_new_networks;

        l->touched = g_array_new(FALSE, FALSE, sizeof(int));
        l->reachable = g_array_new(FALSE, FALSE, sizeof(Reachable));
        l->has_new_networks = false;
        if (tell_links(l, touched) < 0)
                l->has_lost_route = true;
        if (has_new_networks)
                l->observer.networks(l->userdata);
        if (reachable->len > 0)
                tell_neighbors(l, reachable);
}

static int on_route_news(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        Links *l = userdata;
        int r = netlink_read_news(l->route_news, read_route_news, l);

        (void) source, (void) fd, (void) events;
        if (r < 0)
                l->has_lost_route = true;
        tell_route_news(l);
        /* The kernel goes on dropping until all has been read: only then it is known what was lost.
         */
        if (r != 1 || !l->has_lost_route)
                return 0;
        l->has_lost_route = false;
        if (follow_all(l) < 0)
                log_warning("cannot list the network links after the kernel dropped news of them");
        l->observer.overrun(l->userdata);
        return 0;
}

/* -- news of nftables -------------------------------------------------------------------------- */

static void read_ruleset_news(const struct nlmsghdr *h, void *userdata)
{
        Links *l = userdata;
        char program[PROGRAM_MAX];
        uint32_t pid;

        if (message_ruleset(h, &l->ruleset, &pid, program))
                l->observer.ruleset(pid, program, l->userdata);
}

static int on_ruleset_news(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        Links *l = userdata;
        int r = netlink_read_news(l->ruleset_news, read_ruleset_news, l);

        (void) source, (void) fd, (void) events;
        if (r < 0)
                l->has_lost_ruleset = true;
        if (r != 1 || !l->has_lost_ruleset)
                return 0;
        l->has_lost_ruleset = false;
        l->ruleset.is_touched = false;
        l->observer.overrun(l->userdata);
        return 0;
}

static void read_own_pid(const struct nlmsghdr *h, void *userdata)
{
        Links *l = userdata;

        (void) message_generation_pid(h, &l->ruleset.own_pid);
}

/* The kernel tells pids of the first pid namespace, and of tasks: so this one asks for its own. */
static int learn_own_pid(Links *l)
{
        const struct nfgenmsg info = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0};
        g_autoptr(NetlinkMessage) m =
                nlmsg_alloc_simple(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, 0);

        if (!m || nlmsg_append(m, (void *) &info, sizeof info, NLMSG_ALIGNTO) < 0)
                return -ENOMEM;
        int r = netlink_ask(l->ruleset_news, m, read_own_pid, l);
        if (r < 0)
                return r;
        return l->ruleset.own_pid == 0 ? -EOPNOTSUPP : 0;
}

static int open_sockets(Links *l)
{
        static const int route_groups[] = {RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR,
                                           RTNLGRP_IPV4_ROUTE, RTNLGRP_NEXTHOP};
        static const int ruleset_groups[] = {NFNLGRP_NFTABLES};
        int r = netlink_open(NETLINK_ROUTE, &l->route_news);

        if (r >= 0)
                r = netlink_join(l->route_news, route_groups, G_N_ELEMENTS(route_groups),
                                 ROUTE_BUFFER_BYTES);
        if (r >= 0)
                r = netlink_open(NETLINK_NETFILTER, &l->ruleset_news);
        if (r >= 0)
                r = learn_own_pid(l);
        if (r >= 0)
                r = netlink_join(l->ruleset_news, ruleset_groups, G_N_ELEMENTS(ruleset_groups),
                                 RULESET_BUFFER_BYTES);
        return r;
}

static int watch(Links *l, sd_event *event)
{
        int r = sd_event_add_io(event, &l->route_source, nl_socket_get_fd(l->route_news), EPOLLIN,
                                on_route_news, l);

        if (r >= 0)
                r = sd_event_add_io(event, &l->ruleset_source, nl_socket_get_fd(l->ruleset_news),
                                    EPOLLIN, on_ruleset_news, l);
        /* A hole in the rules is repaired before anything else goes on. */
        if (r >= 0)
                r = sd_event_source_set_priority(l->ruleset_source, SD_EVENT_PRIORITY_IMPORTANT);
        return r;
}

int links_news_begin(Links *l, sd_event *event)
{
        l->followed = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        l->touched = g_array_new(FALSE, FALSE, sizeof(int));
        l->reachable = g_array_new(FALSE, FALSE, sizeof(Reachable));
        int r = open_sockets(l);
        if (r >= 0)
                r = follow_all(l);
        return r < 0 ? r : watch(l, event);
}

void links_news_end(Links *l)
{
        l->route_source = sd_event_source_disable_unref(l->route_source);
        l->ruleset_source = sd_event_source_disable_unref(l->ruleset_source);
        g_clear_pointer(&l->route_news, nl_socket_free);
        g_clear_pointer(&l->ruleset_news, nl_socket_free);
        g_clear_pointer(&l->followed, g_hash_table_unref);
        g_clear_pointer(&l->touched, g_array_unref);
        g_clear_pointer(&l->reachable, g_array_unref);
}
