/* SPDX-License-Identifier: MIT */
#include "host/firewall-private.h"
#include "host/firewall-text.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LOAD_TRIES 5

static int check_settings(const FirewallSettings *s, Fault *f)
{
        if (!hole_interface_is_valid(s->bridge) ||
            g_str_has_prefix(s->bridge, FIREWALL_INTERFACE_PREFIX) || g_str_equal(s->bridge, "lo"))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.80s' cannot be the name of the sandboxes' bridge", s->bridge);
        if (s->directory[0] != '/' || strpbrk(s->directory, "\"\\*?[]{}~\n"))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.200s' cannot hold the rules: use a full path without quotes "
                                 "and wildcards",
                                 s->directory);
        if (s->range.prefix_length < 8 || s->range.prefix_length > 30 ||
            !address_range_contains(&s->range, s->gateway))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "the sandboxes' range has to have 2 to 24 bits for hosts and hold "
                                 "the gateway");
        if (s->resolver_port == 0 || s->resolver_port == 53)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "%u cannot be the resolver's port: use another than 0 and 53",
                                 s->resolver_port);
        return 0;
}

int firewall_new(const FirewallSettings *settings, Firewall **ret, Fault *f)
{
        int r = check_settings(settings, f);

        if (r < 0)
                return r;
        g_autoptr(Firewall) fw = g_new0(Firewall, 1);
        fw->directory = g_strdup(settings->directory);
        fw->bridge = g_strdup(settings->bridge);
        fw->range = settings->range;
        fw->gateway = settings->gateway;
        fw->resolver_port = settings->resolver_port;
        fw->resolver_uid = settings->resolver_uid;
        fw->model = model_new();
        fw->owners = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        if ((r = kernel_open(fw, f)) < 0)
                return r;
        *ret = TAKE_PTR(fw);
        return 0;
}

Firewall *firewall_free(Firewall *fw)
{
        if (!fw)
                return NULL;
        kernel_close(fw);
        g_clear_pointer(&fw->structure, g_hash_table_unref);
        g_hash_table_unref(fw->owners);
        (void) model_free(fw->model);
        g_free(fw->directory);
        g_free(fw->bridge);
        g_free(fw);
        return NULL;
}

/* -- all --------------------------------------------------------------------------------------- */

static void take_count(const Element *e, void *userdata)
{
        g_hash_table_add(userdata, g_memdup2(e, sizeof *e));
}

/* What the kernel has counted; without its rules, nothing. */
static GHashTable *read_counts(Firewall *fw)
{
        static const FirewallSet sets[] = {SET_FORGED, SET_PROTOCOL, SET_HOST,
                                           SET_REACH,  SET_LIMIT,    SET_PASSED};
        GHashTable *counts = g_hash_table_new_full(element_hash, element_same_key, g_free, NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(sets); i++)
                (void) kernel_list(fw, sets[i], take_count, counts, NULL);
        return counts;
}

static FirewallCount count_of(GHashTable *counts, const Sandbox *s, FirewallSet set)
{
        Element key = sandbox_element(s, set);
        const Element *e = g_hash_table_lookup(counts, &key);

        return e ? e->count : (FirewallCount){0};
}

/* Lines for what is left of the time. */
static void compose_allowed(const Sandbox *s, uint32_t address, const Allowed *allowed, gint64 now,
                            GString *out)
{
        const struct {
                FirewallSet set;
                gint64 left_sec;
        } parts[] = {{SET_NAMES, (allowed->begin_until - now) / G_USEC_PER_SEC},
                     {SET_NAMED, (allowed->open_until - now) / G_USEC_PER_SEC}};
        char from[ADDRESS_TEXT_MAX], to[ADDRESS_TEXT_MAX];

        address_format(s->address, from);
        address_format(address, to);
        for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
                if (parts[i].left_sec > 0)
                        g_string_append_printf(out,
                                               "add element inet fluid %s { %s . %s timeout "
                                               "%" G_GINT64_FORMAT "s }\n",
                                               set_names[parts[i].set].name, from, to,
                                               parts[i].left_sec);
}

static void compose_names(const Sandbox *s, GString *out)
{
        gint64 now = g_get_monotonic_time();
        GHashTableIter i;
        gpointer address, allowed;

        g_hash_table_iter_init(&i, s->names);
        while (g_hash_table_iter_next(&i, &address, &allowed))
                compose_allowed(s, GPOINTER_TO_UINT(address), allowed, now, out);
}

