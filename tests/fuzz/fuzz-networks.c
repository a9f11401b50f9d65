/* SPDX-License-Identifier: MIT */

/* Any networks.conf either is refused, with its line, or gives profiles within their bounds, that
 * can be described and asked. */

#include "base/domain-pattern.h"
#include "core/profile.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool good)
{
        if (!good)
                abort();
}

static void check_rule(const FirewallRule *rule)
{
        bool has_ports = rule->port_first || rule->port_last;

        need(rule->to.prefix_length <= 32 &&
             address_range_contains(&rule->to, address_range_last(&rule->to)));
        need(!has_ports || (rule->port_first > 0 && rule->port_first <= rule->port_last));
        need(!has_ports || rule->protocol == IPPROTO_TCP || rule->protocol == IPPROTO_UDP);
        need(rule->protocol == 0 || rule->protocol == IPPROTO_TCP ||
             rule->protocol == IPPROTO_UDP || rule->protocol == IPPROTO_ICMP);
}

static void check_names(const Profile *p)
{
        char again[DOMAIN_NAME_MAX];

        for (size_t i = 0; i < p->n_names; i++)
                need(domain_pattern_parse(p->names[i], again, NULL) == 0 &&
                     g_str_equal(again, p->names[i]));
        need(p->names[p->n_names] == NULL && p->rules.has_names == (p->n_names > 0));
}

static void ask(const Profile *p, uint32_t address)
{
        ProfileQuestion q = {
                .range = {0x0a7b0000, 16},
                .gateway = 0x0a7b0001,
                .self = 0x0a7b0002,
                .address = address,
                .protocol = IPPROTO_TCP,
                .port = 443,
        };
        g_autofree char *why = NULL;
        bool allowed = profile_decide(p, &q, &why);

        need(why && *why);
        need(!allowed || !address_range_contains(&q.range, address));
}

static void check_profile(const Profile *p)
{
        g_autofree char *description = profile_describe(p);

        need(strlen(p->rules.name) >= 1 && strlen(p->rules.name) <= 31 && *description);
        need(p->rules.connections_max > 0 && p->rules.connections_per_sec > 0);
        need(p->rules.n_rules <= 512 && p->n_names <= 256);
        check_names(p);
        ask(p, 0x09090909);
        for (size_t i = 0; i < p->rules.n_rules; i++) {
                check_rule(&p->rules.rules[i]);
                ask(p, p->rules.rules[i].to.address);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        g_autofree char *text = g_strndup((const char *) data, size);
        g_autoptr(Profiles) p = NULL;
        Fault f = {0};
        size_t n;

        if (profiles_parse("n", text, &p, &f) < 0) {
                need(!p && g_str_has_prefix(f.message, "n:") && g_ascii_isdigit(f.message[2]));
                return 0;
        }
        const Profile *list = profiles_list(p, &n);
        need(n >= 2 && n <= 64);
        for (size_t i = 0; i < n; i++) {
                check_profile(&list[i]);
                need(profiles_find(p, list[i].rules.name) == &list[i]);
        }
        return 0;
}
