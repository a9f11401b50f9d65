/* SPDX-License-Identifier: MIT */

/* libvirt's network, and the NICs that are plugged into domains. */

#include "tests/fake/host/state.h"

#include <string.h>

void fake_nic_free(void *data)
{
        FakeNic *nic = data;

        g_free(nic->network);
        g_free(nic->interface);
        g_free(nic);
}

FakeNic *fake_nic_add(FakeDomain *d, const char *network, const char *interface, const char *mac)
{
        FakeNic *nic = g_new0(FakeNic, 1);

        nic->network = g_strdup(network);
        nic->interface = g_strdup(interface);
        (void) g_strlcpy(nic->mac, mac, sizeof nic->mac);
        g_ptr_array_add(d->nics, nic);
        return nic;
}

static FakeNic *find_nic(const FakeDomain *d, const char *mac)
{
        for (guint i = 0; i < d->nics->len; i++)
                if (g_str_equal(((FakeNic *) d->nics->pdata[i])->mac, mac))
                        return d->nics->pdata[i];
        return NULL;
}

static void tell_devices(const FakeDomain *d)
{
        fake_push_news((FakeNews){.kind = FAKE_NEWS_DEVICES, .id = g_strdup(d->id)});
}

static void unplug(FakeDomain *d, FakeNic *nic)
{
        fake_link_remove(nic->interface);
        (void) g_ptr_array_remove(d->nics, nic);
}

void fake_unplug_all(FakeDomain *d)
{
        while (d->nics->len > 0)
                unplug(d, d->nics->pdata[0]);
}

/* -- the network ------------------------------------------------------------------------------ */

int hypervisor_ensure_network(G_GNUC_UNUSED Hypervisor *h, const NetworkSpec *spec, Fault *f)
{
        int r = fake_enter("hypervisor_ensure_network", f);

        if (r < 0)
                return r;
        if (fake.network_is_foreign)
                return fake_leave(fault_set(f, FAULT_EXISTS,
                                            "libvirt's network '%s' was not made by fluid",
                                            spec->name),
                                  f);
        if (!fake.bridge || !g_hash_table_contains(fake_links(), spec->bridge)) {
                g_free(fake.bridge);
                fake.bridge = g_strdup(spec->bridge);
                (void) fake_link_add(spec->bridge, "");
        }
        return fake_leave(0, f);
}

static int check_network(Fault *f)
{
        if (fake.bridge && g_hash_table_contains(fake_links(), fake.bridge))
                return 0;
        return fault_set(f, FAULT_HYPERVISOR_FAILED, "the network is not active");
}

/* -- NICs ------------------------------------------------------------------------------------- */

static int check_is_on(const FakeDomain *d, Fault *f)
{
        if (fake_is_on(d))
                return 0;
        return fault_set(f, FAULT_WRONG_STATE, "domain %s%s is not running", DOMAIN_PREFIX, d->id);
}

/* As libvirt makes it. */
static void plug(FakeDomain *d, const DomainNic *nic)
{
        Link *link = fake_link_add(nic->interface, fake.bridge);

        g_assert(mac_parse(nic->mac, link->mac, NULL) == 0);
        link->mac[0] = 0xfe;
        link->is_isolated = true;
        (void) fake_nic_add(d, nic->network, nic->interface, nic->mac);
        tell_devices(d);
}

static int check_tap(const char *name, Fault *f)
{
        const Link *link = g_hash_table_lookup(fake_links(), name);

        if (link && link->is_isolated && g_str_equal(link->master, fake.bridge))
                return 0;
        return fault_set(f, FAULT_HYPERVISOR_FAILED, "tap '%s' is not an isolated port", name);
}