static void compose_all(Firewall *fw, const Model *m, GString *out)
{
        g_autoptr(GHashTable) counts = read_counts(fw);
        g_autoptr(GString) lines = g_string_new(NULL);
        GHashTableIter i;
        gpointer s;

        compose_tables(fw, m, out);
        g_hash_table_iter_init(&i, m->sandboxes);
        while (g_hash_table_iter_next(&i, NULL, &s)) {
                FirewallCounters c = {
                        .passed = count_of(counts, s, SET_PASSED),
                        .dropped =
                                {
                                        [FIREWALL_FORGED] = count_of(counts, s, SET_FORGED),
                                        [FIREWALL_PROTOCOL] = count_of(counts, s, SET_PROTOCOL),
                                        [FIREWALL_HOST] = count_of(counts, s, SET_HOST),
                                        [FIREWALL_REACH] = count_of(counts, s, SET_REACH),
                                        [FIREWALL_LIMIT] = count_of(counts, s, SET_LIMIT),
                                },
                };
                compose_sandbox(s, &c, lines);
                compose_names(s, lines);
        }
        compose_grouped(lines, out);
}

/* Loads, and remembers what the kernel then has; once more where somebody else wrote in between. */
static int load_model(Firewall *fw, const Model *m, Fault *f)
{
        for (unsigned try = 0; try < LOAD_TRIES; try++) {
                g_autoptr(GString) text = g_string_new(NULL);
                g_autoptr(GHashTable) structure = NULL;
                uint32_t before = 0, after = 0;
                int r;

                compose_all(fw, m, text);
                if ((r = kernel_generation(fw, &before, f)) < 0 ||
                    (r = kernel_run(fw, text->str, f)) < 0 ||
                    (r = structure_read(fw, &structure, f)) < 0 ||
                    (r = kernel_generation(fw, &after, f)) < 0)
                        return r;
                if (after != before + 1)
                        continue;
                g_clear_pointer(&fw->structure, g_hash_table_unref);
                fw->structure = TAKE_PTR(structure);
                return 0;
        }
        return fault_set(f, FAULT_BUSY,
                         "the kernel's rules change all the time: somebody else "
                         "writes nftables in a loop");
}

static int model_from(Firewall *fw, const FirewallProfile *profiles, size_t n_profiles,
                      const FirewallSandbox *sandboxes, size_t n_sandboxes,
                      const AddressRange *local, size_t n_local, GHashTable *owners, Model **ret,
                      Fault *f)
{
        g_autoptr(Model) m = model_new();
        int r;

        for (size_t i = 0; i < n_profiles; i++)
                if ((r = model_add_profile(m, &profiles[i], f)) < 0)
                        return r;
        for (size_t i = 0; i < n_sandboxes; i++) {
                g_autoptr(Sandbox) s = NULL;
                if ((r = sandbox_new(fw, m, &sandboxes[i], &s, f)) < 0)
                        return r;
                if (g_hash_table_contains(m->sandboxes, s->id.text))
                        return fault_set(f, FAULT_EXISTS, "sandbox %s is there twice", s->id.text);
                if ((r = owners_add(owners, s, f)) < 0)
                        return r;
                char *key = s->id.text;
                g_hash_table_insert(m->sandboxes, key, TAKE_PTR(s));
        }
        model_set_local(m, local, n_local);
        *ret = TAKE_PTR(m);
        return 0;
}

static unsigned count_localhost_ports(const Model *m)
{
        GHashTableIter i;
        gpointer s;
        unsigned n = 0;

        g_hash_table_iter_init(&i, m->sandboxes);
        while (g_hash_table_iter_next(&i, NULL, &s))
                n += bridge_localhost_ports(s);
        return n;
}

int firewall_load(Firewall *fw, const FirewallProfile *profiles, size_t n_profiles,
                  const FirewallSandbox *sandboxes, size_t n_sandboxes, const AddressRange *local,
                  size_t n_local, Fault *f)
{
        g_autoptr(GHashTable) owners = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(Model) m = NULL;
        int r = model_from(fw, profiles, n_profiles, sandboxes, n_sandboxes, local, n_local, owners,
                           &m, f);

        if (r < 0 || (r = files_write_all(fw, m, f)) < 0)
                return r;
        if ((r = load_model(fw, m, f)) < 0) {
                if (fw->structure)
                        (void) files_write_all(fw, fw->model, NULL);
                return r;
        }
        (void) model_free(fw->model);
        fw->model = TAKE_PTR(m);
        g_hash_table_unref(fw->owners);
        fw->owners = TAKE_PTR(owners);
        fw->localhost_ports = count_localhost_ports(fw->model);
        return bridge_prepare(fw, true, f);
}

