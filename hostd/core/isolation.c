/* SPDX-License-Identifier: MIT */

/* The rules of all sandboxes: what the store says is loaded into the kernel. */

#include "core/isolation-private.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <pwd.h>

/* -- what a sandbox has ------------------------------------------------------------------------ */

static uint32_t address_of(const Isolation *i, const SandboxRow *row)
{
        return network_address(&i->range, row->address_number);
}

uint32_t isolation_address(const Sandbox *s)
{
        return address_of(s->manager->isolation, s->row);
}

void isolation_interface(const Sandbox *s, char ret[FIREWALL_INTERFACE_SIZE])
{
        firewall_interface(s->row->id.text, ret);
}

Sandbox *isolation_sandbox_of(const Manager *m, uint32_t address)
{
        GHashTableIter iter;
        void *object;

        g_hash_table_iter_init(&iter, m->objects[OBJECT_SANDBOX]);
        while (g_hash_table_iter_next(&iter, NULL, &object)) {
                Sandbox *s = object;
                if (s->row->address_number && isolation_address(s) == address)
                        return s;
        }
        return NULL;
}

/* A profile that is not there any more lets through nothing: see add_missing_profiles(). */
static void describe(const Isolation *i, const SandboxRow *row, GArray **ret_ports,
                     FirewallSandbox *ret)
{
        uint32_t address = address_of(i, row);

        *ret_ports = network_ports_of(row);
        *ret = (FirewallSandbox){.id = row->id.text,
                                 .address = address,
                                 .profile = row->network,
                                 .ports = (const FirewallPort *) (void *) (*ret_ports)->data,
                                 .n_ports = (*ret_ports)->len};
        network_mac(address, ret->mac);
}

/* -- loading ----------------------------------------------------------------------------------- */

GPtrArray *isolation_sandboxes(const Manager *m)
{
        GPtrArray *list = manager_list(m, OBJECT_SANDBOX);

        for (guint i = list->len; i-- > 0;)
                if (!((Sandbox *) list->pdata[i])->row->address_number)
                        (void) g_ptr_array_remove_index(list, i);
        return list;
}

static void add_profile(GArray *profiles, const FirewallProfile *p)
{
        (void) g_array_append_val(profiles, *p);
}

/* One that a sandbox has and networks.conf has not lets through nothing, not even to where it let
 * through before. */
static void add_missing_profiles(GArray *profiles, const GPtrArray *sandboxes)
{
        for (guint k = 0; k < sandboxes->len; k++) {
                const Sandbox *s = sandboxes->pdata[k];
                bool is_there = false;
                for (guint j = 0; j < profiles->len; j++)
                        is_there |= g_str_equal(g_array_index(profiles, FirewallProfile, j).name,
                                                s->row->network);
                if (is_there)
                        continue;
                log_warning("sandbox '%s' has network profile '%s', which networks.conf has not: "
                            "it reaches nothing",
                            s->row->name, s->row->network);
                const FirewallProfile missing = {
                        .name = s->row->network, .connections_max = 1, .connections_per_sec = 1};
                add_profile(profiles, &missing);
        }
}

static int load_rules(Isolation *i, Fault *f)
{
        g_autoptr(GPtrArray) sandboxes = isolation_sandboxes(i->manager);
        g_autoptr(GArray) profiles = g_array_new(FALSE, FALSE, sizeof(FirewallProfile));
        g_autofree FirewallSandbox *described = g_new0(FirewallSandbox, sandboxes->len + 1);
        g_autoptr(GPtrArray) ports = g_ptr_array_new_with_free_func((GDestroyNotify) g_array_unref);
        size_t n;
        const Profile *list = profiles_list(i->profiles, &n);

        for (size_t k = 0; k < n; k++)
                add_profile(profiles, &list[k].rules);
        add_missing_profiles(profiles, sandboxes);
        for (guint k = 0; k < sandboxes->len; k++) {
                GArray *its_ports;
                describe(i, ((Sandbox *) sandboxes->pdata[k])->row, &its_ports, described + k);
                g_ptr_array_add(ports, its_ports);
        }
        return firewall_load(i->firewall, (const FirewallProfile *) (void *) profiles->data,
                             profiles->len, described, sandboxes->len,
                             (const AddressRange *) (void *) i->local->data, i->local->len, f);
}

/* -- for core ---------------------------------------------------------------------------------- */

const Profiles *manager_profiles(const Manager *m)
{
        return m->isolation->profiles;
}

const char *manager_network_fault(const Manager *m)
{
        const Isolation *i = m->isolation;

        if (fault_is_set(&i->rules_fault))
                return i->rules_fault.message;
        return fault_is_set(&i->network_fault) ? i->network_fault.message : "";
}