static int attach(FakeDomain *d, const DomainNic *nic, Fault *f)
{
        const FakeNic *present = find_nic(d, nic->mac);
        int r = check_is_on(d, f);

        if (r == 0)
                r = check_network(f);
        if (r < 0)
                return r;
        if (present && (!g_str_equal(present->interface, nic->interface) ||
                        !g_str_equal(present->network, nic->network)))
                return fault_set(f, FAULT_EXISTS, "domain %s%s has a NIC %s already", DOMAIN_PREFIX,
                                 d->id, nic->mac);
        if (!present && g_hash_table_contains(fake_links(), nic->interface))
                return fault_set(f, FAULT_HYPERVISOR_FAILED, "there is a tap '%s' already",
                                 nic->interface);
        if (!present)
                plug(d, nic);
        r = fake_count("the look at a NIC that was plugged in", f);
        return r < 0 ? r : check_tap(nic->interface, f);
}

int hypervisor_attach_nic(G_GNUC_UNUSED Hypervisor *h, const char *id, const DomainNic *nic,
                          Fault *f)
{
        FakeDomain *d;
        int r = fake_enter_domain("hypervisor_attach_nic", id, &d, f);

        return r < 0 ? r : fake_leave(attach(d, nic, f), f);
}

static int set_link(FakeDomain *d, const char *mac, bool is_up, Fault *f)
{
        FakeNic *nic = find_nic(d, mac);
        int r = check_is_on(d, f);

        if (r == 0 && !nic)
                r = fault_set(f, FAULT_NOT_FOUND, "domain %s%s has no NIC %s", DOMAIN_PREFIX, d->id,
                              mac);
        if (r < 0 || nic->has_cable == is_up)
                return r;
        r = *nic->network ? check_network(f)
                          : fault_set(f, FAULT_HYPERVISOR_FAILED, "it has no cable");
        if (r < 0)
                return r;
        nic->has_cable = is_up;
        tell_devices(d);
        return 0;
}

int hypervisor_set_nic_link(G_GNUC_UNUSED Hypervisor *h, const char *id, const char *mac,
                            bool is_up, Fault *f)
{
        FakeDomain *d;
        int r = fake_enter_domain("hypervisor_set_nic_link", id, &d, f);

        return r < 0 ? r : fake_leave(set_link(d, mac, is_up, f), f);
}

static int detach(FakeDomain *d, const char *mac, Fault *f)
{
        FakeNic *nic = d && fake_is_on(d) ? find_nic(d, mac) : NULL;

        if (!nic)
                return 0;
        if (domain_stands_still(d->state))
                return fault_set(f, FAULT_WRONG_STATE,
                                 "domain %s%s is paused, so that its guest cannot let go of its "
                                 "NIC %s; resume it first",
                                 DOMAIN_PREFIX, d->id, mac);
        if (!fake.guests_let_go)
                return fault_set(f, FAULT_TIMED_OUT,
                                 "the guest of domain %s%s did not let go of its NIC %s",
                                 DOMAIN_PREFIX, d->id, mac);
        unplug(d, nic);
        tell_devices(d);
        return 0;
}

int hypervisor_detach_nic(G_GNUC_UNUSED Hypervisor *h, const char *id, const char *mac,
                          G_GNUC_UNUSED uint64_t timeout_usec, Fault *f)
{
        int r = fake_enter("hypervisor_detach_nic", f);

        return r < 0 ? r : fake_leave(detach(fake_domain_find(id), mac, f), f);
}

static void domain_nic_free(void *data)
{
        DomainNic *nic = data;

        g_free(nic->network);
        g_free(nic->interface);
        g_free(nic);
}

