/* SPDX-License-Identifier: MIT */
#include "resolve/client.h"

#include "base/quantity.h"

#include <string.h>

/* Questions a second, in the long run, and at once after a pause. Each connection of a program's
 * begins with two questions. */
#define ASK_USEC  (USEC_PER_SEC / 100)
#define ASK_BURST 400
/* Answers with addresses, of a client and of all. */
#define FIND_USEC      (USEC_PER_SEC / 40)
#define FIND_BURST     200
#define FIND_ALL_USEC  (USEC_PER_SEC / 1000)
#define FIND_ALL_BURST 1000

struct Clients {
        GHashTable *lists;   /* id to ClientList */
        GHashTable *clients; /* address to Client */
        GQueue news;         /* of Client, each once: those that have some */
        void (*have_news)(void *userdata);
        void *userdata;
        uint64_t finding_until_usec; /* see is_within() */
};

static void list_free(void *list)
{
        g_ptr_array_unref(((ClientList *) list)->patterns);
        g_free(list);
}

static void client_free(void *data)
{
        Client *client = data;

        if (client->refusals)
                g_array_unref(client->refusals);
        g_free(client);
}

Clients *clients_new(void (*have_news)(void *userdata), void *userdata)
{
        Clients *c = g_new0(Clients, 1);

        c->lists = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, list_free);
        c->clients = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, client_free);
        g_queue_init(&c->news);
        c->have_news = have_news;
        c->userdata = userdata;
        return c;
}

Clients *clients_free(Clients *c)
{
        if (!c)
                return NULL;
        g_queue_clear(&c->news);
        g_hash_table_unref(c->clients);
        g_hash_table_unref(c->lists);
        g_free(c);
        return NULL;
}

/* -- what the daemon says ------------------------------------------------------------------- */

static int contradiction(const char *what, Fault *f)
{
        return fault_set(f, FAULT_INTERNAL, "fluid-hostd told of %s", what);
}

static ClientList *find_list(const Clients *c, uint32_t id)
{
        return g_hash_table_lookup(c->lists, GUINT_TO_POINTER(id));
}

static int add_list(Clients *c, const ResolverMessage *m, Fault *f)
{
        ClientList *list;

        if (find_list(c, m->list.id))
                return contradiction("a list twice", f);
        if (g_hash_table_size(c->lists) >= RESOLVER_LISTS_MAX)
                return contradiction("too many lists", f);
        list = g_new0(ClientList, 1);
        *list = (ClientList){.id = m->list.id,
                             .allows_private = m->list.allows_private,
                             .patterns = g_ptr_array_new_with_free_func(g_free)};
        g_hash_table_insert(c->lists, GUINT_TO_POINTER(list->id), list);
        return 0;
}

static int add_pattern(Clients *c, const ResolverMessage *m, Fault *f)
{
        ClientList *list = find_list(c, m->pattern.list);

        if (!list || list->patterns->len >= RESOLVER_PATTERNS_MAX)
                return contradiction("a pattern of no list, or too many", f);
        g_ptr_array_add(list->patterns, g_strdup(m->pattern.text));
        return 0;
}

static int drop_list(Clients *c, const ResolverMessage *m, Fault *f)
{
        const ClientList *list = find_list(c, m->list.id);
        GHashTableIter i;
        Client *client;

        if (!list)
                return contradiction("the end of a list that is not there", f);
        g_hash_table_iter_init(&i, c->clients);
        while (g_hash_table_iter_next(&i, NULL, (void **) &client))
                if (client->list == list)
                        return contradiction("the end of a list that is in use", f);
        (void) g_hash_table_remove(c->lists, GUINT_TO_POINTER(m->list.id));
        return 0;
}

static int set_client(Clients *c, const ResolverMessage *m, Fault *f)
{
        const ClientList *list = find_list(c, m->client.list);
        Client *client = clients_find(c, m->client.address);

        if (!list)
                return contradiction("a client of no list", f);
        if (!client && g_hash_table_size(c->clients) >= RESOLVER_CLIENTS_MAX)
                return contradiction("too many clients", f);
        if (!client) {
                client = g_new0(Client, 1);
                client->address = m->client.address;
                g_hash_table_insert(c->clients, GUINT_TO_POINTER(client->address), client);
        }
        client->list = list;
        return 0;
}

