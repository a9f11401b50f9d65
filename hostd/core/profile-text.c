/* SPDX-License-Identifier: MIT */

/* All that a profile lets through, as text: two profiles that differ in anything do not read alike.
 */

#include "core/profile.h"

#include "base/cleanup.h"

static void append_rule(GString *out, const FirewallRule *rule)
{
        const char *protocol = protocol_to_string(rule->protocol);
        g_autofree char *to = address_range_format(&rule->to);

        g_string_append_printf(out, "%s = %s", rule->allows ? "allow" : "deny", to);
        if (rule->port_first || rule->protocol)
                g_string_append_c(out, ':');
        if (rule->port_first)
                g_string_append_printf(out, "%u", rule->port_first);
        if (rule->port_last != rule->port_first)
                g_string_append_printf(out, "-%u", rule->port_last);
        if (rule->protocol)
                g_string_append_printf(out, "/%s", protocol ? protocol : "other");
        g_string_append_c(out, '\n');
}

static const char *yes_or_no(bool truth)
{
        return truth ? "yes" : "no";
}

char *profile_format(const Profile *p)
{
        g_autoptr(GString) out = g_string_new(NULL);

        for (size_t i = 0; i < p->rules.n_rules; i++)
                append_rule(out, &p->rules.rules[i]);
        for (size_t i = 0; i < p->n_names; i++)
                g_string_append_printf(out, "names = %s\n", p->names[i]);
        g_string_append_printf(out,
                               "private_names = %s\ninternet = %s\nadmins_only = %s\n"
                               "connections = %u\nconnections_per_second = %u\n",
                               yes_or_no(p->allows_private_names), yes_or_no(p->rules.has_internet),
                               yes_or_no(p->admins_only), p->rules.connections_max,
                               p->rules.connections_per_sec);
        return g_string_free(TAKE_PTR(out), FALSE);
}