int hypervisor_domain_nics(G_GNUC_UNUSED Hypervisor *h, const char *id, GPtrArray **ret, Fault *f)
{
        FakeDomain *d;
        int r = fake_enter_domain("hypervisor_domain_nics", id, &d, f);

        if (r < 0)
                return r;
        r = check_is_on(d, f);
        if (r < 0)
                return fake_leave(r, f);
        *ret = g_ptr_array_new_with_free_func(domain_nic_free);
        for (guint i = 0; i < d->nics->len; i++) {
                const FakeNic *nic = d->nics->pdata[i];
                DomainNic *copy = g_new0(DomainNic, 1);

                copy->network = g_strdup(nic->network);
                copy->interface = g_strdup(nic->interface);
                memcpy(copy->mac, nic->mac, sizeof copy->mac);
                g_ptr_array_add(*ret, copy);
        }
        return fake_leave(0, f);
}

/* -- what outlives the daemon ----------------------------------------------------------------- */

GVariant *fake_nics_save(const FakeDomain *d)
{
        GVariantBuilder list;

        g_variant_builder_init(&list, G_VARIANT_TYPE(FAKE_NICS_TYPE));
        for (guint i = 0; i < d->nics->len; i++) {
                const FakeNic *nic = d->nics->pdata[i];

                g_variant_builder_add(&list, "(sssb)", nic->network, nic->interface, nic->mac,
                                      nic->has_cable);
        }
        return g_variant_builder_end(&list);
}

void fake_nics_load(FakeDomain *d, GVariant *saved)
{
        const char *network, *interface, *mac;
        gboolean has_cable;
        GVariantIter i;

        g_variant_iter_init(&i, saved);
        while (g_variant_iter_next(&i, "(&s&s&sb)", &network, &interface, &mac, &has_cable))
                fake_nic_add(d, network, interface, mac)->has_cable = has_cable;
}

static GVariant *save_links(void)
{
        GVariantBuilder list;
        GHashTableIter i;
        gpointer value;

        g_variant_builder_init(&list, G_VARIANT_TYPE("a(sssbb)"));
        g_hash_table_iter_init(&i, fake_links());
        while (g_hash_table_iter_next(&i, NULL, &value)) {
                const Link *link = value;
                char mac[MAC_TEXT_MAX];

                mac_format(link->mac, mac);
                g_variant_builder_add(&list, "(sssbb)", link->name, mac, link->master, link->is_up,
                                      link->is_isolated);
        }
        return g_variant_builder_end(&list);
}

static GVariant *save_texts(GHashTable *texts)
{
        GVariantBuilder list;
        GHashTableIter i;
        gpointer key, text;

        g_variant_builder_init(&list, G_VARIANT_TYPE("a{ss}"));
        if (texts) {
                g_hash_table_iter_init(&i, texts);
                while (g_hash_table_iter_next(&i, &key, &text))
                        g_variant_builder_add(&list, "{ss}", key, text);
        }
        return g_variant_builder_end(&list);
}

GVariant *fake_network_save(void)
{
        const FakeTables *t = &fake.tables;

        return g_variant_new("(s@a(sssbb)b@a{ss}@a{ss}@a{ss}s)", fake.bridge ? fake.bridge : "",
                             save_links(), t->sandboxes != NULL, save_texts(t->profiles),
                             save_texts(t->sandboxes), save_texts(t->allowed),
                             t->local ? t->local : "");
}

static void load_texts(GHashTable *texts, GVariant *saved)
{
        const char *key, *text;
        GVariantIter i;

        g_variant_iter_init(&i, saved);
        while (g_variant_iter_next(&i, "{&s&s}", &key, &text))
                (void) g_hash_table_replace(texts, g_strdup(key), g_strdup(text));
}

static void load_links(GVariant *saved)
{
        const char *name, *mac, *master;
        gboolean is_up, is_isolated;
        GVariantIter i;

        g_variant_iter_init(&i, saved);
        while (g_variant_iter_next(&i, "(&s&s&sbb)", &name, &mac, &master, &is_up, &is_isolated)) {
                Link *link = fake_link_add(name, master);

                g_assert(mac_parse(mac, link->mac, NULL) == 0);
                link->is_up = is_up;
                link->is_isolated = is_isolated;
        }
}

