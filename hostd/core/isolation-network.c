/* SPDX-License-Identifier: MIT */

/* libvirt's network of sandboxes, which has to be there whenever libvirtd is. */

#include "core/isolation-private.h"

#include "base/log.h"
#include "base/quantity.h"

/* The first and the longest pause before a new attempt. */
#define PAUSE_MIN_USEC (100 * USEC_PER_MSEC)
#define PAUSE_MAX_USEC (30 * USEC_PER_SEC)

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

/* -- again ------------------------------------------------------------------------------------- */

static int on_ensure_again(sd_event_source *source, uint64_t usec, void *userdata)
{
        Isolation *i = userdata;

        (void) source;
        (void) usec;
        i->ensure_again = sd_event_source_disable_unref(i->ensure_again);
        isolation_connected(i->manager);
        return 0;
}

static void ensure_again(Isolation *i)
{
        if (i->ensure_again)
                return;
        i->ensure_pause_usec = CLAMP(2 * i->ensure_pause_usec, PAUSE_MIN_USEC, PAUSE_MAX_USEC);
        (void) sd_event_add_time_relative(i->manager->event, &i->ensure_again, CLOCK_MONOTONIC,
                                          i->ensure_pause_usec, 0, on_ensure_again, i);
}

/* One that ends as soon as it is started gets longer and longer pauses. */
static void on_server_ended(void *userdata)
{
        Isolation *i = userdata;

        i->server = network_server_free(i->server);
        i->has_lost_server = true;
        if (now_monotonic_usec() - i->ensured_usec > PAUSE_MAX_USEC)
                i->ensure_pause_usec = 0;
        ensure_again(i);
}

static void watch_server(Isolation *i)
{
        Fault f = {0};

        i->server = network_server_free(i->server);
        if (network_server_watch(i->manager->event, i->manager->config->network_name,
                                 on_server_ended, i, &i->server, &f) >= 0)
                return;
        log_error("%s", f.message);
        i->has_lost_server = true;
        ensure_again(i);
}

static void tell_loss(Isolation *i, int r, const Fault *f)
{
        if (i->has_lost_server && (r >= 0 || !i->is_loss_told))
                isolation_tell_repair(i, "", "the DHCP and DNS server of sandboxes had ended", NULL,
                                      r, f);
        i->is_loss_told = i->has_lost_server && r < 0;
        if (r >= 0)
                i->has_lost_server = false;
}

/* -- looking ----------------------------------------------------------------------------------- */

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
        if (r >= 0 && !i->has_lost_server)
                i->ensure_pause_usec = 0;
        tell_loss(i, r, f);
        if (r < 0) {
                ensure_again(i);
                return;
        }
        i->ensured_usec = now_monotonic_usec();
        watch_server(i);
        isolation_look_at_links(i);
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