int firewall_restore(Firewall *fw, Fault *f)
{
        int r;

        if (!fw->structure)
                return fault_set(f, FAULT_WRONG_STATE, "the rules were not loaded yet");
        if ((r = load_model(fw, fw->model, f)) < 0 || (r = files_write_all(fw, fw->model, f)) < 0)
                return r;
        return bridge_prepare(fw, true, f);
}

/* All but elements of sandboxes is compared whole, so it is read again. */
int tables_change(Firewall *fw, const char *text, bool *ret_has_changed, Fault *f)
{
        g_autoptr(GHashTable) structure = NULL;
        uint32_t before = 0, after = 0;
        int r;

        if ((r = files_write_tables(fw, fw->model, f)) < 0 ||
            (r = kernel_generation(fw, &before, f)) < 0 || (r = kernel_run(fw, text, f)) < 0)
                return r;
        *ret_has_changed = true;
        if ((r = structure_read(fw, &structure, f)) < 0 ||
            (r = kernel_generation(fw, &after, f)) < 0)
                return r;
        if (after != before + 1)
                return load_model(fw, fw->model, f);
        g_clear_pointer(&fw->structure, g_hash_table_unref);
        fw->structure = TAKE_PTR(structure);
        return 0;
}

int firewall_set_local(Firewall *fw, const AddressRange *local, size_t n_local, Fault *f)
{
        g_autoptr(GString) text = g_string_new("flush set inet fluid local\n");
        g_autoptr(GArray) old = g_array_copy(fw->model->local);

        model_set_local(fw->model, local, n_local);
        if (fw->model->local->len) {
                g_string_append(text, "add element inet fluid local ");
                compose_local(fw->model, text);
        }
        bool has_changed = false;
        int r = tables_change(fw, text->str, &has_changed, f);
        if (!has_changed) {
                model_set_local(fw->model, &g_array_index(old, AddressRange, 0), old->len);
                (void) files_write_tables(fw, fw->model, NULL);
        }
        return r;
}

/* -- one --------------------------------------------------------------------------------------- */

static void compose_forget_names(const Sandbox *s, GString *out);

static int change(Firewall *fw, const Sandbox *old, const Sandbox *next, Fault *f)
{
        g_autoptr(GString) text = g_string_new(NULL);

        compose_change(old, next, text);
        if (old && (!next || old->profile != next->profile))
                compose_forget_names(old, text);
        return text->len ? kernel_run(fw, text->str, f) : 0;
}

int firewall_set(Firewall *fw, const FirewallSandbox *sandbox, Fault *f)
{
        g_autoptr(Sandbox) s = NULL;
        int r;

        if (!fw->structure)
                return fault_set(f, FAULT_WRONG_STATE, "the rules were not loaded yet");
        if ((r = sandbox_new(fw, fw->model, sandbox, &s, f)) < 0)
                return r;
        Sandbox *old = g_hash_table_lookup(fw->model->sandboxes, s->id.text);
        if (old && (old->address != s->address || memcmp(old->mac, s->mac, MAC_SIZE) != 0))
                return fault_set(f, FAULT_EXISTS,
                                 "sandbox %s has another address or MAC already: remove it first",
                                 s->id.text);
        if ((r = owners_add(fw->owners, s, f)) < 0)
                return r;
        if ((r = files_write_sandbox(fw, s, f)) < 0 || (r = change(fw, old, s, f)) < 0) {
                owners_remove(fw->owners, s);
                if (old) {
                        (void) owners_add(fw->owners, old, NULL);
                        (void) files_write_sandbox(fw, old, NULL);
                } else
                        (void) files_remove_sandbox(fw, s->id.text, NULL);
                return r;
        }
        if (old) {
                owners_remove(fw->owners, old);
                if (old->profile == s->profile) {
                        g_hash_table_unref(s->names);
                        s->names = g_hash_table_ref(old->names);
                }
        }
        fw->localhost_ports += bridge_localhost_ports(s) - bridge_localhost_ports(old);
        char *key = s->id.text;
        g_hash_table_replace(fw->model->sandboxes, key, TAKE_PTR(s));
        return bridge_prepare(fw, false, f);
}

