/* SPDX-License-Identifier: MIT */
#include "core/profile-rule.h"

#include "base/cleanup.h"

#include <netinet/in.h>
#include <string.h>

static int parse_ports(const char *entry, const char *text, FirewallRule *rule, Fault *f)
{
        const char *dash = strchr(text, '-');
        g_autofree char *head = dash ? g_strndup(text, (gsize) (dash - text)) : g_strdup(text);
        guint64 first, last;

        if (!g_ascii_string_to_unsigned(head, 10, 1, UINT16_MAX, &first, NULL) ||
            !g_ascii_string_to_unsigned(dash ? dash + 1 : head, 10, 1, UINT16_MAX, &last, NULL))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.80s' has no port from 1 to 65535 after the colon; write it "
                                 "like 192.0.2.1:443 or 192.0.2.1:8000-8100",
                                 entry);
        if (first > last)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.80s' has no ports: write the lower one first", entry);
        rule->port_first = (uint16_t) first;
        rule->port_last = (uint16_t) last;
        return 0;
}

/* What is after the colon: [PORT[-PORT]][/PROTOCOL]. */
static int parse_service(const char *entry, const char *text, FirewallRule *rule, Fault *f)
{
        const char *slash = strchr(text, '/');
        g_autofree char *ports = slash ? g_strndup(text, (gsize) (slash - text)) : g_strdup(text);

        if (slash) {
                rule->protocol = protocol_from_string(slash + 1);
                if (rule->protocol == 0)
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "'%.80s' ends in no protocol; use tcp, udp or icmp, as in "
                                         "192.0.2.1:443/tcp",
                                         entry);
                if (rule->protocol == IPPROTO_ICMP && *ports)
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "'%.80s' has a port, and icmp has none; write it like "
                                         "192.0.2.1:/icmp",
                                         entry);
                if (!*ports)
                        return 0;
        }
        return parse_ports(entry, ports, rule, f);
}

int profile_rule_parse(const char *entry, bool allows, FirewallRule *ret, Fault *f)
{
        FirewallRule rule = {.allows = allows};
        const char *colon = strchr(entry, ':'), *slash = strchr(entry, '/');
        g_autofree char *range =
                colon ? g_strndup(entry, (gsize) (colon - entry)) : g_strdup(entry);

        if (!colon && slash && protocol_from_string(slash + 1) != 0)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.80s' has no colon before its protocol; write it like "
                                 "192.0.2.1:%s",
                                 entry, slash);
        int r = address_range_parse(range, &rule.to, f);
        if (r == 0 && colon)
                r = parse_service(entry, colon + 1, &rule, f);
        if (r == 0)
                *ret = rule;
        return r;
}

static const char *protocol_to_words(uint8_t protocol)
{
        switch (protocol) {
        case IPPROTO_TCP:
                return " TCP";
        case IPPROTO_UDP:
                return " UDP";
        case IPPROTO_ICMP:
                return " ICMP";
        default:
                return "";
        }
}

char *profile_rule_to_words(const FirewallRule *rule, uint8_t protocol)
{
        g_autoptr(GString) words = g_string_new(NULL);
        char address[ADDRESS_TEXT_MAX];

        address_format(rule->to.address, address);
        if (rule->to.prefix_length == 0)
                g_string_append(words, "any address");
        else
                g_string_append(words, address);
        if (rule->to.prefix_length > 0 && rule->to.prefix_length < 32)
                g_string_append_printf(words, "/%u", rule->to.prefix_length);
        g_string_append(words, protocol_to_words(protocol));
        if (rule->port_first && rule->port_first == rule->port_last)
                g_string_append_printf(words, " port %u", rule->port_first);
        else if (rule->port_first)
                g_string_append_printf(words, " ports %u-%u", rule->port_first, rule->port_last);
        return g_string_free(TAKE_PTR(words), FALSE);
}
