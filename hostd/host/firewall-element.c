/* SPDX-License-Identifier: MIT */
#include "host/firewall-private.h"

#include <linux/netfilter.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <string.h>

const SetName set_names[_SET_MAX] = {
        [SET_PINNED] = {NFPROTO_BRIDGE, "pinned"},
        [SET_FRAMES] = {NFPROTO_BRIDGE, "frames"},
        [SET_ANSWERS] = {NFPROTO_BRIDGE, "answers"},
        [SET_ADDRESSED] = {NFPROTO_BRIDGE, "addressed"},
        [SET_CLIENTS] = {NFPROTO_BRIDGE, "clients"},
        [SET_HARDWARE] = {NFPROTO_BRIDGE, "hardware"},
        [SET_MACS] = {NFPROTO_BRIDGE, "macs"},
        [SET_BRIDGE_NOTING] = {NFPROTO_BRIDGE, "noting"},
        [SET_FORGED] = {NFPROTO_BRIDGE, "dropped-forged"},
        [SET_PROTOCOL] = {NFPROTO_BRIDGE, "dropped-protocol"},
        [SET_NOTING] = {NFPROTO_INET, "noting"},
        [SET_PASSED] = {NFPROTO_INET, "passed"},
        [SET_HOST] = {NFPROTO_INET, "dropped-host"},
        [SET_REACH] = {NFPROTO_INET, "dropped-reach"},
        [SET_LIMIT] = {NFPROTO_INET, "dropped-limit"},
        [SET_RATE] = {NFPROTO_INET, "rate"},
        [SET_OPEN] = {NFPROTO_INET, "open"},
        [SET_PROFILE] = {NFPROTO_INET, "reach"},
        [SET_RESOLVED] = {NFPROTO_INET, "resolved"},
        [SET_LISTENING] = {NFPROTO_INET, "listening"},
        [SET_PUBLISHED] = {NFPROTO_INET, "published"},
        [SET_PUBLISHED_ANY] = {NFPROTO_INET, "published-any"},
        [SET_NAMES] = {NFPROTO_INET, "names"},
        [SET_NAMED] = {NFPROTO_INET, "named"},
        [SET_LAST_FORGED] = {NFPROTO_BRIDGE, "last-forged"},
        [SET_LAST_PROTOCOL] = {NFPROTO_BRIDGE, "last-protocol"},
        [SET_LAST_HOST] = {NFPROTO_INET, "last-host"},
        [SET_LAST_REACH] = {NFPROTO_INET, "last-reach"},
        [SET_LAST_LIMIT] = {NFPROTO_INET, "last-limit"},
};

/* -- fields, each filled up to a multiple of 4 bytes ------------------------------------------- */

static void key_add(Element *e, const void *bytes, size_t size)
{
        size_t padded = (size + 3) & ~(size_t) 3;

        g_assert(e->key_size + padded <= sizeof e->key);
        memcpy(e->key + e->key_size, bytes, size);
        e->key_size = (uint8_t) (e->key_size + padded);
}

static void key_add_interface(Element *e, const Sandbox *s)
{
        char name[IFNAMSIZ] = "";

        (void) g_strlcpy(name, s->interface, sizeof name);
        key_add(e, name, sizeof name);
}

static void key_add_address(Element *e, uint32_t address)
{
        uint32_t wire = htonl(address);

        key_add(e, &wire, sizeof wire);
}

static void key_add_port(Element *e, uint16_t port)
{
        uint16_t wire = htons(port);

        key_add(e, &wire, sizeof wire);
}

/* Of a frame of IPv4. */
static void key_add_header(Element *e, const uint8_t *to, const uint8_t *from)
{
        struct ether_header h = {.ether_type = htons(ETHERTYPE_IP)};

        memcpy(h.ether_dhost, to, MAC_SIZE);
        memcpy(h.ether_shost, from, MAC_SIZE);
        key_add(e, &h, sizeof h);
}

static void set_limit(Element *e, uint32_t rate, uint32_t burst, bool is_over)
{
        e->rate = rate;
        e->burst = burst;
        e->is_over = is_over;
}

/* -- a sandbox's ------------------------------------------------------------------------------- */

static void add_detail(Element *e, const Sandbox *s)
{
        switch (e->set) {
        case SET_BRIDGE_NOTING:
        case SET_NOTING:
                set_limit(e, 1, 32, false);
                break;
        case SET_RATE:
                set_limit(e, s->profile->connections_per_sec, s->profile->connections_per_sec,
                          true);
                break;
        case SET_OPEN:
                e->open = s->profile->connections_max;
                break;
        case SET_PROFILE:
                (void) g_snprintf(e->chain, sizeof e->chain, "profile-%s", s->profile->name);
                break;
        case SET_FORGED:
        case SET_PROTOCOL:
        case SET_PASSED:
        case SET_HOST:
        case SET_REACH:
        case SET_LIMIT:
                e->is_counter = true;
                break;
        case SET_PINNED:
                key_add(e, s->mac, MAC_SIZE);
                key_add_address(e, s->address);
                break;
        case SET_FRAMES:
                key_add_header(e, s->gateway_mac, s->mac);
                key_add_address(e, s->address);
                break;
        case SET_ANSWERS:
                key_add_header(e, s->mac, s->gateway_mac);
                key_add_address(e, s->address);
                break;
        case SET_ADDRESSED:
                key_add_address(e, s->address);
                break;
        case SET_CLIENTS:
        case SET_HARDWARE:
                key_add(e, s->mac, MAC_SIZE);
                break;
        case SET_MACS: /* a key of one field is not filled up */
                memcpy(e->key, s->mac, MAC_SIZE);
                e->key_size = MAC_SIZE;
                break;
        case SET_RESOLVED:
        case SET_LISTENING:
        case SET_PUBLISHED:
        case SET_PUBLISHED_ANY:
        case SET_NAMES:
        case SET_NAMED:
        case SET_LAST_FORGED:
        case SET_LAST_PROTOCOL:
        case SET_LAST_HOST:
        case SET_LAST_REACH:
        case SET_LAST_LIMIT:
        case _SET_MAX:
                break;
        }
}

