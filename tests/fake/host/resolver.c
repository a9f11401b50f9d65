/* SPDX-License-Identifier: MIT */

/* fluid-resolver, which ends with the daemon. */

#include "host/resolver.h"

#include "tests/fake/host/state.h"

struct Resolver {
        const ResolverObserver *observer;
        void *userdata;
        GHashTable *clients; /* address → its patterns, as one text */
};

const char *resolver_reason_to_string(ResolverReason reason)
{
        return reason == RESOLVER_REASON_NAME ? "no pattern matches it"
                                              : "it has no address that may be reached";
}

int resolver_new(G_GNUC_UNUSED sd_event *event, G_GNUC_UNUSED const ResolverSettings *settings,
                 const ResolverObserver *observer, void *userdata, Resolver **ret, Fault *f)
{
        int r = fake_call("resolver_new", f);

        if (r < 0)
                return r;
        g_assert(!fake.resolver);
        *ret = g_new0(Resolver, 1);
        (*ret)->observer = observer;
        (*ret)->userdata = userdata;
        (*ret)->clients = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        fake.resolver = *ret;
        return 0;
}

Resolver *resolver_free(Resolver *r)
{
        if (!r)
                return NULL;
        fake.resolver = NULL;
        g_hash_table_unref(r->clients);
        g_free(r);
        return NULL;
}

const ResolverUpstream *resolver_upstreams(G_GNUC_UNUSED const Resolver *r, unsigned *ret_n)
{
        *ret_n = 1;
        return &fake.host_upstream;
}

int resolver_set_client(Resolver *resolver, const ResolverClient *client, Fault *f)
{
        GString *text = g_string_new(client->allows_private ? "private" : "");
        int r = fake_call("resolver_set_client", f);

        for (size_t i = 0; i < client->n_patterns; i++)
                g_string_append_printf(text, "%s%s", text->len ? " " : "", client->patterns[i]);
        if (r == 0)
                (void) g_hash_table_replace(resolver->clients, GUINT_TO_POINTER(client->address),
                                            g_strdup(text->str));
        (void) g_string_free(text, TRUE);
        return r;
}

void resolver_remove_client(Resolver *r, uint32_t address)
{
        (void) g_hash_table_remove(r->clients, GUINT_TO_POINTER(address));
}

static int check_client(const char *what, const Resolver *resolver, uint32_t client, Fault *f)
{
        int r = fake_call(what, f);

        if (r == 0 && !g_hash_table_contains(resolver->clients, GUINT_TO_POINTER(client)))
                r = fault_set(f, FAULT_NOT_FOUND, "there is no such client");
        return r;
}

int resolver_counters(const Resolver *resolver, uint32_t client, ResolverCounters *ret, Fault *f)
{
        int r = check_client("resolver_counters", resolver, client, f);

        if (r == 0)
                *ret = (ResolverCounters){0};
        return r;
}

int resolver_refusals(const Resolver *resolver, uint32_t client, GArray **ret, Fault *f)
{
        int r = check_client("resolver_refusals", resolver, client, f);

        if (r == 0)
                *ret = g_array_new(FALSE, FALSE, sizeof(ResolverRefusal));
        return r;
}

unsigned resolver_starts(G_GNUC_UNUSED const Resolver *r)
{
        return 1;
}

/* -- the script ------------------------------------------------------------------------------- */

const char *fake_host_names(uint32_t client)
{
        return fake.resolver ? g_hash_table_lookup(fake.resolver->clients, GUINT_TO_POINTER(client))
                             : NULL;
}

void fake_host_set_upstream(uint16_t port)
{
        fake.host_upstream = (ResolverUpstream){.family = AF_INET, .port = port};
        fake.resolver->observer->upstreams_changed(fake.resolver->userdata);
}

unsigned fake_host_asked(void)
{
        return fake.n_upstreams == 1 ? fake.upstreams[0].port : 0;
}

int fake_host_resolve(uint32_t client, const char *name, uint32_t address, uint32_t ttl_sec)
{
        const Resolver *r = fake.resolver;

        g_assert(r);
        return r->observer->allowed(client, name, address, ttl_sec, r->userdata);
}
