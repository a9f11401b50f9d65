/* SPDX-License-Identifier: MIT */

/* The links of this host, which outlive the daemon: the bridge, and the taps of NICs. */

#include "host/links.h"

#include "base/cleanup.h"
#include "tests/fake/host/state.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct Links {
        sd_event_source *source;
        int wake;
        char *prefix, *bridge;
        const LinksObserver *observer;
        void *userdata;
};

#define SOMEBODY 4242 /* who changes rules behind fluid's back */

/* -- news ------------------------------------------------------------------------------------- */

/* With the lock held. */
void fake_push_link_news(FakeLinkNews news)
{
        uint64_t one = 1;

        if (!fake.watcher)
                return;
        g_queue_push_tail(&fake.link_news, g_memdup2(&news, sizeof news));
        g_assert(write(fake.watcher->wake, &one, sizeof one) == sizeof one);
}

static void tell_link(const char *name)
{
        FakeLinkNews news = {.kind = FAKE_NEWS_LINK};

        (void) g_strlcpy(news.name, name, sizeof news.name);
        fake_push_link_news(news);
}

/* What there is now, not what there was. */
static void deliver_link(const Links *l, const char *name)
{
        const Link *found;
        Link link;

        if (!g_str_has_prefix(name, l->prefix) && !g_str_equal(name, l->bridge))
                return;
        fake_lock();
        found = g_hash_table_lookup(fake_links(), name);
        if (found)
                link = *found;
        fake_unlock();
        l->observer->link(name, found ? &link : NULL, l->userdata);
}

static void deliver(const Links *l, const FakeLinkNews *news)
{
        switch (news->kind) {
        case FAKE_NEWS_LINK:
                deliver_link(l, news->name);
                return;
        case FAKE_NEWS_NETWORKS:
                l->observer->networks(l->userdata);
                return;
        case FAKE_NEWS_RULESET:
                l->observer->ruleset(SOMEBODY, "nft", l->userdata);
                return;
        case FAKE_NEWS_NEIGHBOR:
                l->observer->neighbor(news->address, l->userdata);
                return;
        case FAKE_NEWS_OVERRUN:
                l->observer->overrun(l->userdata);
                return;
        }
}

static int on_wake(G_GNUC_UNUSED sd_event_source *source, int fd, G_GNUC_UNUSED uint32_t revents,
                   void *userdata)
{
        uint64_t n;

        (void) !read(fd, &n, sizeof n);
        for (;;) {
                FakeLinkNews *news;

                fake_lock();
                news = g_queue_pop_head(&fake.link_news);
                fake_unlock();
                if (!news)
                        return 0;
                deliver(userdata, news);
                g_free(news);
        }
}

int links_new(sd_event *event, const char *prefix, const char *bridge,
              const LinksObserver *observer, void *userdata, Links **ret, Fault *f)
{
        Links *l;
        int r = fake_call("links_new", f);

        if (r < 0)
                return r;
        g_assert(!fake.watcher);
        g_assert(observer->link && observer->networks && observer->ruleset && observer->neighbor &&
                 observer->overrun);
        l = g_new0(Links, 1);
        l->prefix = g_strdup(prefix);
        l->bridge = g_strdup(bridge);
        l->observer = observer;
        l->userdata = userdata;
        l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        g_assert(l->wake >= 0);
        g_assert(sd_event_add_io(event, &l->source, l->wake, EPOLLIN, on_wake, l) >= 0);
        fake_lock();
        fake.watcher = l;
        fake_unlock();
        *ret = l;
        return 0;
}

Links *links_free(Links *l)
{
        if (!l)
                return NULL;
        fake_lock();
        fake.watcher = NULL;
        g_queue_clear_full(&fake.link_news, g_free);
        fake_unlock();
        (void) sd_event_source_disable_unref(l->source);
        (void) close_fd(l->wake);
        g_free(l->prefix);
        g_free(l->bridge);
        g_free(l);
        return NULL;
}

/* -- links ------------------------------------------------------------------------------------ */

GHashTable *fake_links(void)
{
        if (!fake.links)
                fake.links = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
        return fake.links;
}

Link *fake_link_add(const char *name, const char *master)
{
        static int last_index = 10;
        Link *link = g_new0(Link, 1);

        link->index = ++last_index;
        link->is_up = true;
        (void) g_strlcpy(link->name, name, sizeof link->name);
        (void) g_strlcpy(link->master, master, sizeof link->master);
        (void) g_hash_table_replace(fake_links(), link->name, link);
        tell_link(name);
        return link;
}

void fake_link_remove(const char *name)
{
        if (g_hash_table_remove(fake_links(), name))
                tell_link(name);
}

/* The lock is held when this returns 0. */
static int enter(const char *what, const char *name, Link **ret, Fault *f)
{
        int r;

        fake_lock();
        r = fake_count(what, f);
        *ret = r == 0 ? g_hash_table_lookup(fake_links(), name) : NULL;
        if (r == 0 && !*ret)
                r = fault_set(f, FAULT_NOT_FOUND, "there is no link '%s'", name);
        if (r < 0)
                fake_unlock();
        return r;
}

static int leave(const char *changed)
{
        if (changed)
                tell_link(changed);
        fake_unlock();
        return 0;
}

int links_get(G_GNUC_UNUSED Links *l, const char *name, Link *ret, Fault *f)
{
        Link *link;
        int r = enter("links_get", name, &link, f);

        if (r < 0)
                return r;
        *ret = *link;
        return leave(NULL);
}

