/* SPDX-License-Identifier: MIT */

/* libvirt's network of sandboxes, which has to be there whenever libvirtd is. */

#include "core/isolation-private.h"

#include "base/log.h"

typedef struct Ensure {
        Isolation *isolation;
        Hypervisor *hypervisor;
        NetworkSpec spec;
        char *name, *bridge;
} Ensure;

static void ensure_free(gpointer data)
{
        Ensure *q = data;

        g_free(q->name);
        g_free(q->bridge);
        g_free(q);
}

static int ensure_run(void *request, Fault *f)
{
        const Ensure *q = request;

        return hypervisor_ensure_network(q->hypervisor, &q->spec, f);
}

/* NULL: none. */
static void set_network_fault(Isolation *i, const Fault *f)
{
        bool is_news = !g_str_equal(i->network_fault.message, f ? f->message : "");

        i->network_fault = fault_copy(f);
        if (!is_news)
                return;
        if (f)
                log_error("sandboxes have no network: %s", f->message);
        isolation_tell(i);
}

/* The taps of a network that was made anew are nobody's ports. */
static void ensure_done(void *request, int r, const Fault *f, void *userdata)
{
        Isolation *i = ((Ensure *) request)->isolation;

        (void) userdata;
        i->is_ensuring = false;
        i->was_ensured = true;
        if (i->manager->is_closing)
                return;
        set_network_fault(i, r < 0 ? f : NULL);
        if (r >= 0)
                isolation_look_at_links(i);
        if (r >= 0)
                network_plug_all(i->manager);
}

static int check_collision(const Isolation *i, Fault *f)
{
        for (guint k = 0; k < i->local->len; k++) {
                const AddressRange *local = &g_array_index(i->local, AddressRange, k);
                if (!address_ranges_overlap(local, &i->range))
                        continue;
                g_autofree char *text = address_range_format(local);
                return fault_set(f, FAULT_NETWORK_FAILED,
                                 "network_range %s overlaps with %s, which this host has a route "
                                 "to; set another in fluid.conf",
                                 i->manager->config->network_range, text);
        }
        return 0;
}

void isolation_connected(Manager *m)
{
        Isolation *i = m->isolation;
        Fault f = {0};

        if (!i->links || i->is_ensuring || !hypervisor_is_connected(m->hypervisor))
                return;
        if (check_collision(i, &f) < 0) {
                set_network_fault(i, &f);
                return;
        }
        Ensure *q = g_new0(Ensure, 1);
        *q = (Ensure){.isolation = i,
                      .hypervisor = m->hypervisor,
                      .name = g_strdup(m->config->network_name),
                      .bridge = g_strdup(m->config->network_bridge)};
        q->spec = (NetworkSpec){.name = q->name,
                                .bridge = q->bridge,
                                .range = i->range,
                                .leases = (unsigned) m->config->network_leases};
        i->is_ensuring = true;
        if (!i->was_ensured) {
                (void) fault_set(&f, FAULT_NETWORK_FAILED,
                                 "the network of sandboxes is being set up; try again in a moment");
                i->network_fault = f;
        }
        (void) workers_submit(m->workers, ensure_run, ensure_done, q, ensure_free, NULL);
}
