/* SPDX-License-Identifier: MIT */
#include "host/firewall-private.h"
#include "host/firewall-text.h"
#include "host/hypervisor.h"

#include "base/cleanup.h"

#include <netinet/in.h>
#include <string.h>

static void profile_free(gpointer data)
{
        Profile *p = data;

        g_free(p->name);
        g_array_unref(p->rules);
        g_free(p);
}

Sandbox *firewall_sandbox_free(Sandbox *s)
{
        if (!s)
                return NULL;
        g_clear_pointer(&s->ports, g_array_unref);
        g_clear_pointer(&s->names, g_hash_table_unref);
        g_free(s);
        return NULL;
}

static void free_sandbox(gpointer data)
{
        (void) firewall_sandbox_free(data);
}

Model *model_new(void)
{
        Model *m = g_new0(Model, 1);

        m->profiles = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, profile_free);
        m->sandboxes = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_sandbox);
        m->local = g_array_new(FALSE, TRUE, sizeof(AddressRange));
        return m;
}

Model *model_free(Model *m)
{
        if (!m)
                return NULL;
        g_hash_table_unref(m->sandboxes);
        g_hash_table_unref(m->profiles);
        g_array_unref(m->local);
        g_free(m);
        return NULL;
}

static int check_rule(const char *profile, size_t number, const FirewallRule *rule, Fault *f)
{
        bool has_ports = rule->port_first || rule->port_last;

        if (rule->protocol != 0 && rule->protocol != IPPROTO_TCP && rule->protocol != IPPROTO_UDP &&
            rule->protocol != IPPROTO_ICMP)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "rule %zu of profile '%s' has protocol %u: use tcp, udp or icmp",
                                 number, profile, rule->protocol);
        if (has_ports && rule->protocol != IPPROTO_TCP && rule->protocol != IPPROTO_UDP)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "rule %zu of profile '%s' has ports: only tcp and udp have any",
                                 number, profile);
        if (has_ports && (rule->port_first == 0 || rule->port_first > rule->port_last))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "rule %zu of profile '%s' has no port in %u-%u", number, profile,
                                 rule->port_first, rule->port_last);
        if (rule->to.prefix_length > 32)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "rule %zu of profile '%s' has a prefix of %u bits", number,
                                 profile, rule->to.prefix_length);
        return 0;
}

int model_add_profile(Model *m, const FirewallProfile *profile, Fault *f)
{
        int r;

        if (!hole_name_is_valid(profile->name))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.80s' is not a valid profile name: use 1 to 31 of a-z 0-9 - "
                                 "and begin with a letter",
                                 profile->name);
        if (g_hash_table_contains(m->profiles, profile->name))
                return fault_set(f, FAULT_EXISTS, "profile '%s' is there twice", profile->name);
        if (profile->connections_max == 0 || profile->connections_per_sec == 0)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "profile '%s' gives no connections: use limits of at least 1",
                                 profile->name);
        for (size_t i = 0; i < profile->n_rules; i++)
                if ((r = check_rule(profile->name, i + 1, &profile->rules[i], f)) < 0)
                        return r;

        Profile *p = g_new0(Profile, 1);
        p->name = g_strdup(profile->name);
        p->has_internet = profile->has_internet;
        p->has_names = profile->has_names;
        p->connections_max = profile->connections_max;
        p->connections_per_sec = profile->connections_per_sec;
        p->rules = g_array_new(FALSE, TRUE, sizeof(FirewallRule));
        if (profile->n_rules)
                g_array_append_vals(p->rules, profile->rules, (guint) profile->n_rules);
        g_hash_table_insert(m->profiles, p->name, p);
        return 0;
}

static int check_ports(const FirewallSandbox *sandbox, Fault *f)
{
        for (size_t i = 0; i < sandbox->n_ports; i++) {
                const FirewallPort *p = &sandbox->ports[i];

                if (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP)
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "a port of protocol %u cannot be published: use tcp or "
                                         "udp",
                                         p->protocol);
                if (p->host_port == 0 || p->sandbox_port == 0)
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "port 0 cannot be published: use 1 to 65535");
                for (size_t j = 0; j < i; j++)
                        if (p->protocol == sandbox->ports[j].protocol &&
                            p->host_port == sandbox->ports[j].host_port &&
                            p->host_address == sandbox->ports[j].host_address)
                                return fault_set(f, FAULT_EXISTS,
                                                 "host port %u is published twice by sandbox %s",
                                                 p->host_port, sandbox->id);
        }
        return 0;
}

