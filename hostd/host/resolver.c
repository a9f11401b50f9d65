/* SPDX-License-Identifier: MIT */
#include "base/address-scope.h"
#include "base/escape.h"
#include "base/quantity.h"
#include "host/resolver-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* -- lists of patterns ---------------------------------------------------------------------- */

static void list_free(void *data)
{
        PatternList *list = data;

        g_strfreev(list->patterns);
        g_free(list->key);
        g_free(list);
}

static void tell_list(Resolver *r, const PatternList *list)
{
        ResolverMessage m = {.type = RESOLVER_LIST};

        m.list.id = list->id;
        m.list.allows_private = list->allows_private;
        resolver_program_tell(r->program, &m);
        for (char **pattern = list->patterns; *pattern; pattern++) {
                m = (ResolverMessage){.type = RESOLVER_PATTERN};
                m.pattern.list = list->id;
                (void) g_strlcpy(m.pattern.text, *pattern, sizeof m.pattern.text);
                resolver_program_tell(r->program, &m);
        }
}

static void list_unref(Resolver *r, PatternList *list)
{
        ResolverMessage m = {.type = RESOLVER_DROP_LIST};

        if (--list->refs > 0)
                return;
        m.list.id = list->id;
        resolver_program_tell(r->program, &m);
        (void) g_hash_table_remove(r->lists, list->key);
}

static int compare_texts(const void *a, const void *b)
{
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Sorted, each once, in the form that names are compared with. */
static int parse_patterns(const ResolverClient *client, char ***ret, Fault *f)
{
        g_autoptr(GPtrArray) patterns = g_ptr_array_new_with_free_func(g_free);

        if (client->n_patterns > RESOLVER_PATTERNS_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "%zu domain names are more than the %d that a profile can have",
                                 client->n_patterns, RESOLVER_PATTERNS_MAX);
        for (size_t i = 0; i < client->n_patterns; i++) {
                char pattern[DOMAIN_NAME_MAX];
                int r = domain_pattern_parse(client->patterns[i], pattern, f);

                if (r < 0)
                        return r;
                g_ptr_array_add(patterns, g_strdup(pattern));
        }
        g_ptr_array_sort(patterns, compare_texts);
        for (unsigned i = patterns->len; i > 1; i--)
                if (g_str_equal(patterns->pdata[i - 1], patterns->pdata[i - 2]))
                        g_ptr_array_remove_index(patterns, i - 1);
        g_ptr_array_add(patterns, NULL);
        *ret = (char **) g_ptr_array_steal(patterns, NULL);
        return 0;
}

/* One that there is already, or a new one, of which the program is told; with a reference. */
static int list_acquire(Resolver *r, const ResolverClient *client, PatternList **ret, Fault *f)
{
        g_auto(GStrv) patterns = NULL;
        PatternList *list;
        int err = parse_patterns(client, &patterns, f);

        if (err < 0)
                return err;
        g_autofree char *names = g_strjoinv("\n", patterns);
        g_autofree char *key = g_strconcat(client->allows_private ? "+" : "-", names, NULL);
        list = g_hash_table_lookup(r->lists, key);
        if (!list) {
                /* The client's old one counts until it has the new one. */
                if (g_hash_table_size(r->lists) >= RESOLVER_LISTS_MAX)
                        return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                         "sandboxes have %d different lists of domain names, which "
                                         "is the most",
                                         RESOLVER_LISTS_MAX);
                list = g_new0(PatternList, 1);
                *list = (PatternList){.id = ++r->last_list_id,
                                      .allows_private = client->allows_private,
                                      .patterns = g_steal_pointer(&patterns),
                                      .key = g_steal_pointer(&key)};
                g_hash_table_insert(r->lists, list->key, list);
                tell_list(r, list);
        }
        list->refs++;
        *ret = list;
        return 0;
}

static bool list_has(const PatternList *list, const char *name)
{
        for (char **pattern = list->patterns; *pattern; pattern++)
                if (domain_pattern_matches(*pattern, name))
                        return true;
        return false;
}

/* -- clients -------------------------------------------------------------------------------- */

static KnownClient *find(const Resolver *r, uint32_t address)
{
        return g_hash_table_lookup(r->clients, GUINT_TO_POINTER(address));
}

static void client_free(void *data)
{
        KnownClient *client = data;

        g_array_unref(client->refusals);
        g_hash_table_unref(client->reachable);
        g_free(client);
}

static void tell_client(Resolver *r, ResolverMessageType type, const KnownClient *client)
{
        ResolverMessage m = {.type = type};

        m.client.address = client->address;
        m.client.list = client->list->id;
        resolver_program_tell(r->program, &m);
}