void fake_network_load(GVariant *saved)
{
        g_autoptr(GVariant) links = NULL, profiles = NULL, sandboxes = NULL, allowed = NULL;
        const char *bridge, *local;
        gboolean has_tables;

        g_variant_get(saved, "(&s@a(sssbb)b@a{ss}@a{ss}@a{ss}&s)", &bridge, &links, &has_tables,
                      &profiles, &sandboxes, &allowed, &local);
        fake.bridge = *bridge ? g_strdup(bridge) : NULL;
        load_links(links);
        if (!has_tables)
                return;
        fake_tables_init(&fake.tables);
        load_texts(fake.tables.profiles, profiles);
        load_texts(fake.tables.sandboxes, sandboxes);
        load_texts(fake.tables.allowed, allowed);
        g_free(fake.tables.local);
        fake.tables.local = g_strdup(local);
}

/* -- the script ------------------------------------------------------------------------------- */

void fake_host_set_foreign_network(bool is_foreign)
{
        fake_lock();
        fake.network_is_foreign = is_foreign;
        fake_unlock();
}

void fake_host_set_let_go(bool works)
{
        fake_lock();
        fake.guests_let_go = works;
        fake_unlock();
}

void fake_host_add_nic(const char *id, const char *network, const char *interface, const char *mac)
{
        FakeDomain *d;

        fake_lock();
        d = fake_domain_find(id);
        g_assert(d && fake_is_on(d));
        fake_nic_add(d, network, interface, mac)->has_cable = true;
        if (*interface) {
                Link *link = fake_link_add(interface, "br0");

                g_assert(mac_parse(mac, link->mac, NULL) == 0);
        }
        tell_devices(d);
        fake_unlock();
}

unsigned fake_host_nics(const char *id)
{
        const FakeDomain *d;
        unsigned n;

        fake_lock();
        d = fake_domain_find(id);
        n = d ? d->nics->len : 0;
        fake_unlock();
        return n;
}

bool fake_host_nic(const char *id, const char *mac, bool *ret_has_cable)
{
        const FakeDomain *d;
        const FakeNic *nic;

        fake_lock();
        d = fake_domain_find(id);
        nic = d ? find_nic(d, mac) : NULL;
        if (nic)
                *ret_has_cable = nic->has_cable;
        fake_unlock();
        return nic;
}

/* Without the tables it is filtered by nobody; with them, and no rules of its own, it is mute. */
static char *leak_of(const FakeDomain *d, const FakeNic *nic)
{
        const Link *link = g_hash_table_lookup(fake_links(), nic->interface);

        if (!nic->has_cable || d->state != DOMAIN_RUNNING || (link && !link->is_up))
                return NULL;
        if (!g_str_has_prefix(nic->interface, "fl-"))
                return g_strdup_printf("%s has an interface '%s'", d->id, nic->interface);
        if (!fake.tables.sandboxes)
                return g_strdup_printf("%s runs without rules", d->id);
        if (link && *link->master &&
            (!link->is_isolated || g_strcmp0(link->master, fake.bridge) != 0))
                return g_strdup_printf("the tap of %s is in '%s'", d->id, link->master);
        return NULL;
}

char *fake_leak(void)
{
        GHashTableIter i;
        gpointer value;
        char *leak = NULL;

        g_hash_table_iter_init(&i, fake_domains());
        while (!leak && g_hash_table_iter_next(&i, NULL, &value)) {
                const FakeDomain *d = value;

                for (guint k = 0; !leak && k < d->nics->len; k++)
                        leak = leak_of(d, d->nics->pdata[k]);
        }
        return leak;
}

char *fake_host_leak(void)
{
        char *leak;

        fake_lock();
        leak = fake_leak();
        fake_unlock();
        return leak;
}

char *fake_host_leaked(void)
{
        char *leak;

        fake_lock();
        leak = g_steal_pointer(&fake.leak);
        fake_unlock();
        return leak;
}