void isolation_tell(const Isolation *i)
{
        const Manager *m = i->manager;

        if (m->observer)
                m->observer->state_changed(m->observer_userdata);
}

bool manager_is_starting(const Manager *m)
{
        return m->isolation->is_ensuring && !m->isolation->was_ensured;
}

Firewall *isolation_firewall(const Manager *m)
{
        return m->isolation->firewall;
}

Resolver *isolation_resolver(const Manager *m)
{
        return m->isolation->resolver;
}

static void add_own_address(GArray *host, const struct sockaddr *address)
{
        uint32_t number;

        if (!address || address->sa_family != AF_INET)
                return;
        number = ntohl(((const struct sockaddr_in *) (const void *) address)->sin_addr.s_addr);
        (void) g_array_append_val(host, number);
}

/* With the broadcast addresses of its networks. */
static void find_own_addresses(GArray *host)
{
        struct ifaddrs *list = NULL;

        (void) g_array_set_size(host, 0);
        if (getifaddrs(&list) < 0)
                return;
        for (const struct ifaddrs *a = list; a; a = a->ifa_next) {
                add_own_address(host, a->ifa_addr);
                if (a->ifa_flags & IFF_BROADCAST)
                        add_own_address(host, a->ifa_broadaddr);
        }
        freeifaddrs(list);
}

void isolation_fill_question(const Manager *m, ProfileQuestion *q)
{
        const Isolation *i = m->isolation;

        find_own_addresses(i->host);
        q->host = (const uint32_t *) (void *) i->host->data;
        q->n_host = i->host->len;
        q->range = i->range;
        q->gateway = network_address(&i->range, 0);
        q->local = (const AddressRange *) (void *) i->local->data;
        q->n_local = i->local->len;
}

void isolation_probe(Sandbox *s)
{
        Fault f = {0};

        if (links_probe(s->manager->isolation->links, isolation_address(s), &f) < 0)
                log_debug("sandbox '%s' cannot be asked for its address: %s", s->row->name,
                          f.message);
}

/* The one after the last: an address rests as long as can be before another sandbox has it. */
int isolation_new_address(Manager *m, unsigned *ret, Fault *f)
{
        Isolation *i = m->isolation;
        unsigned leases = (unsigned) m->config->network_leases;
        g_autoptr(GHashTable) used = g_hash_table_new(NULL, NULL);
        g_autoptr(GPtrArray) sandboxes = isolation_sandboxes(m);

        for (guint k = 0; k < sandboxes->len; k++)
                (void) g_hash_table_add(
                        used,
                        GUINT_TO_POINTER(((Sandbox *) sandboxes->pdata[k])->row->address_number));
        for (unsigned k = 0; k < leases; k++) {
                unsigned number = (i->last_number + k) % leases + 1;
                if (g_hash_table_contains(used, GUINT_TO_POINTER(number)))
                        continue;
                i->last_number = number;
                *ret = number;
                return 0;
        }
        return fault_set(f, FAULT_LIMITS_EXCEEDED,
                         "all %u addresses of the sandboxes' network are taken (network_leases)",
                         leases);
}

int isolation_check(const Manager *m, Fault *f)
{
        const char *why = manager_network_fault(m);

        return *why ? fault_set(f, FAULT_NETWORK_FAILED, "%s", why) : 0;
}

/* Written, and then read back from the kernel. */
int isolation_set_row(Manager *m, const SandboxRow *row, Fault *f)
{
        Isolation *i = m->isolation;
        g_autoptr(GArray) ports = NULL;
        FirewallSandbox described;
        int r = isolation_check(m, f);

        if (r < 0)
                return r;
        describe(i, row, &ports, &described);
        (void) g_hash_table_remove(i->leaving, row->id.text);
        r = firewall_set(i->firewall, &described, f);
        if (r >= 0)
                r = firewall_verify(i->firewall, row->id.text, f);
        return r < 0 ? r : isolation_tell_resolver(i, row, f);
}

int isolation_set(Sandbox *s, Fault *f)
{
        return isolation_set_row(s->manager, s->row, f);
}

int isolation_verify_rules(const Sandbox *s, Fault *f)
{
        const Isolation *i = s->manager->isolation;

        if (fault_is_set(&i->rules_fault))
                return fault_set(f, FAULT_NETWORK_FAILED, "%s", i->rules_fault.message);
        return firewall_verify(i->firewall, s->row->id.text, f);
}

void isolation_remove_row(Manager *m, const SandboxRow *row)
{
        Isolation *i = m->isolation;
        Fault f = {0};

        if (!i->firewall)
                return;
        if (i->resolver)
                resolver_remove_client(i->resolver, address_of(i, row));
        if (firewall_remove(i->firewall, row->id.text, &f) < 0) {
                log_error("the rules of sandbox '%s' cannot be removed: %s", row->name, f.message);
                (void) g_hash_table_add(i->leaving, g_strdup(row->id.text));
                isolation_retry(i);
        }
}