int resolver_set_client(Resolver *r, const ResolverClient *settings, Fault *f)
{
        KnownClient *client = find(r, settings->address);
        PatternList *list, *old = client ? client->list : NULL;
        int err;

        if (!client && g_hash_table_size(r->clients) >= RESOLVER_CLIENTS_MAX)
                return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                 "%d sandboxes have domain names in their profiles, which is the "
                                 "most",
                                 RESOLVER_CLIENTS_MAX);
        err = list_acquire(r, settings, &list, f);
        if (err < 0)
                return err;
        if (!client) {
                client = g_new0(KnownClient, 1);
                client->address = settings->address;
                client->refusals = g_array_new(FALSE, FALSE, sizeof(PastRefusal));
                client->reachable = g_hash_table_new(g_direct_hash, g_direct_equal);
                g_hash_table_insert(r->clients, GUINT_TO_POINTER(client->address), client);
        }
        client->list = list;
        if (list != old)
                tell_client(r, RESOLVER_CLIENT, client);
        if (old)
                list_unref(r, old);
        return 0;
}

void resolver_remove_client(Resolver *r, uint32_t address)
{
        KnownClient *client = find(r, address);
        PatternList *list;

        if (!client)
                return;
        list = client->list;
        tell_client(r, RESOLVER_DROP_CLIENT, client);
        (void) g_hash_table_remove(r->clients, GUINT_TO_POINTER(address));
        list_unref(r, list);
}

void resolver_tell_all(Resolver *r)
{
        GHashTableIter i;
        void *value;

        resolver_upstreams_tell(r);
        g_hash_table_iter_init(&i, r->lists);
        while (g_hash_table_iter_next(&i, NULL, &value))
                tell_list(r, value);
        g_hash_table_iter_init(&i, r->clients);
        while (g_hash_table_iter_next(&i, NULL, &value))
                tell_client(r, RESOLVER_CLIENT, value);
        resolver_program_tell(r->program, &(ResolverMessage){.type = RESOLVER_LISTEN});
}

/* -- what the program says ------------------------------------------------------------------ */

/* That it lies must not help it: whatever it says of a client, it is held to what the client's
 * profile lets it reach by name. Of a client that is gone, or has another list by now, it may say
 * so honestly. */
static bool may_reach(const Resolver *r, const ResolverMessage *m, uint32_t address)
{
        const KnownClient *client = find(r, m->found.client);
        AddressScope scope = address_scope(address);

        return client && client->list->id == m->found.list &&
               (scope == ADDRESS_PUBLIC ||
                (scope == ADDRESS_PRIVATE && client->list->allows_private)) &&
               domain_name_is_plain(m->found.name) && list_has(client->list, m->found.name);
}

static gboolean is_over(void *address, void *until, void *now)
{
        (void) address;
        return GPOINTER_TO_SIZE(until) <= GPOINTER_TO_SIZE(now);
}

/* False where it has as many as it may. */
static bool make_room(KnownClient *client, uint32_t address)
{
        size_t now = now_monotonic_usec() / USEC_PER_SEC;

        if (g_hash_table_contains(client->reachable, GUINT_TO_POINTER(address)))
                return true;
        if (g_hash_table_size(client->reachable) >= RESOLVER_REACHABLE_MAX)
                (void) g_hash_table_foreach_remove(client->reachable, is_over,
                                                   GSIZE_TO_POINTER(now));
        return g_hash_table_size(client->reachable) < RESOLVER_REACHABLE_MAX;
}

static void note_reachable(KnownClient *client, uint32_t address, uint32_t ttl_sec)
{
        void *key = GUINT_TO_POINTER(address);
        size_t until = now_monotonic_usec() / USEC_PER_SEC + ttl_sec + 1;
        size_t known = GPOINTER_TO_SIZE(g_hash_table_lookup(client->reachable, key));

        (void) g_hash_table_insert(client->reachable, key, GSIZE_TO_POINTER(MAX(until, known)));
}

static bool allow(Resolver *r, const ResolverMessage *m, uint32_t address)
{
        uint32_t ttl_sec = m->found.ttl_sec;
        KnownClient *client;

        if (!may_reach(r, m, address) || !make_room(find(r, m->found.client), address) ||
            r->observer.allowed(m->found.client, m->found.name, address, ttl_sec, r->userdata) != 0)
                return false;
        /* The observer may have removed it. */
        client = find(r, m->found.client);
        if (client)
                note_reachable(client, address, ttl_sec);
        return client;
}

static void hear_found(Resolver *r, const ResolverMessage *m)
{
        ResolverMessage answer = {.type = RESOLVER_ACCEPTED};

        answer.accepted.serial = m->found.serial;
        for (uint32_t i = 0; i < m->found.n; i++)
                if (allow(r, m, m->found.addresses[i]))
                        answer.accepted.mask |= UINT32_C(1) << i;
        resolver_program_tell(r->program, &answer);
}

