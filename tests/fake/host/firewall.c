/* SPDX-License-Identifier: MIT */

/* The rules in the kernel, which outlive the daemon. A sandbox's are a line: its address, MAC,
 * profile and ports; a profile's is what it lets to. */

#include "host/firewall.h"

#include "tests/fake/host/state.h"

#include <netinet/in.h>
#include <string.h>

struct Firewall {
        FakeTables wanted;
};

/* -- tables ----------------------------------------------------------------------------------- */

static GHashTable *texts_new(void)
{
        return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

void fake_tables_clear(FakeTables *t)
{
        g_clear_pointer(&t->profiles, g_hash_table_unref);
        g_clear_pointer(&t->sandboxes, g_hash_table_unref);
        g_clear_pointer(&t->allowed, g_hash_table_unref);
        g_clear_pointer(&t->local, g_free);
}

void fake_tables_init(FakeTables *t)
{
        fake_tables_clear(t);
        t->profiles = texts_new();
        t->sandboxes = texts_new();
        t->allowed = texts_new();
        t->local = g_strdup("");
}

static void copy_texts(GHashTable *from, GHashTable *to)
{
        GHashTableIter i;
        gpointer key, text;

        g_hash_table_remove_all(to);
        g_hash_table_iter_init(&i, from);
        while (g_hash_table_iter_next(&i, &key, &text))
                (void) g_hash_table_insert(to, g_strdup(key), g_strdup(text));
}

/* What the resolver allowed is lost. */
static void copy_tables(const FakeTables *from, FakeTables *to)
{
        fake_tables_init(to);
        copy_texts(from->profiles, to->profiles);
        copy_texts(from->sandboxes, to->sandboxes);
        g_free(to->local);
        to->local = g_strdup(from->local);
}

static const char *rules_of(const FakeTables *t, const char *id)
{
        return t->sandboxes ? g_hash_table_lookup(t->sandboxes, id) : NULL;
}

static char *format_rules(const FirewallSandbox *s)
{
        char address[ADDRESS_TEXT_MAX], mac[MAC_TEXT_MAX];
        GString *text = g_string_new(NULL);

        address_format(s->address, address);
        mac_format(s->mac, mac);
        g_string_printf(text, "%s %s %s", address, mac, s->profile);
        for (size_t i = 0; i < s->n_ports; i++) {
                address_format(s->ports[i].host_address, address);
                g_string_append_printf(text, " %s:%u:%u/%s", address, s->ports[i].host_port,
                                       s->ports[i].sandbox_port,
                                       s->ports[i].protocol == IPPROTO_UDP ? "udp" : "tcp");
        }
        return g_string_free(text, FALSE);
}

static char *format_profile(const FirewallProfile *p)
{
        GString *text = g_string_new(p->has_internet ? "internet" : "");

        for (size_t i = 0; i < p->n_rules; i++) {
                g_autofree char *to = address_range_format(&p->rules[i].to);

                g_string_append_printf(text, " %s %s", p->rules[i].allows ? "allow" : "deny", to);
        }
        g_string_append_printf(text, "%s %u", p->has_names ? " names" : "", p->connections_max);
        return g_string_free(text, FALSE);
}

static char *format_local(const AddressRange *local, size_t n)
{
        GString *text = g_string_new(NULL);

        for (size_t i = 0; i < n; i++) {
                g_autofree char *range = address_range_format(&local[i]);

                g_string_append_printf(text, " %s", range);
        }
        return g_string_free(text, FALSE);
}

/* With the lock held. */
static int change_kernel(const char *what, Fault *f)
{
        int r = fake_count(what, f);

        if (r == 0 && !fake.firewall_works)
                r = fault_set(f, FAULT_IO, "the kernel does not take the rules");
        return r;
}

/* -- what ought to be there ------------------------------------------------------------------- */

int firewall_new(const FirewallSettings *settings, Firewall **ret, Fault *f)
{
        int r = fake_call("firewall_new", f);

        if (r < 0)
                return r;
        g_assert(settings->directory && settings->bridge);
        *ret = g_new0(Firewall, 1);
        return 0;
}

Firewall *firewall_free(Firewall *fw)
{
        if (!fw)
                return NULL;
        fake_tables_clear(&fw->wanted);
        g_free(fw);
        return NULL;
}

static bool share_port(const char *a, const char *b)
{
        g_auto(GStrv) left = g_strsplit(a, " ", -1), right = g_strsplit(b, " ", -1);

        for (size_t i = 3; left[i]; i++)
                for (size_t j = 3; right[j]; j++) {
                        g_auto(GStrv) x = g_strsplit_set(left[i], ":/", 4);
                        g_auto(GStrv) y = g_strsplit_set(right[j], ":/", 4);

                        if (g_str_equal(x[1], y[1]) && g_str_equal(x[3], y[3]) &&
                            (g_str_equal(x[0], y[0]) || g_str_equal(x[0], "0.0.0.0") ||
                             g_str_equal(y[0], "0.0.0.0")))
                                return true;
                }
        return false;
}

static int check_others(const FakeTables *t, const FirewallSandbox *s, const char *text, Fault *f)
{
        GHashTableIter i;
        gpointer id, other;

        g_hash_table_iter_init(&i, t->sandboxes);
        while (g_hash_table_iter_next(&i, &id, &other)) {
                size_t length = strcspn(text, " ") + 1;

                if (g_str_equal(id, s->id)) {
                        if (strncmp(text, other, length) != 0)
                                return fault_set(f, FAULT_EXISTS, "it has another address already");
                        continue;
                }
                if (strncmp(text, other, length) == 0)
                        return fault_set(f, FAULT_EXISTS, "sandbox %s has that address",
                                         (const char *) id);
                if (share_port(text, other))
                        return fault_set(f, FAULT_EXISTS, "sandbox %s has published that port",
                                         (const char *) id);
        }
        return 0;
}

static int add_sandbox(FakeTables *t, const FirewallSandbox *s, Fault *f)
{
        g_autofree char *text = format_rules(s);
        int r = check_others(t, s, text, f);

        if (r == 0 && !g_hash_table_contains(t->profiles, s->profile))
                r = fault_set(f, FAULT_INVALID_ARGUMENT, "there is no profile '%s'", s->profile);
        if (r == 0)
                (void) g_hash_table_replace(t->sandboxes, g_strdup(s->id), g_steal_pointer(&text));
        return r;
}

static int make_tables(FakeTables *t, const FirewallProfile *profiles, size_t n_profiles,
                       const FirewallSandbox *sandboxes, size_t n_sandboxes, Fault *f)
{
        int r = 0;

        for (size_t i = 0; i < n_profiles; i++)
                (void) g_hash_table_replace(t->profiles, g_strdup(profiles[i].name),
                                            format_profile(&profiles[i]));
        for (size_t i = 0; r == 0 && i < n_sandboxes; i++)
                r = add_sandbox(t, &sandboxes[i], f);
        return r;
}

int firewall_load(Firewall *fw, const FirewallProfile *profiles, size_t n_profiles,
                  const FirewallSandbox *sandboxes, size_t n_sandboxes, const AddressRange *local,
                  size_t n_local, Fault *f)
{
        FakeTables wanted = {0};
        int r;

        fake_tables_init(&wanted);
        g_free(wanted.local);
        wanted.local = format_local(local, n_local);
        r = make_tables(&wanted, profiles, n_profiles, sandboxes, n_sandboxes, f);
        fake_lock();
        if (r == 0)
                r = change_kernel("firewall_load", f);
        if (r == 0) {
                copy_tables(&wanted, &fw->wanted);
                copy_tables(&wanted, &fake.tables);
        }
        fake_unlock();
        fake_tables_clear(&wanted);
        return r;
}

static int check_is_loaded(const Firewall *fw, Fault *f)
{
        return fw->wanted.sandboxes
                       ? 0
                       : fault_set(f, FAULT_WRONG_STATE, "the rules were not loaded yet");
}

int firewall_set_local(Firewall *fw, const AddressRange *local, size_t n_local, Fault *f)
{
        int r = check_is_loaded(fw, f);

        if (r < 0)
                return r;
        fake_lock();
        r = change_kernel("firewall_set_local", f);
        if (r == 0) {
                g_free(fw->wanted.local);
                fw->wanted.local = format_local(local, n_local);
                g_free(fake.tables.local);
                fake.tables.local = g_strdup(fw->wanted.local);
        }
        fake_unlock();
        return r;
}

int firewall_set_upstreams(G_GNUC_UNUSED Firewall *fw, const ResolverUpstream *upstreams,
                           unsigned n, Fault *f)
{
        int r = fake_call("firewall_set_upstreams", f);

        if (r < 0)
                return r;
        fake.n_upstreams = n;
        memcpy(fake.upstreams, upstreams, n * sizeof *upstreams);
        return 0;
}

/* Elements of tables that somebody took away cannot be added. */
static int check_has_tables(Fault *f)
{
        return fake.tables.sandboxes ? 0 : fault_set(f, FAULT_IO, "there are no tables");
}

static void put_rules(FakeTables *t, const char *id, const char *text)
{
        const char *old = rules_of(t, id);
        g_auto(GStrv) before = old ? g_strsplit(old, " ", 4) : NULL;
        g_auto(GStrv) after = g_strsplit(text, " ", 4);

        if (!old || !g_str_equal(before[2], after[2]))
                (void) g_hash_table_remove(t->allowed, id);
        (void) g_hash_table_replace(t->sandboxes, g_strdup(id), g_strdup(text));
}

int firewall_set(Firewall *fw, const FirewallSandbox *sandbox, Fault *f)
{
        g_autofree char *text = format_rules(sandbox);
        int r = check_is_loaded(fw, f);
        bool is_new;

        if (r == 0)
                r = check_others(&fw->wanted, sandbox, text, f);
        if (r == 0 && !g_hash_table_contains(fw->wanted.profiles, sandbox->profile))
                r = fault_set(f, FAULT_INVALID_ARGUMENT, "there is no profile '%s'",
                              sandbox->profile);
        if (r < 0)
                return r;
        fake_lock();
        /* What is not another is not written. */
        is_new = g_strcmp0(rules_of(&fw->wanted, sandbox->id), text) != 0;
        r = is_new ? change_kernel("firewall_set", f) : fake_count("firewall_set", f);
        if (r == 0 && is_new)
                r = check_has_tables(f);
        if (r == 0 && is_new) {
                put_rules(&fw->wanted, sandbox->id, text);
                put_rules(&fake.tables, sandbox->id, text);
        }
        fake_unlock();
        return r;
}

/* What is not taken from the kernel is not wanted all the same. */
int firewall_remove(Firewall *fw, const char *id, Fault *f)
{
        int r;

        if (!rules_of(&fw->wanted, id))
                return 0;
        fake_lock();
        r = fake_count("firewall_remove", f);
        if (r == 0) {
                (void) g_hash_table_remove(fw->wanted.sandboxes, id);
                r = fake.firewall_works ? 0 : fault_set(f, FAULT_IO, "the kernel does not do it");
        }
        if (r == 0 && fake.tables.sandboxes) {
                (void) g_hash_table_remove(fake.tables.sandboxes, id);
                (void) g_hash_table_remove(fake.tables.allowed, id);
        }
        fake_unlock();
        return r;
}

int firewall_allow(Firewall *fw, const char *id, uint32_t address, uint32_t ttl_sec, Fault *f)
{
        char text[ADDRESS_TEXT_MAX];
        int r;

        if (!rules_of(&fw->wanted, id))
                return fault_set(f, FAULT_NOT_FOUND, "sandbox '%s' has no rules", id);
        g_assert(ttl_sec > 0);
        address_format(address, text);
        fake_lock();
        r = change_kernel("firewall_allow", f);
        if (r == 0)
                r = check_has_tables(f);
        if (r == 0)
                (void) g_hash_table_replace(fake.tables.allowed, g_strdup(id), g_strdup(text));
        fake_unlock();
        return r;
}

/* -- what is there ---------------------------------------------------------------------------- */

int firewall_verify(Firewall *fw, const char *id, Fault *f)
{
        const char *wanted = rules_of(&fw->wanted, id);
        int r;

        fake_lock();
        r = fake_count("firewall_verify", f);
        if (r == 0 && (!wanted || g_strcmp0(rules_of(&fake.tables, id), wanted) != 0))
                r = fault_set(f, FAULT_WRONG_STATE, "the rules of sandbox %s are %s", id,
                              wanted ? "not in the kernel" : "not known");
        fake_unlock();
        return r;
}

static bool has_all(GHashTable *here, GHashTable *there)
{
        GHashTableIter i;
        gpointer key, text;

        if (g_hash_table_size(here) != g_hash_table_size(there))
                return false;
        g_hash_table_iter_init(&i, here);
        while (g_hash_table_iter_next(&i, &key, &text))
                if (g_strcmp0(g_hash_table_lookup(there, key), text) != 0)
                        return false;
        return true;
}

int firewall_verify_all(Firewall *fw, Fault *f)
{
        const FakeTables *wanted = &fw->wanted, *present = &fake.tables;
        int r = check_is_loaded(fw, f);

        if (r < 0)
                return r;
        fake_lock();
        r = fake_count("firewall_verify_all", f);
        if (r == 0 && !present->sandboxes)
                r = fault_set(f, FAULT_WRONG_STATE, "the tables are gone");
        else if (r == 0 && (!has_all(wanted->sandboxes, present->sandboxes) ||
                            !has_all(wanted->profiles, present->profiles) ||
                            !g_str_equal(wanted->local, present->local)))
                r = fault_set(f, FAULT_WRONG_STATE, "an element is not what it was");
        fake_unlock();
        return r;
}

int firewall_restore(Firewall *fw, Fault *f)
{
        int r = check_is_loaded(fw, f);

        if (r < 0)
                return r;
        fake_lock();
        r = change_kernel("firewall_restore", f);
        if (r == 0)
                copy_tables(&fw->wanted, &fake.tables);
        fake_unlock();
        return r;
}

const char *firewall_reason_to_string(FirewallReason reason)
{
        static const char *const names[_FIREWALL_REASON_MAX] = {"forged", "protocol", "host",
                                                                "reach", "limit"};

        return names[reason];
}

static int read_sandbox(const char *what, const Firewall *fw, const char *id, Fault *f)
{
        int r = fake_call(what, f);

        if (r == 0 && !rules_of(&fw->wanted, id))
                r = fault_set(f, FAULT_NOT_FOUND, "sandbox '%s' has no rules", id);
        return r;
}

int firewall_counters(Firewall *fw, const char *id, FirewallCounters *ret, Fault *f)
{
        int r = read_sandbox("firewall_counters", fw, id, f);

        if (r == 0)
                *ret = (FirewallCounters){.passed = {3, 300},
                                          .dropped = {[FIREWALL_REACH] = {2, 120}}};
        return r;
}

int firewall_drops(Firewall *fw, const char *id, GArray **ret, Fault *f)
{
        const FirewallDrop drop = {.reason = FIREWALL_REACH,
                                   .address = UINT32_C(0xc0000207),
                                   .protocol = IPPROTO_TCP,
                                   .port = 22,
                                   .age_usec = 1000};
        int r = read_sandbox("firewall_drops", fw, id, f);

        if (r < 0)
                return r;
        *ret = g_array_new(FALSE, FALSE, sizeof(FirewallDrop));
        (void) g_array_append_val(*ret, drop);
        return 0;
}

int firewall_describe(Firewall *fw, const char *id, char **ret, Fault *f)
{
        int r = read_sandbox("firewall_describe", fw, id, f);

        if (r == 0)
                *ret = g_strdup(rules_of(&fw->wanted, id));
        return r;
}

/* -- the script ------------------------------------------------------------------------------- */

void fake_host_set_firewall(bool works)
{
        fake_lock();
        fake.firewall_works = works;
        fake_unlock();
}

char *fake_host_rules(const char *id)
{
        char *text;

        fake_lock();
        text = g_strdup(rules_of(&fake.tables, id));
        fake_unlock();
        return text;
}

unsigned fake_host_count_rules(void)
{
        unsigned n;

        fake_lock();
        n = fake.tables.sandboxes ? g_hash_table_size(fake.tables.sandboxes) : 0;
        fake_unlock();
        return n;
}

char *fake_host_profile(const char *name)
{
        char *text;

        fake_lock();
        text = fake.tables.profiles ? g_strdup(g_hash_table_lookup(fake.tables.profiles, name))
                                    : NULL;
        fake_unlock();
        return text;
}

char *fake_host_local(void)
{
        char *text;

        fake_lock();
        text = g_strdup(fake.tables.local ? fake.tables.local : "");
        fake_unlock();
        return text;
}

char *fake_host_allowed(const char *id)
{
        char *text;

        fake_lock();
        text = fake.tables.allowed ? g_strdup(g_hash_table_lookup(fake.tables.allowed, id)) : NULL;
        fake_unlock();
        return text;
}

void fake_host_take_rules(const char *id)
{
        fake_lock();
        if (!id)
                fake_tables_clear(&fake.tables);
        else if (fake.tables.sandboxes)
                (void) g_hash_table_remove(fake.tables.sandboxes, id);
        fake_push_link_news((FakeLinkNews){.kind = FAKE_NEWS_RULESET});
        fake_unlock();
}