int links_list(Links *l, GArray **ret, Fault *f)
{
        GHashTableIter i;
        gpointer link;
        int r;

        fake_lock();
        r = fake_count("links_list", f);
        if (r == 0) {
                *ret = g_array_new(FALSE, FALSE, sizeof(Link));
                g_hash_table_iter_init(&i, fake_links());
                while (g_hash_table_iter_next(&i, NULL, &link))
                        if (g_str_has_prefix(((Link *) link)->name, l->prefix))
                                (void) g_array_append_vals(*ret, link, 1);
        }
        fake_unlock();
        return r;
}

int links_set_up(G_GNUC_UNUSED Links *l, const char *name, bool is_up, Fault *f)
{
        Link *link;
        int r = enter("links_set_up", name, &link, f);

        if (r < 0)
                return r;
        link->is_up = is_up;
        return leave(name);
}

int links_set_port(Links *l, const char *name, Fault *f)
{
        Link *link;
        int r = enter("links_set_port", name, &link, f);

        if (r < 0)
                return r;
        if (!g_hash_table_contains(fake_links(), l->bridge)) {
                fake_unlock();
                return fault_set(f, FAULT_NOT_FOUND, "there is no bridge '%s'", l->bridge);
        }
        (void) g_strlcpy(link->master, l->bridge, sizeof link->master);
        link->is_isolated = true;
        return leave(name);
}

int links_set_mac(G_GNUC_UNUSED Links *l, const char *name, const uint8_t mac[MAC_SIZE], Fault *f)
{
        Link *link;
        int r = enter("links_set_mac", name, &link, f);

        if (r < 0)
                return r;
        memcpy(link->mac, mac, MAC_SIZE);
        return leave(name);
}

static bool has_address(const FakeDomain *d, uint32_t address)
{
        for (guint i = 0; i < d->nics->len; i++) {
                const FakeNic *nic = d->nics->pdata[i];
                const Link *link = g_hash_table_lookup(fake_links(), nic->interface);
                uint8_t mac[MAC_SIZE], wanted[MAC_SIZE];

                network_mac(address, wanted);
                if (nic->has_cable && link && link->is_up && mac_parse(nic->mac, mac, NULL) == 0 &&
                    memcmp(mac, wanted, MAC_SIZE) == 0)
                        return true;
        }
        return false;
}

int links_probe(G_GNUC_UNUSED Links *l, uint32_t address, Fault *f)
{
        GHashTableIter i;
        gpointer d;
        int r;

        fake_lock();
        r = fake_count("links_probe", f);
        g_hash_table_iter_init(&i, fake_domains());
        while (r == 0 && fake.guests_have_addresses && g_hash_table_iter_next(&i, NULL, &d))
                if (((FakeDomain *) d)->state == DOMAIN_RUNNING && has_address(d, address))
                        fake_push_link_news(
                                (FakeLinkNews){.kind = FAKE_NEWS_NEIGHBOR, .address = address});
        fake_unlock();
        return r;
}

int links_networks(G_GNUC_UNUSED Links *l, GArray **ret, Fault *f)
{
        AddressRange range;
        int r;

        fake_lock();
        r = fake_count("links_networks", f);
        if (r == 0) {
                *ret = g_array_new(FALSE, FALSE, sizeof range);
                g_assert(address_range_parse("127.0.0.0/8", &range, NULL) == 0);
                (void) g_array_append_val(*ret, range);
                if (fake.network && address_range_parse(fake.network, &range, NULL) == 0)
                        (void) g_array_append_val(*ret, range);
        }
        fake_unlock();
        return r;
}

/* -- the script ------------------------------------------------------------------------------- */

bool fake_host_link(const char *name, Link *ret)
{
        const Link *link;

        fake_lock();
        link = g_hash_table_lookup(fake_links(), name);
        if (link)
                *ret = *link;
        fake_unlock();
        return link;
}

void fake_host_change_link(const char *name, const Link *changed)
{
        Link *link;

        fake_lock();
        link = g_hash_table_lookup(fake_links(), name);
        g_assert(link);
        (void) g_strlcpy(link->master, changed->master, sizeof link->master);
        memcpy(link->mac, changed->mac, MAC_SIZE);
        link->is_isolated = changed->is_isolated;
        link->is_up = changed->is_up;
        tell_link(name);
        fake_unlock();
}

void fake_host_remove_link(const char *name)
{
        GHashTableIter i;
        gpointer value;

        fake_lock();
        fake_link_remove(name);
        g_hash_table_iter_init(&i, fake_links());
        while (g_hash_table_iter_next(&i, NULL, &value)) {
                Link *port = value;

                if (!g_str_equal(port->master, name))
                        continue;
                port->master[0] = '\0';
                port->is_isolated = false;
                tell_link(port->name);
        }
        fake_unlock();
}

void fake_host_set_network(const char *range)
{
        fake_lock();
        g_free(fake.network);
        fake.network = g_strdup(range);
        fake_push_link_news((FakeLinkNews){.kind = FAKE_NEWS_NETWORKS});
        fake_unlock();
}

void fake_host_set_addresses(bool have_them)
{
        fake_lock();
        fake.guests_have_addresses = have_them;
        fake_unlock();
}

void fake_host_tell_neighbor(uint32_t address)
{
        fake_lock();
        fake_push_link_news((FakeLinkNews){.kind = FAKE_NEWS_NEIGHBOR, .address = address});
        fake_unlock();
}

void fake_host_overrun(void)
{
        fake_lock();
        g_queue_clear_full(&fake.link_news, g_free);
        fake_push_link_news((FakeLinkNews){.kind = FAKE_NEWS_OVERRUN});
        fake_unlock();
}