int clients_tell(Clients *c, const ResolverMessage *m, Fault *f)
{
        Client *client;

        switch (m->type) {
        case RESOLVER_LIST:
                return add_list(c, m, f);
        case RESOLVER_PATTERN:
                return add_pattern(c, m, f);
        case RESOLVER_DROP_LIST:
                return drop_list(c, m, f);
        case RESOLVER_CLIENT:
                return set_client(c, m, f);
        case RESOLVER_DROP_CLIENT:
                client = clients_find(c, m->client.address);
                if (client) {
                        (void) g_queue_remove(&c->news, client);
                        (void) g_hash_table_remove(c->clients, GUINT_TO_POINTER(client->address));
                }
                return 0;
        default:
                return contradiction("what it cannot tell", f);
        }
}

/* -- asking --------------------------------------------------------------------------------- */

Client *clients_find(const Clients *c, uint32_t address)
{
        return g_hash_table_lookup(c->clients, GUINT_TO_POINTER(address));
}

bool client_is_allowed(const Client *client, const char *name)
{
        const GPtrArray *patterns = client->list->patterns;

        for (unsigned i = 0; i < patterns->len; i++)
                if (domain_pattern_matches(g_ptr_array_index(patterns, i), name))
                        return true;
        return false;
}

/* Each time costs `cost_usec`, and is refused where `burst` of them are owed. */
static bool is_within(uint64_t *until_usec, uint64_t cost_usec, unsigned burst)
{
        uint64_t now = now_monotonic_usec(), until = MAX(*until_usec, now);

        if (until + cost_usec > now + burst * cost_usec)
                return false;
        *until_usec = until + cost_usec;
        return true;
}

static void note(Clients *c, Client *client)
{
        if (client->has_news)
                return;
        client->has_news = true;
        g_queue_push_tail(&c->news, client);
        c->have_news(c->userdata);
}

bool client_may_ask(Clients *c, Client *client)
{
        client->questions++;
        note(c, client);
        return is_within(&client->asking_until_usec, ASK_USEC, ASK_BURST);
}

bool client_may_find(Clients *c, Client *client)
{
        return is_within(&client->finding_until_usec, FIND_USEC, FIND_BURST) &&
               is_within(&c->finding_until_usec, FIND_ALL_USEC, FIND_ALL_BURST);
}

/* -- news ----------------------------------------------------------------------------------- */

void client_note_limit(Clients *c, Client *client)
{
        client->limited++;
        note(c, client);
}

void client_note_failure(Clients *c, Client *client)
{
        client->failed++;
        note(c, client);
}

void client_note_refusal(Clients *c, Client *client, ResolverReason reason, const char *name)
{
        ClientRefusal refusal = {.reason = reason, .times = 1};

        client->refused++;
        note(c, client);
        if (!client->refusals)
                client->refusals = g_array_new(FALSE, FALSE, sizeof refusal);
        for (unsigned i = 0; i < client->refusals->len; i++) {
                ClientRefusal *known = &g_array_index(client->refusals, ClientRefusal, i);

                if (known->reason == reason && g_str_equal(known->name, name)) {
                        known->times++;
                        return;
                }
        }
        if (client->refusals->len == CLIENT_REFUSALS_MAX)
                return;
        (void) g_strlcpy(refusal.name, name, sizeof refusal.name);
        g_array_append_val(client->refusals, refusal);
}

static void take_refusal(Client *client, ResolverMessage *ret)
{
        const ClientRefusal *refusal = &g_array_index(client->refusals, ClientRefusal, 0);

        *ret = (ResolverMessage){.type = RESOLVER_REFUSED};
        ret->refused.client = client->address;
        ret->refused.reason = refusal->reason;
        ret->refused.times = refusal->times;
        (void) g_strlcpy(ret->refused.name, refusal->name, sizeof ret->refused.name);
        g_array_remove_index(client->refusals, 0);
        if (client->refusals->len == 0)
                g_clear_pointer(&client->refusals, g_array_unref);
}

static void take_counts(Client *client, ResolverMessage *ret)
{
        *ret = (ResolverMessage){.type = RESOLVER_NEWS};
        ret->news.client = client->address;
        ret->news.questions = client->questions;
        ret->news.refused = client->refused;
        ret->news.limited = client->limited;
        ret->news.failed = client->failed;
        client->questions = client->refused = client->limited = client->failed = 0;
}

bool clients_take_news(Clients *c, ResolverMessage *ret)
{
        Client *client = g_queue_peek_head(&c->news);

        if (!client)
                return false;
        if (client->refusals) {
                take_refusal(client, ret);
                return true;
        }
        take_counts(client, ret);
        client->has_news = false;
        (void) g_queue_pop_head(&c->news);
        return true;
}

bool clients_have_news(const Clients *c)
{
        return !g_queue_is_empty((GQueue *) &c->news);
}
