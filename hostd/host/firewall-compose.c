/* SPDX-License-Identifier: MIT */
#include "base/address-scope.h"
#include "host/firewall-private.h"
#include "host/firewall-text.h"

#include "base/cleanup.h"

#include <netinet/in.h>
#include <string.h>

static Hole count_hole(const char *name, FirewallCount count)
{
        return (Hole){.name = name,
                      .kind = HOLE_COUNT,
                      .count = {.packets = count.packets, .bytes = count.bytes}};
}

/* One host port may be published at several addresses. */
static void compose_listening(const Sandbox *s, GString *out)
{
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        char address[ADDRESS_TEXT_MAX];

        address_format(s->address, address);
        for (guint i = 0; i < s->ports->len; i++) {
                const FirewallPort *p = &g_array_index(s->ports, FirewallPort, i);
                char *line = g_strdup_printf(
                        "add element inet fluid listening { %s . %s . %u . %u }\n", address,
                        protocol_to_string(p->protocol), p->sandbox_port, p->host_port);
                if (g_hash_table_add(seen, line))
                        g_string_append(out, line);
        }
}

static void compose_port(const Sandbox *s, const FirewallPort *p, GString *out)
{
        const char *protocol = protocol_to_string(p->protocol);
        char address[ADDRESS_TEXT_MAX], host[ADDRESS_TEXT_MAX];

        address_format(s->address, address);
        address_format(p->host_address, host);
        if (p->host_address)
                g_string_append_printf(out,
                                       "add element inet fluid published { %s . %s . %u : %s . %u "
                                       "}\n",
                                       protocol, host, p->host_port, address, p->sandbox_port);
        else
                g_string_append_printf(
                        out, "add element inet fluid published-any { %s . %u : %s . %u }\n",
                        protocol, p->host_port, address, p->sandbox_port);
}

void compose_sandbox(const Sandbox *s, const FirewallCounters *counters, GString *out)
{
        static const FirewallCounters zero;
        const FirewallCounters *c = counters ?: &zero;
        const Hole holes[] = {
                {"INTERFACE", HOLE_INTERFACE, .text = s->interface},
                {"MAC", HOLE_MAC, .mac = s->mac},
                {"MAC_HEX", HOLE_MAC_HEX, .mac = s->mac},
                {"GATEWAY_MAC_HEX", HOLE_MAC_HEX, .mac = s->gateway_mac},
                {"ADDRESS", HOLE_ADDRESS, .address = s->address},
                {"ADDRESS_HEX", HOLE_ADDRESS_HEX, .address = s->address},
                {"PROFILE", HOLE_NAME, .text = s->profile->name},
                {"RATE", HOLE_NUMBER, .number = s->profile->connections_per_sec},
                {"OPEN", HOLE_NUMBER, .number = s->profile->connections_max},
                count_hole("PASSED", c->passed),
                count_hole("FORGED", c->dropped[FIREWALL_FORGED]),
                count_hole("PROTOCOL", c->dropped[FIREWALL_PROTOCOL]),
                count_hole("HOST", c->dropped[FIREWALL_HOST]),
                count_hole("REACH", c->dropped[FIREWALL_REACH]),
                count_hole("LIMIT", c->dropped[FIREWALL_LIMIT]),
        };
        const char *lines = strstr(nft_sandbox, "\nadd ");

        g_assert(lines);
        holes_fill(lines + 1, holes, G_N_ELEMENTS(holes), out);
        if (s->profile->has_names) {
                char address[ADDRESS_TEXT_MAX];
                address_format(s->address, address);
                g_string_append_printf(out, "add element inet fluid resolved { %s }\n", address);
        }
        for (guint i = 0; i < s->ports->len; i++)
                compose_port(s, &g_array_index(s->ports, FirewallPort, i), out);
        compose_listening(s, out);
}

