/* SPDX-License-Identifier: MIT */
#include "core/profile-rule.h"
#include "core/profile.h"

#include "base/address-scope.h"
#include "base/cleanup.h"

#include <netinet/in.h>

/* In words, what nft/ and host/firewall-compose.c say to the kernel, in the same order. */

#define SHOWN_MAX 8 /* of a list, in a description */

#define PORT_DNS  53
#define PORT_DHCP 67

#define IP(a, b, c, d) ((uint32_t) (a) << 24 | (b) << 16 | (c) << 8 | (d))

static bool is_in(const AddressRange *ranges, size_t n, uint32_t address)
{
        for (size_t i = 0; i < n; i++)
                if (address_range_contains(&ranges[i], address))
                        return true;
        return false;
}

static bool is_within(uint32_t address, uint32_t first, unsigned prefix_length)
{
        AddressRange range = {first, prefix_length};

        return address_range_contains(&range, address);
}

/* -- deciding ---------------------------------------------------------------------------------- */

static bool rule_matches(const FirewallRule *rule, const ProfileQuestion *q)
{
        if (!address_range_contains(&rule->to, q->address))
                return false;
        if (rule->protocol && rule->protocol != q->protocol)
                return false;
        return rule->port_first == 0 || (q->port >= rule->port_first && q->port <= rule->port_last);
}

typedef enum Verdict { UNDECIDED, ALLOWED, REFUSED } Verdict;

__attribute__((format(printf, 3, 4))) static Verdict say(char **ret_why, Verdict verdict,
                                                         const char *format, ...)
{
        va_list args;

        va_start(args, format);
        *ret_why = g_strdup_vprintf(format, args);
        va_end(args);
        return verdict;
}

/* What table bridge fluid lets out of the interface. */
static Verdict decide_frame(const ProfileQuestion *q, const char *address, char **ret_why)
{
        if (q->protocol != IPPROTO_TCP && q->protocol != IPPROTO_UDP && q->protocol != IPPROTO_ICMP)
                return say(ret_why, REFUSED, "only TCP, UDP and ICMP leave a sandbox");
        if (q->protocol == IPPROTO_UDP && q->port == PORT_DHCP) {
                if (q->address != q->gateway && q->address != INADDR_BROADCAST)
                        return say(ret_why, REFUSED, "a sandbox has no DHCP but the gateway's");
                return say(ret_why, ALLOWED, "the gateway's DHCP is always there");
        }
        if (q->address == INADDR_BROADCAST)
                return say(ret_why, REFUSED, "%s is broadcast, which does not leave a sandbox",
                           address);
        if (is_within(q->address, IP(224, 0, 0, 0), 4))
                return say(ret_why, REFUSED, "%s is multicast, which does not leave a sandbox",
                           address);
        return UNDECIDED;
}

/* What no profile is asked about. */
static Verdict decide_place(const Profile *p, const ProfileQuestion *q, const char *address,
                            char **ret_why)
{
        bool is_host = q->address == q->gateway;

        if (is_within(q->address, IP(127, 0, 0, 0), 8))
                return say(ret_why, REFUSED, "%s is every host's own, and never of the network",
                           address);
        if (is_within(q->address, 0, 8) || is_within(q->address, IP(240, 0, 0, 0), 4))
                return say(ret_why, REFUSED, "%s is nobody's address", address);
        if (q->address == q->self)
                return say(ret_why, REFUSED, "%s is the sandbox itself: that takes no network",
                           address);
        if (!is_host && address_range_contains(&q->range, q->address))
                return say(ret_why, REFUSED, "no sandbox reaches another, and %s is in their range",
                           address);
        if (is_host && q->port == PORT_DNS && q->protocol != IPPROTO_ICMP)
                return p->rules.has_names
                               ? say(ret_why, ALLOWED,
                                     "the gateway's DNS is always there; it answers for the names "
                                     "of '%s' only",
                                     p->rules.name)
                               : say(ret_why, ALLOWED, "the gateway's DNS is always there");
        for (size_t i = 0; i < q->n_host && !is_host; i++)
                is_host = q->host[i] == q->address;
        if (is_host)
                return say(ret_why, REFUSED,
                           "%s is this host, of which only DHCP and DNS are there", address);
        return UNDECIDED;
}