static int check_sandbox(const Firewall *fw, const FirewallSandbox *sandbox, Fault *f)
{
        char address[ADDRESS_TEXT_MAX], mac[MAC_TEXT_MAX];
        static const uint8_t none[MAC_SIZE];

        if (!id_is_valid(sandbox->id))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%.80s' is not a sandbox's id",
                                 sandbox->id);
        address_format(sandbox->address, address);
        if (!address_range_contains(&fw->range, sandbox->address) ||
            sandbox->address == fw->gateway || sandbox->address == fw->range.address ||
            sandbox->address == address_range_last(&fw->range))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "%s cannot be a sandbox's address: use another one of the "
                                 "network's range",
                                 address);
        mac_format(sandbox->mac, mac);
        if (sandbox->mac[0] & 1 || memcmp(sandbox->mac, none, MAC_SIZE) == 0)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "%s cannot be an interface's MAC", mac);
        return check_ports(sandbox, f);
}

int sandbox_new(const Firewall *fw, const Model *m, const FirewallSandbox *sandbox, Sandbox **ret,
                Fault *f)
{
        int r = check_sandbox(fw, sandbox, f);

        if (r < 0)
                return r;
        const Profile *profile = g_hash_table_lookup(m->profiles, sandbox->profile);
        if (!profile)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "there is no network profile '%.80s', which sandbox %s has",
                                 sandbox->profile, sandbox->id);

        Sandbox *s = g_new0(Sandbox, 1);
        (void) g_strlcpy(s->id.text, sandbox->id, sizeof s->id.text);
        firewall_interface(s->id.text, s->interface);
        memcpy(s->mac, sandbox->mac, MAC_SIZE);
        network_mac(fw->gateway, s->gateway_mac);
        s->address = sandbox->address;
        s->profile = profile;
        s->ports = g_array_new(FALSE, TRUE, sizeof(FirewallPort));
        if (sandbox->n_ports)
                g_array_append_vals(s->ports, sandbox->ports, (guint) sandbox->n_ports);
        s->names = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        *ret = s;
        return 0;
}

void model_set_local(Model *m, const AddressRange *local, size_t n)
{
        g_array_set_size(m->local, 0);
        for (size_t i = 0; i < n; i++) {
                bool is_within = false;

                for (size_t j = 0; j < n && !is_within; j++)
                        is_within = i != j && address_ranges_overlap(&local[i], &local[j]) &&
                                    (local[j].prefix_length < local[i].prefix_length ||
                                     (j < i && local[j].prefix_length == local[i].prefix_length));
                if (!is_within)
                        g_array_append_val(m->local, local[i]);
        }
}

/* -- whose things are -------------------------------------------------------------------------- */

static char *port_key(const FirewallPort *p)
{
        char address[ADDRESS_TEXT_MAX];

        address_format(p->host_address, address);
        return g_strdup_printf("%s port %s:%u", protocol_to_string(p->protocol), address,
                               p->host_port);
}

static GPtrArray *owned(const Sandbox *s)
{
        GPtrArray *keys = g_ptr_array_new_with_free_func(g_free);
        char address[ADDRESS_TEXT_MAX], mac[MAC_TEXT_MAX];

        address_format(s->address, address);
        mac_format(s->mac, mac);
        g_ptr_array_add(keys, g_strdup_printf("address %s", address));
        g_ptr_array_add(keys, g_strdup_printf("MAC %s", mac));
        for (guint i = 0; i < s->ports->len; i++)
                g_ptr_array_add(keys, port_key(&g_array_index(s->ports, FirewallPort, i)));
        return keys;
}

int owners_add(GHashTable *owners, Sandbox *s, Fault *f)
{
        g_autoptr(GPtrArray) keys = owned(s);

        for (guint i = 0; i < keys->len; i++) {
                const Sandbox *other = g_hash_table_lookup(owners, keys->pdata[i]);
                if (other && !g_str_equal(other->id.text, s->id.text))
                        return fault_set(f, FAULT_EXISTS, "%s is of sandbox %s already",
                                         (const char *) keys->pdata[i], other->id.text);
        }
        for (guint i = 0; i < keys->len; i++)
                g_hash_table_replace(owners, g_strdup(keys->pdata[i]), s);
        return 0;
}

void owners_remove(GHashTable *owners, const Sandbox *s)
{
        g_autoptr(GPtrArray) keys = owned(s);

        for (guint i = 0; i < keys->len; i++)
                if (g_hash_table_lookup(owners, keys->pdata[i]) == s)
                        (void) g_hash_table_remove(owners, keys->pdata[i]);
}