int firewall_remove(Firewall *fw, const char *id, Fault *f)
{
        Sandbox *old = g_hash_table_lookup(fw->model->sandboxes, id);
        uint32_t address;
        int r;

        if (!old)
                return 0;
        if ((r = files_remove_sandbox(fw, id, f)) < 0)
                return r;
        address = old->address;
        r = change(fw, old, NULL, NULL);
        owners_remove(fw->owners, old);
        fw->localhost_ports -= bridge_localhost_ports(old);
        (void) g_hash_table_remove(fw->model->sandboxes, old->id.text);
        /* Somebody took its elements away, or more than them: what is left goes with a new load. */
        if (r < 0 && (r = load_model(fw, fw->model, f)) < 0)
                return r;
        if ((r = bridge_prepare(fw, false, f)) < 0)
                return r;
        return connections_end(address, f);
}

/* -- names ------------------------------------------------------------------------------------- */

/* An element that may have ended by itself can be neither added nor deleted for sure: it is made to
 * be there first. */
static void compose_forget(const Sandbox *s, uint32_t address, GString *out)
{
        char from[ADDRESS_TEXT_MAX], to[ADDRESS_TEXT_MAX];

        address_format(s->address, from);
        address_format(address, to);
        for (FirewallSet set = SET_NAMES; set <= SET_NAMED; set++)
                g_string_append_printf(out,
                                       "add element inet fluid %s { %s . %s timeout 10s }\n"
                                       "delete element inet fluid %s { %s . %s }\n",
                                       set_names[set].name, from, to, set_names[set].name, from,
                                       to);
}

static void compose_forget_names(const Sandbox *s, GString *out)
{
        GHashTableIter i;
        gpointer address;

        g_hash_table_iter_init(&i, s->names);
        while (g_hash_table_iter_next(&i, &address, NULL))
                compose_forget(s, GPOINTER_TO_UINT(address), out);
}

/* The address whose time was over first; false where none's is. */
static bool find_over(const Sandbox *s, gint64 now, uint32_t *ret)
{
        GHashTableIter i;
        gpointer address, allowed;
        gint64 first = now;

        g_hash_table_iter_init(&i, s->names);
        while (g_hash_table_iter_next(&i, &address, &allowed))
                if (((Allowed *) allowed)->begin_until < first) {
                        first = ((Allowed *) allowed)->begin_until;
                        *ret = GPOINTER_TO_UINT(address);
                }
        return first < now;
}

int firewall_allow(Firewall *fw, const char *id, uint32_t address, uint32_t ttl_sec, Fault *f)
{
        g_autoptr(GString) text = g_string_new(NULL);
        Sandbox *s = g_hash_table_lookup(fw->model->sandboxes, id);
        gint64 now = g_get_monotonic_time();
        Allowed allowed = {
                .begin_until = now + (gint64) ttl_sec * G_USEC_PER_SEC,
                .open_until = now + (gint64) MAX(ttl_sec, FIREWALL_NAMED_SEC) * G_USEC_PER_SEC,
        };
        uint32_t over = 0;
        int r;

        if (!s)
                return fault_set(f, FAULT_NOT_FOUND, "sandbox '%.80s' has no rules", id);
        if (!s->profile->has_names || ttl_sec == 0)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "sandbox %s has no names, or the time is 0", id);
        const Allowed *known = g_hash_table_lookup(s->names, GUINT_TO_POINTER(address));
        if (known && known->begin_until >= allowed.begin_until)
                return 0;
        if (!known && g_hash_table_size(s->names) >= FIREWALL_NAMES_MAX) {
                if (!find_over(s, now, &over))
                        return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                         "sandbox %s has %d addresses of names at a time already",
                                         id, FIREWALL_NAMES_MAX);
                compose_forget(s, over, text);
        }
        compose_forget(s, address, text);
        compose_allowed(s, address, &allowed, now, text);
        if ((r = kernel_run(fw, text->str, f)) < 0)
                return r;
        if (over)
                (void) g_hash_table_remove(s->names, GUINT_TO_POINTER(over));
        g_hash_table_insert(s->names, GUINT_TO_POINTER(address),
                            g_memdup2(&allowed, sizeof allowed));
        return 0;
}
