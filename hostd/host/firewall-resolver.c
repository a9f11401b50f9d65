/* SPDX-License-Identifier: MIT */

/* Whom the resolver's user may ask. */

#include "base/cleanup.h"
#include "host/firewall-private.h"

#include <arpa/inet.h>
#include <string.h>

/* One per protocol: `meta l4proto { tcp, udp }` would be a set of its own in the kernel. */
void compose_upstreams(const Firewall *fw, const char *before, GString *out)
{
        static const char *const protocols[] = {"udp", "tcp"};

        for (unsigned i = 0; i < fw->n_upstreams; i++) {
                const ResolverUpstream *u = &fw->upstreams[i];
                char address[INET6_ADDRSTRLEN];

                g_assert(inet_ntop(u->family, &u->address, address, sizeof address));
                for (size_t j = 0; j < G_N_ELEMENTS(protocols); j++)
                        g_string_append_printf(out, "%s%s daddr %s %s dport %u accept\n", before,
                                               u->family == AF_INET6 ? "ip6" : "ip", address,
                                               protocols[j], ntohs(u->port));
        }
}

int firewall_set_upstreams(Firewall *fw, const ResolverUpstream *upstreams, unsigned n, Fault *f)
{
        ResolverUpstream old[RESOLVER_UPSTREAMS_MAX];
        unsigned n_old = fw->n_upstreams;
        g_autoptr(GString) text = g_string_new("flush chain inet fluid asking\n");

        g_assert(n <= RESOLVER_UPSTREAMS_MAX);
        if (n == n_old && memcmp(fw->upstreams, upstreams, n * sizeof *upstreams) == 0)
                return 0;
        memcpy(old, fw->upstreams, sizeof old);
        memcpy(fw->upstreams, upstreams, n * sizeof *upstreams);
        fw->n_upstreams = n;
        if (!fw->structure)
                return 0;
        compose_upstreams(fw, "add rule inet fluid asking ", text);
        bool has_changed = false;
        int r = tables_change(fw, text->str, &has_changed, f);
        if (!has_changed) {
                memcpy(fw->upstreams, old, sizeof old);
                fw->n_upstreams = n_old;
                (void) files_write_tables(fw, fw->model, NULL);
        }
        return r;
}