static bool contains(char **lines, const char *line)
{
        for (; *lines; lines++)
                if (g_str_equal(*lines, line))
                        return true;
        return false;
}

static char **sandbox_lines(const Sandbox *s)
{
        g_autoptr(GString) text = g_string_new(NULL);

        if (s)
                compose_sandbox(s, NULL, text);
        return g_strsplit(text->str, "\n", -1);
}

void compose_change(const Sandbox *old, const Sandbox *next, GString *out)
{
        g_auto(GStrv) before = sandbox_lines(old);
        g_auto(GStrv) after = sandbox_lines(next);

        for (char **line = before; *line; line++)
                if (**line && !contains(after, *line))
                        g_string_append_printf(out, "delete%s\n", *line + strlen("add"));
        for (char **line = after; *line; line++)
                if (**line && !contains(before, *line))
                        g_string_append_printf(out, "%s\n", *line);
}

static void compose_rule(const FirewallRule *rule, GString *out)
{
        g_string_append(out, "\t\t");
        if (rule->to.prefix_length > 0) {
                g_autofree char *to = address_range_format(&rule->to);
                g_string_append_printf(out, "ct original ip daddr %s ", to);
        }
        switch (rule->protocol) {
        case IPPROTO_TCP:
                g_string_append(out, "meta l4proto tcp ");
                break;
        case IPPROTO_UDP:
                g_string_append(out, "meta l4proto udp ");
                break;
        case IPPROTO_ICMP:
                g_string_append(out, "meta l4proto icmp ");
                break;
        }
        if (rule->port_first && rule->port_first == rule->port_last)
                g_string_append_printf(out, "ct original proto-dst %u ", rule->port_first);
        else if (rule->port_first)
                g_string_append_printf(out, "ct original proto-dst %u-%u ", rule->port_first,
                                       rule->port_last);
        g_string_append_printf(out, "goto %s\n", rule->allows ? "allowed" : "refused");
}

static bool has_any(unsigned octet, const AddressRange *ranges, size_t n)
{
        const AddressRange all = {(uint32_t) octet << 24, 8};

        for (size_t i = 0; i < n; i++)
                if (address_ranges_overlap(&all, &ranges[i]))
                        return true;
        return false;
}

/* Most addresses share their first octet with nothing special: one lookup by hash tells, before the
 * search among ranges, which costs more than all other rules of a packet. */
static void compose_internet(GString *out)
{
        size_t n;
        const AddressRange *special = address_scope_ranges(&n);

        g_string_append(out, "\t\tct original ip daddr & 255.0.0.0 != { ");
        for (unsigned octet = 0; octet < 256; octet++)
                if (has_any(octet, special, n))
                        g_string_append_printf(out, "%s%u.0.0.0", octet ? ", " : "", octet);
        g_string_append(out, " } ct original ip daddr != @local goto allowed\n"
                             "\t\tct original ip daddr != @special ct original ip daddr != @local "
                             "goto allowed\n");
}

void compose_profile(const Profile *p, GString *out)
{
        g_string_append_printf(out, "\tchain profile-%s {\n", p->name);
        for (guint i = 0; i < p->rules->len; i++)
                compose_rule(&g_array_index(p->rules, FirewallRule, i), out);
        if (p->has_names)
                g_string_append(out,
                                "\t\tct original ip saddr . ct original ip daddr @names goto "
                                "allowed\n"
                                "\t\tct status & confirmed != 0 ct original ip saddr . ct original "
                                "ip daddr @named goto allowed\n");
        if (p->has_internet)
                compose_internet(out);
        g_string_append(out, "\t\tgoto refused\n\t}\n");
}

static void compose_ranges(const AddressRange *ranges, size_t n, GString *out)
{
        g_string_append(out, "{ ");
        for (size_t i = 0; i < n; i++) {
                g_autofree char *range = address_range_format(&ranges[i]);
                g_string_append_printf(out, "%s%s", i ? ", " : "", range);
        }
        g_string_append(out, " }");
}

