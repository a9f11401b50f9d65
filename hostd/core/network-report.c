/* SPDX-License-Identifier: MIT */

/* What of a sandbox's network is told to people. */

#include "core/isolation.h"

#include "base/quantity.h"

#include <netinet/in.h>

static int require_network(const Sandbox *s, Fault *f)
{
        if (s->row->address_number && isolation_firewall(s->manager))
                return 0;
        return fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' has no network", s->row->name);
}

int sandbox_network_counters(const Sandbox *s, FirewallCounters *ret, Fault *f)
{
        int r = require_network(s, f);

        return r < 0 ? r
                     : firewall_counters(isolation_firewall(s->manager), s->row->id.text, ret, f);
}

int sandbox_network_drops(const Sandbox *s, GArray **ret, Fault *f)
{
        int r = require_network(s, f);

        return r < 0 ? r : firewall_drops(isolation_firewall(s->manager), s->row->id.text, ret, f);
}

int sandbox_network_refusals(const Sandbox *s, GArray **ret, Fault *f)
{
        Resolver *resolver = isolation_resolver(s->manager);
        const Profile *p = profiles_find(manager_profiles(s->manager), s->row->network);
        int r = require_network(s, f);

        if (r < 0)
                return r;
        if (resolver && p && p->rules.has_names)
                return resolver_refusals(resolver, isolation_address(s), ret, f);
        *ret = g_array_new(FALSE, FALSE, sizeof(ResolverRefusal));
        return 0;
}

int sandbox_network_rules(const Sandbox *s, char **ret, Fault *f)
{
        int r = require_network(s, f);

        return r < 0 ? r
                     : firewall_describe(isolation_firewall(s->manager), s->row->id.text, ret, f);
}

/* Its address, and until when. */
typedef struct NamedAddress {
        uint32_t address;
        uint64_t until_usec;
} NamedAddress;

#define NAMED_MAX 4096

void network_remember_name(Sandbox *s, uint32_t address, uint32_t ttl_sec)
{
        NamedAddress named = {address, now_monotonic_usec() + ttl_sec * USEC_PER_SEC};

        if (!s->named)
                s->named = g_array_new(FALSE, FALSE, sizeof(NamedAddress));
        if (s->named->len >= NAMED_MAX)
                (void) g_array_remove_range(s->named, 0, NAMED_MAX / 2);
        (void) g_array_append_val(s->named, named);
}

void network_forget_names(Sandbox *s)
{
        g_clear_pointer(&s->named, g_array_unref);
}

static bool is_named(const Sandbox *s, uint32_t address)
{
        uint64_t now = now_monotonic_usec();

        for (guint i = 0; s->named && i < s->named->len; i++) {
                const NamedAddress *named = &g_array_index(s->named, NamedAddress, i);
                if (named->address == address && named->until_usec > now)
                        return true;
        }
        return false;
}

int sandbox_network_explain(const Sandbox *s, const char *address, unsigned port,
                            const char *protocol, bool *ret_allowed, char **ret_why, Fault *f)
{
        const Profile *p = profiles_find(manager_profiles(s->manager), s->row->network);
        ProfileQuestion q = {.protocol = protocol_from_string(protocol), .port = (uint16_t) port};
        int r = require_network(s, f);

        if (r >= 0)
                r = address_parse(address, &q.address, f);
        if (r >= 0 && q.protocol == 0)
                r = fault_set(f, FAULT_INVALID_ARGUMENT, "'%.20s' is not one of tcp, udp, icmp",
                              protocol);
        if (r < 0)
                return r;
        if (s->is_cut_off || !p) {
                *ret_allowed = false;
                *ret_why = p ? g_strdup_printf("it is cut off: %s", s->network_fault.message)
                             : g_strdup_printf("networks.conf has no profile '%s' any more",
                                               s->row->network);
                return 0;
        }
        q.self = isolation_address(s);
        q.is_named = is_named(s, q.address);
        isolation_fill_question(s->manager, &q);
        *ret_allowed = profile_decide(p, &q, ret_why);
        return 0;
}
