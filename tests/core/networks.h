/* SPDX-License-Identifier: MIT */
#pragma once

/* What tests of networks have in common. */

#include "tests/core/memory.h"

/* Valid until the loop goes on. */
static inline SandboxNetwork network_of(const char *sandbox)
{
        SandboxNetwork network;

        sandbox_network(get_sandbox(sandbox), &network);
        return network;
}

/* With a template "base". `ports` may be NULL. */
static inline int create_networked(const char *name, const char *profile, const char *const *ports)
{
        if (!get_template("base"))
                need(import_image("base", IMAGE), "import");
        return create_from(&(SandboxSpec){
                .name = name, .template = "base", .network = profile, .ports = ports});
}

/* One case: "up isolated", and all that belongs to it. */
static inline void is_network(const char *sandbox, const char *expected, const char *sentence)
{
        g_autofree char *found =
                g_strdup_printf("%s %s", network_of(sandbox).state, row_of(sandbox)->network);

        if (!tap_is_str(found, expected, "%s", sentence))
                tap_note("%s", network_of(sandbox).reason);
}

/* One case: these are its rules in the kernel, but for what is said of its address and MAC; "": it
 * has none. */
static inline void are_rules(const char *sandbox, const char *expected, const char *sentence)
{
        g_autofree char *rules = fake_host_rules(id_of(sandbox));
        g_auto(GStrv) parts = rules ? g_strsplit(rules, " ", 3) : NULL;

        tap_is_str(rules ? parts[2] : "", expected, "%s", sentence);
}

/* One case: these calls into the host were made since fake_host_trace(true), in that order, among
 * others. */
static inline void is_traced(const char *const *calls, const char *sentence)
{
        g_autofree char *traced = fake_host_traced();
        const char *at = traced;

        fake_host_trace(false);
        for (size_t i = 0; at && calls[i]; i++) {
                g_autofree char *line = g_strdup_printf("\n%s\n", calls[i]);
                const char *found = strstr(at, line);

                if (!found)
                        tap_note("there is no %s where it ought to be: %s", calls[i], at);
                at = found ? found + strlen(calls[i]) : NULL;
        }
        tap_ok(at != NULL, "%s", sentence);
}

static inline bool was_called(const char *call)
{
        g_autofree char *traced = fake_host_traced();
        g_autofree char *line = g_strdup_printf("\n%s\n", call);

        fake_host_trace(false);
        return strstr(traced, line);
}

static inline bool has_cable(const char *sandbox)
{
        SandboxNetwork network = network_of(sandbox);
        bool is_in = false;

        return fake_host_nic(id_of(sandbox), network.mac, &is_in) && is_in;
}

static inline Link link_of(const char *sandbox)
{
        Link link = {0};

        (void) fake_host_link(network_of(sandbox).interface, &link);
        return link;
}

/* Repairs that are in the trail; NULL: however they ended. */
static inline unsigned count_repairs(const char *phase)
{
        return count_audit("network.repair", phase, NULL);
}

/* What somebody did behind fluid's back was there until it was put right. */
static inline void forget_leak(void)
{
        g_free(fake_host_leaked());
}

static inline void is_well(const char *sentence)
{
        tap_ok(is_world_consistent() && is_trail_paired(), "%s", sentence);
}