void compose_local(const Model *m, GString *out)
{
        if (m->local->len)
                compose_ranges((const AddressRange *) (const void *) m->local->data, m->local->len,
                               out);
}

static int by_name(gconstpointer a, gconstpointer b)
{
        return strcmp(((const Profile *) a)->name, ((const Profile *) b)->name);
}

void compose_tables(const Firewall *fw, const Model *m, GString *out)
{
        g_autoptr(GString) profiles = g_string_new(NULL);
        g_autoptr(GString) local = g_string_new(NULL);
        g_autoptr(GString) special = g_string_new("elements = ");
        g_autoptr(GString) upstreams = g_string_new(NULL);
        g_autofree char *user = NULL;
        size_t n_special;
        const AddressRange *not_public = address_scope_ranges(&n_special);
        g_autoptr(GList) sorted = g_list_sort(g_hash_table_get_values(m->profiles), by_name);

        for (GList *l = sorted; l; l = l->next)
                compose_profile(l->data, profiles);
        compose_ranges(not_public, n_special, special);
        if (m->local->len) {
                g_string_append(local, "elements = ");
                compose_local(m, local);
        }
        compose_upstreams(fw, "\t\t", upstreams);
        if (fw->resolver_uid)
                user = g_strdup_printf("meta skuid %u goto from-resolver", fw->resolver_uid);
        const Hole holes[] = {
                {"PREFIX", HOLE_INTERFACE, .text = FIREWALL_INTERFACE_PREFIX},
                {"BRIDGE", HOLE_INTERFACE, .text = fw->bridge},
                {"RANGE", HOLE_RANGE, .range = fw->range},
                {"RANGE_HEX", HOLE_ADDRESS_HEX, .address = fw->range.address},
                {"MASK_HEX", HOLE_ADDRESS_HEX, .address = address_mask(fw->range.prefix_length)},
                {"GATEWAY", HOLE_ADDRESS, .address = fw->gateway},
                {"RESOLVER_PORT", HOLE_NUMBER, .number = fw->resolver_port},
                {"RESOLVER_USER", HOLE_RULES, .text = user ?: ""},
                {"UPSTREAMS", HOLE_RULES, .text = upstreams->str},
                {"LAST_MAX", HOLE_NUMBER, .number = FIREWALL_LAST_MAX},
                {"LAST_SEC", HOLE_NUMBER, .number = FIREWALL_LAST_SEC},
                {"SPECIAL", HOLE_RULES, .text = special->str},
                {"LOCAL", HOLE_RULES, .text = local->str},
                {"PROFILES", HOLE_RULES, .text = profiles->str},
        };
        holes_fill(nft_tables, holes, G_N_ELEMENTS(holes), out);
}

void compose_grouped(const GString *lines, GString *out)
{
        g_autoptr(GHashTable) groups = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        const char *line = lines->str;

        for (const char *end; (end = strchr(line, '\n')); line = end + 1) {
                const char *open = strstr(line, " { ");
                g_assert(open && open < end && end[-1] == '}');

                g_autofree char *key = g_strndup(line, (gsize) (open - line));
                GString *group = g_hash_table_lookup(groups, key);
                if (!group) {
                        group = g_string_new(NULL);
                        g_hash_table_insert(groups, TAKE_PTR(key), group);
                } else
                        g_string_append(group, ", ");
                g_string_append_len(group, open + 3, end - 2 - (open + 3));
        }

        GHashTableIter i;
        gpointer key, group;
        g_hash_table_iter_init(&i, groups);
        while (g_hash_table_iter_next(&i, &key, &group)) {
                g_string_append_printf(out, "%s { ", (const char *) key);
                g_string_append_len(out, ((GString *) group)->str,
                                    (gssize) ((GString *) group)->len);
                g_string_append(out, " }\n");
                g_string_free(group, TRUE);
        }
}