void isolation_remove(Sandbox *s)
{
        s->is_cut_off = false;
        isolation_remove_row(s->manager, s->row);
}

int isolation_remove_leaving(Isolation *i, Fault *f)
{
        GHashTableIter iter;
        void *id;
        int r = 0;

        g_hash_table_iter_init(&iter, i->leaving);
        while (r >= 0 && g_hash_table_iter_next(&iter, &id, NULL)) {
                r = firewall_remove(i->firewall, id, f);
                if (r >= 0)
                        g_hash_table_iter_remove(&iter);
        }
        return r;
}

/* -- beginning and end ------------------------------------------------------------------------- */

int isolation_load(Isolation *i, Fault *f)
{
        g_autoptr(GArray) local = NULL;
        int r = links_networks(i->links, &local, f);

        if (r < 0)
                return r;
        g_array_unref(i->local);
        i->local = g_steal_pointer(&local);
        r = load_rules(i, f);
        if (r >= 0)
                r = firewall_verify_all(i->firewall, f);
        i->is_loaded = r >= 0;
        if (r >= 0)
                isolation_tell_resolver_all(i);
        return r;
}

static int open_kernel(Isolation *i, Fault *f)
{
        Manager *m = i->manager;
        const Config *c = m->config;
        g_autofree char *directory = g_build_filename(c->runtime_directory, "firewall", NULL);
        const struct passwd *user = getpwnam(RESOLVER_USER);
        const FirewallSettings settings = {.directory = directory,
                                           .bridge = c->network_bridge,
                                           .range = i->range,
                                           .gateway = network_address(&i->range, 0),
                                           .resolver_port = RESOLVER_PORT,
                                           .resolver_uid = user ? user->pw_uid : 0};
        int r = firewall_new(&settings, &i->firewall, f);

        if (r >= 0)
                r = links_new(m->event, FIREWALL_INTERFACE_PREFIX, c->network_bridge,
                              &isolation_observer, i, &i->links, f);
        return r < 0 ? r : isolation_load(i, f);
}

int isolation_new(Manager *m, Fault *f)
{
        Isolation *i = g_new0(Isolation, 1);
        int r;

        m->isolation = i;
        i->manager = m;
        i->local = g_array_new(FALSE, FALSE, sizeof(AddressRange));
        i->host = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        i->leaving = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        (void) fault_set(&i->network_fault, FAULT_NETWORK_FAILED, "libvirtd does not answer");
        r = address_range_parse(m->config->network_range, &i->range, f);
        if (r >= 0)
                r = profiles_load(m->config->networks_file, &i->profiles, f);
        if (r < 0)
                return r;
        g_autoptr(GPtrArray) sandboxes = isolation_sandboxes(m);
        for (guint k = 0; k < sandboxes->len; k++)
                i->last_number =
                        MAX(i->last_number, ((Sandbox *) sandboxes->pdata[k])->row->address_number);
        Fault why = {0};
        r = open_kernel(i, &why);
        if (r < 0)
                isolation_rules_changed(i, r, &why);
        return 0;
}

void isolation_reload(Manager *m)
{
        Isolation *i = m->isolation;
        g_autoptr(Profiles) profiles = NULL;
        Fault f = {0};

        if (profiles_load(m->config->networks_file, &profiles, &f) < 0) {
                log_error("the old network profiles are kept: %s", f.message);
                return;
        }
        Profiles *old = i->profiles;
        i->profiles = g_steal_pointer(&profiles);
        if (i->is_loaded && load_rules(i, &f) < 0) {
                log_error("the old network profiles are kept: %s", f.message);
                (void) profiles_free(i->profiles);
                i->profiles = old;
                return;
        }
        (void) profiles_free(old);
        isolation_tell_resolver_all(i);
}

void isolation_free(Manager *m)
{
        Isolation *i = m->isolation;

        if (!i)
                return;
        i->retry = sd_event_source_disable_unref(i->retry);
        i->plug_retry = sd_event_source_disable_unref(i->plug_retry);
        i->ensure_again = sd_event_source_disable_unref(i->ensure_again);
        i->server = network_server_free(i->server);
        i->resolver = resolver_free(i->resolver);
        i->links = links_free(i->links);
        i->firewall = firewall_free(i->firewall);
        i->profiles = profiles_free(i->profiles);
        g_array_unref(i->local);
        g_array_unref(i->host);
        g_hash_table_unref(i->leaving);
        m->isolation = NULL;
        g_free(i);
}