static Verdict decide_rules(const Profile *p, const ProfileQuestion *q, char **ret_why)
{
        for (size_t i = 0; i < p->rules.n_rules; i++) {
                const FirewallRule *rule = &p->rules.rules[i];

                if (!rule_matches(rule, q))
                        continue;
                g_autofree char *words = profile_rule_to_words(rule, rule->protocol);
                return say(ret_why, rule->allows ? ALLOWED : REFUSED, "'%s' %s %s", p->rules.name,
                           rule->allows ? "allows" : "denies", words);
        }
        return UNDECIDED;
}

static Verdict decide_rest(const Profile *p, const ProfileQuestion *q, const char *address,
                           char **ret_why)
{
        const char *name = p->rules.name;

        if (p->rules.has_names && q->is_named)
                return say(ret_why, ALLOWED, "%s is the address of a name that '%s' allows",
                           address, name);
        if (p->rules.has_internet) {
                if (is_in(q->local, q->n_local, q->address))
                        return say(ret_why, REFUSED, "%s is in this host's own network", address);
                if (address_scope(q->address) != ADDRESS_PUBLIC)
                        return say(ret_why, REFUSED, "%s is not on the internet", address);
                return say(ret_why, ALLOWED, "'%s' reaches all of the internet", name);
        }
        if (p->rules.has_names)
                return say(ret_why, REFUSED,
                           "'%s' does not allow it, and %s is not the address of one of its names",
                           name, address);
        if (p->rules.n_rules == 0)
                return say(ret_why, REFUSED, "'%s' reaches the gateway's DHCP and DNS only", name);
        return say(ret_why, REFUSED, "'%s' does not allow it", name);
}

bool profile_decide(const Profile *p, const ProfileQuestion *q, char **ret_why)
{
        char address[ADDRESS_TEXT_MAX];

        address_format(q->address, address);
        Verdict verdict = decide_frame(q, address, ret_why);
        if (verdict == UNDECIDED)
                verdict = decide_place(p, q, address, ret_why);
        if (verdict == UNDECIDED)
                verdict = decide_rules(p, q, ret_why);
        if (verdict == UNDECIDED)
                verdict = decide_rest(p, q, address, ret_why);
        return verdict == ALLOWED;
}

/* -- describing -------------------------------------------------------------------------------- */

/* One for TCP and the same for UDP: as an administrator writes a port alone. */
static bool is_pair(const FirewallRule *a, const FirewallRule *b)
{
        return a->port_first && a->protocol == IPPROTO_TCP && b->protocol == IPPROTO_UDP &&
               a->allows == b->allows && a->to.address == b->to.address &&
               a->to.prefix_length == b->to.prefix_length && a->port_first == b->port_first &&
               a->port_last == b->port_last;
}

static void append_entry(GString *out, size_t *n, const char *prefix, const char *text)
{
        if ((*n)++ < SHOWN_MAX)
                g_string_append_printf(out, "%s%s%s", *n > 1 ? ", " : "", prefix, text);
}

static void append_count(GString *out, size_t n)
{
        if (n > SHOWN_MAX)
                g_string_append_printf(out, " and %zu more", n - SHOWN_MAX);
}

static void describe_rules(const FirewallProfile *p, GString *out)
{
        size_t n = 0;

        for (size_t i = 0; i < p->n_rules; i++) {
                const FirewallRule *rule = &p->rules[i];
                bool is_both = i + 1 < p->n_rules && is_pair(rule, rule + 1);
                g_autofree char *words = profile_rule_to_words(rule, is_both ? 0 : rule->protocol);

                append_entry(out, &n, rule->allows ? "" : "not ", words);
                i += is_both;
        }
        append_count(out, n);
}

static void describe_names(const Profile *p, GString *out)
{
        size_t n = 0;

        g_string_append_printf(out, "%snames ", out->len ? "; " : "");
        for (size_t i = 0; i < p->n_names; i++)
                append_entry(out, &n, "", p->names[i]);
        append_count(out, n);
        if (p->allows_private_names)
                g_string_append(out, ", also at addresses that are not on the internet");
}

char *profile_describe(const Profile *p)
{
        g_autoptr(GString) out = g_string_new(NULL);

        describe_rules(&p->rules, out);
        if (p->n_names)
                describe_names(p, out);
        if (p->rules.has_internet)
                g_string_append_printf(out, "%sall of the internet", out->len ? "; " : "");
        if (out->len == 0)
                g_string_append(out, "the gateway's DHCP and DNS only");
        return g_string_free(TAKE_PTR(out), FALSE);
}
