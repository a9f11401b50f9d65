/* SPDX-License-Identifier: MIT */

/* Who answers DNS where a profile allows some names only, and what the rules let it send. */

#include "core/isolation-private.h"

#include "base/log.h"

static int on_allowed(uint32_t client, const char *name, uint32_t address, uint32_t ttl_sec,
                      void *userdata)
{
        Isolation *i = userdata;
        Sandbox *s = isolation_sandbox_of(i->manager, client);
        Fault f = {0};

        if (!s)
                return -ENOENT;
        int r = firewall_allow(i->firewall, s->row->id.text, address, ttl_sec, &f);
        if (r < 0)
                log_warning("sandbox '%s' cannot be let to '%s': %s", s->row->name, name,
                            f.message);
        else
                network_remember_name(s, address, ttl_sec);
        return r;
}

static void on_resolver_died(const char *reason, void *userdata)
{
        (void) userdata;
        log_error("fluid-resolver ended (%s); it is started again", reason);
}

void isolation_take_upstreams(Isolation *i)
{
        const ResolverUpstream *upstreams;
        Fault f = {0};
        unsigned n;

        if (!i->resolver || !i->firewall)
                return;
        upstreams = resolver_upstreams(i->resolver, &n);
        if (firewall_set_upstreams(i->firewall, upstreams, n, &f) >= 0)
                return;
        log_error("fluid-resolver cannot ask the resolvers of this host: %s", f.message);
        isolation_retry(i);
}

static void on_upstreams_changed(void *userdata)
{
        isolation_take_upstreams(userdata);
}

static const ResolverObserver resolver_observer = {
        .allowed = on_allowed, .upstreams_changed = on_upstreams_changed, .died = on_resolver_died};

static int start_resolver(Isolation *i, Fault *f)
{
        const ResolverSettings settings = {.gateway = network_address(&i->range, 0),
                                           .port = RESOLVER_PORT};
        int r;

        if (i->resolver)
                return 0;
        r = resolver_new(i->manager->event, &settings, &resolver_observer, i, &i->resolver, f);
        if (r >= 0)
                isolation_take_upstreams(i);
        return r;
}

int isolation_tell_resolver(Isolation *i, const SandboxRow *row, Fault *f)
{
        const Profile *p = profiles_find(i->profiles, row->network);
        uint32_t address = network_address(&i->range, row->address_number);
        int r;

        if (!p || !p->rules.has_names) {
                if (i->resolver)
                        resolver_remove_client(i->resolver, address);
                return 0;
        }
        r = start_resolver(i, f);
        if (r < 0)
                return r;
        const ResolverClient client = {.address = address,
                                       .patterns = p->names,
                                       .n_patterns = p->n_names,
                                       .allows_private = p->allows_private_names};
        return resolver_set_client(i->resolver, &client, f);
}

static bool is_any_named(const Isolation *i)
{
        size_t n;
        const Profile *p = profiles_list(i->profiles, &n);

        for (size_t k = 0; k < n; k++)
                if (p[k].rules.has_names)
                        return true;
        return false;
}

/* A sandbox that is given such a profile asks at once, and would be refused by what does not listen
 * yet: it is started before one is. */
void isolation_tell_resolver_all(Isolation *i)
{
        g_autoptr(GPtrArray) sandboxes = isolation_sandboxes(i->manager);
        Fault why = {0};

        if (is_any_named(i) && start_resolver(i, &why) < 0)
                log_error("the names of network profiles cannot be resolved: %s", why.message);
        for (guint k = 0; k < sandboxes->len; k++) {
                const SandboxRow *row = ((Sandbox *) sandboxes->pdata[k])->row;
                Fault f = {0};
                if (isolation_tell_resolver(i, row, &f) < 0)
                        log_error("the names of sandbox '%s' cannot be resolved: %s", row->name,
                                  f.message);
        }
}