Element sandbox_element(const Sandbox *s, FirewallSet set)
{
        Element e = {.set = set};

        if (set_names[set].family == NFPROTO_INET)
                key_add_address(&e, s->address);
        else if (set != SET_MACS)
                key_add_interface(&e, s);
        add_detail(&e, s);
        return e;
}

Element name_element(const Sandbox *s, FirewallSet set, uint32_t address)
{
        Element e = {.set = set};

        key_add_address(&e, s->address);
        key_add_address(&e, address);
        return e;
}

static Element published_element(const Sandbox *s, const FirewallPort *p)
{
        Element e = {.set = p->host_address ? SET_PUBLISHED : SET_PUBLISHED_ANY, .data_size = 8};
        uint32_t address = htonl(s->address);
        uint16_t port = htons(p->sandbox_port);

        key_add(&e, &p->protocol, sizeof p->protocol);
        if (p->host_address)
                key_add_address(&e, p->host_address);
        key_add_port(&e, p->host_port);
        memcpy(e.data, &address, sizeof address);
        memcpy(e.data + 4, &port, sizeof port);
        return e;
}

static Element listening_element(const Sandbox *s, const FirewallPort *p)
{
        Element e = {.set = SET_LISTENING};

        key_add_address(&e, s->address);
        key_add(&e, &p->protocol, sizeof p->protocol);
        key_add_port(&e, p->sandbox_port);
        key_add_port(&e, p->host_port);
        return e;
}

static void add_once(GArray *elements, Element e)
{
        for (guint i = 0; i < elements->len; i++)
                if (element_same_key(&g_array_index(elements, Element, i), &e))
                        return;
        g_array_append_val(elements, e);
}

GArray *sandbox_elements(const Sandbox *s)
{
        GArray *elements = g_array_new(FALSE, TRUE, sizeof(Element));

        for (FirewallSet set = SET_PINNED; set <= SET_RESOLVED; set++)
                if (set != SET_RESOLVED || s->profile->has_names)
                        add_once(elements, sandbox_element(s, set));
        for (guint i = 0; i < s->ports->len; i++) {
                const FirewallPort *p = &g_array_index(s->ports, FirewallPort, i);
                add_once(elements, published_element(s, p));
                add_once(elements, listening_element(s, p));
        }
        return elements;
}

/* -- comparing --------------------------------------------------------------------------------- */

guint element_hash(gconstpointer element)
{
        const Element *e = element;
        guint hash = 2166136261U ^ (guint) e->set;

        for (size_t i = 0; i < e->key_size; i++)
                hash = (hash ^ e->key[i]) * 16777619U;
        return hash;
}

gboolean element_same_key(gconstpointer a, gconstpointer b)
{
        const Element *x = a, *y = b;

        return x->set == y->set && x->key_size == y->key_size &&
               memcmp(x->key, y->key, x->key_size) == 0;
}

bool elements_equal(const Element *a, const Element *b)
{
        return element_same_key(a, b) && a->data_size == b->data_size &&
               memcmp(a->data, b->data, a->data_size) == 0 && g_str_equal(a->chain, b->chain) &&
               a->rate == b->rate && a->burst == b->burst && a->is_over == b->is_over &&
               a->open == b->open && a->is_counter == b->is_counter;
}

char *element_to_string(const Element *e)
{
        GString *text = g_string_new(NULL);

        g_string_append_printf(text, "set %s of table %s fluid", set_names[e->set].name,
                               set_names[e->set].family == NFPROTO_BRIDGE ? "bridge" : "inet");
        if (set_names[e->set].family == NFPROTO_BRIDGE && e->set != SET_MACS)
                g_string_append_printf(text, ", interface %.15s", (const char *) e->key);
        else if (e->set == SET_MACS) {
                char mac[MAC_TEXT_MAX];
                mac_format(e->key, mac);
                g_string_append_printf(text, ", %s", mac);
        } else if (e->set != SET_PUBLISHED && e->set != SET_PUBLISHED_ANY) {
                char address[ADDRESS_TEXT_MAX];
                uint32_t wire;
                memcpy(&wire, e->key, sizeof wire);
                address_format(ntohl(wire), address);
                g_string_append_printf(text, ", %s", address);
        }
        return g_string_free(text, FALSE);
}