/* The newest last; of those that are as old, whichever. */
static void remember(KnownClient *client, const PastRefusal *refusal)
{
        PastRefusal now = *refusal;

        for (unsigned i = 0; i < client->refusals->len; i++) {
                const PastRefusal *past = &g_array_index(client->refusals, PastRefusal, i);

                if (past->reason == now.reason && g_str_equal(past->name, now.name)) {
                        now.times += past->times;
                        g_array_remove_index(client->refusals, i);
                        break;
                }
        }
        if (client->refusals->len == RESOLVER_REFUSALS_MAX)
                g_array_remove_index(client->refusals, 0);
        g_array_append_val(client->refusals, now);
}

static void hear_refused(Resolver *r, const ResolverMessage *m)
{
        KnownClient *client = find(r, m->refused.client);
        PastRefusal refusal = {.reason = (ResolverReason) m->refused.reason,
                               .times = m->refused.times,
                               .at_usec = now_monotonic_usec()};

        if (!client)
                return;
        (void) escape_print_into(refusal.name, sizeof refusal.name, m->refused.name,
                                 strlen(m->refused.name));
        remember(client, &refusal);
        if (r->observer.refused)
                r->observer.refused(m->refused.client, refusal.name, refusal.reason,
                                    m->refused.times, r->userdata);
}

static void hear_news(Resolver *r, const ResolverMessage *m)
{
        KnownClient *client = find(r, m->news.client);

        if (!client)
                return;
        client->counters.questions += m->news.questions;
        client->counters.refused += m->news.refused;
        client->counters.limited += m->news.limited;
        client->counters.failed += m->news.failed;
}

int resolver_hear(Resolver *r, const ResolverMessage *m, Fault *f)
{
        switch (m->type) {
        case RESOLVER_READY:
                return 0;
        case RESOLVER_FOUND:
                hear_found(r, m);
                return 0;
        case RESOLVER_REFUSED:
                hear_refused(r, m);
                return 0;
        case RESOLVER_NEWS:
                hear_news(r, m);
                return 0;
        default:
                return fault_set(f, FAULT_INTERNAL, "fluid-resolver sent what it may not");
        }
}

/* -- for people ----------------------------------------------------------------------------- */

const char *resolver_reason_to_string(ResolverReason reason)
{
        switch (reason) {
        case RESOLVER_REASON_NAME:
                return "no pattern matches it";
        case RESOLVER_REASON_ADDRESS:
                return "it has no address that may be reached";
        case _RESOLVER_REASON_MAX:
                break;
        }
        return "unknown";
}

static int absent(uint32_t client, Fault *f)
{
        return fault_set(f, FAULT_NOT_FOUND, "%u.%u.%u.%u has no domain names in its profile",
                         client >> 24, client >> 16 & 0xff, client >> 8 & 0xff, client & 0xff);
}

int resolver_counters(const Resolver *r, uint32_t address, ResolverCounters *ret, Fault *f)
{
        const KnownClient *client = find(r, address);

        if (!client)
                return absent(address, f);
        *ret = client->counters;
        return 0;
}

int resolver_refusals(const Resolver *r, uint32_t address, GArray **ret, Fault *f)
{
        const KnownClient *client = find(r, address);
        uint64_t now = now_monotonic_usec();
        GArray *refusals;

        if (!client)
                return absent(address, f);
        refusals = g_array_new(FALSE, FALSE, sizeof(ResolverRefusal));
        for (unsigned i = client->refusals->len; i > 0; i--) {
                const PastRefusal *past = &g_array_index(client->refusals, PastRefusal, i - 1);
                ResolverRefusal refusal = {.reason = past->reason,
                                           .times = past->times,
                                           .age_usec = now - past->at_usec};

                (void) g_strlcpy(refusal.name, past->name, sizeof refusal.name);
                g_array_append_val(refusals, refusal);
        }
        *ret = refusals;
        return 0;
}

unsigned resolver_starts(const Resolver *r)
{
        return resolver_program_starts(r->program);
}

/* -- the whole ------------------------------------------------------------------------------ */

int resolver_new(sd_event *event, const ResolverSettings *settings,
                 const ResolverObserver *observer, void *userdata, Resolver **ret, Fault *f)
{
        g_autoptr(Resolver) r = g_new0(Resolver, 1);
        int err;

        r->event = sd_event_ref(event);
        r->observer = *observer;
        r->userdata = userdata;
        r->lists = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, list_free);
        r->clients = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, client_free);
        err = resolver_upstreams_init(r, settings, f);
        if (err == 0)
                err = resolver_program_new(r, settings, &r->program, f);
        if (err < 0)
                return err;
        resolver_tell_all(r);
        *ret = g_steal_pointer(&r);
        return 0;
}

Resolver *resolver_free(Resolver *r)
{
        if (!r)
                return NULL;
        sd_event_source_disable_unref(r->reread);
        r->program = resolver_program_free(r->program);
        g_hash_table_unref(r->clients);
        g_hash_table_unref(r->lists);
        g_free(r->resolv_conf);
        sd_event_unref(r->event);
        g_free(r);
        return NULL;
}
