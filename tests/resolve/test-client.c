/* SPDX-License-Identifier: MIT */
#include "resolve/client.h"

#include "tests/tap.h"

#define ADDRESS UINT32_C(0x0a000001)

static Clients *clients;
static unsigned n_news;

static int tell_list(ResolverMessageType type, uint32_t id)
{
        ResolverMessage m = {.type = type};

        m.list.id = id;
        return clients_tell(clients, &m, NULL);
}

static int tell_pattern(uint32_t list, const char *text)
{
        ResolverMessage m = {.type = RESOLVER_PATTERN};

        m.pattern.list = list;
        (void) g_strlcpy(m.pattern.text, text, sizeof m.pattern.text);
        return clients_tell(clients, &m, NULL);
}

static int tell_client(ResolverMessageType type, uint32_t address, uint32_t list)
{
        ResolverMessage m = {.type = type};

        m.client.address = address;
        m.client.list = list;
        return clients_tell(clients, &m, NULL);
}

static void have_news(void *userdata)
{
        g_assert(userdata == &n_news);
        n_news++;
}

static void begin(void)
{
        n_news = 0;
        clients = clients_new(have_news, &n_news);
        g_assert(tell_list(RESOLVER_LIST, 1) == 0 && tell_pattern(1, "*.example.com") == 0 &&
                 tell_pattern(1, "example.org") == 0 &&
                 tell_client(RESOLVER_CLIENT, ADDRESS, 1) == 0);
}

static void end(void)
{
        clients = clients_free(clients);
}

static void test_lists(void)
{
        begin();
        Client *client = clients_find(clients, ADDRESS);
        tap_ok(client && client_is_allowed(client, "www.example.com") &&
                       client_is_allowed(client, "example.org") &&
                       !client_is_allowed(client, "example.com"),
               "a client may ask what its list has");
        tap_ok(!clients_find(clients, ADDRESS + 1), "another one is not known");
        g_assert(tell_list(RESOLVER_LIST, 2) == 0);
        g_assert(tell_client(RESOLVER_CLIENT, ADDRESS, 2) == 0);
        tap_ok(!client_is_allowed(clients_find(clients, ADDRESS), "example.org"),
               "an empty list allows nothing");
        tap_is_int(tell_list(RESOLVER_DROP_LIST, 1), 0, "a list that nobody has can go");
        g_assert(tell_client(RESOLVER_DROP_CLIENT, ADDRESS, 2) == 0);
        tap_ok(!clients_find(clients, ADDRESS), "a client that was dropped is not known");
        tap_is_int(tell_client(RESOLVER_DROP_CLIENT, ADDRESS, 2), 0, "a second time is no mistake");
        end();
}

static void test_contradictions(void)
{
        int r = 0;

        begin();
        tap_ok(tell_list(RESOLVER_LIST, 1) < 0, "a list twice is refused");
        tap_ok(tell_list(RESOLVER_DROP_LIST, 1) < 0, "dropping a list in use is refused");
        tap_ok(tell_list(RESOLVER_DROP_LIST, 7) < 0, "dropping no list is refused");
        tap_ok(tell_pattern(7, "example.com") < 0, "a pattern of no list is refused");
        tap_ok(tell_client(RESOLVER_CLIENT, ADDRESS, 7) < 0, "a client of no list is refused");
        tap_ok(tell_list(RESOLVER_READY, 1) < 0, "another message is refused");
        for (unsigned i = 2; i < RESOLVER_PATTERNS_MAX && r == 0; i++)
                r = tell_pattern(1, "example.net");
        tap_ok(r == 0 && tell_pattern(1, "example.net") < 0, "a list has at most 256 patterns");
        for (uint32_t i = 1; i < RESOLVER_LISTS_MAX && r == 0; i++)
                r = tell_list(RESOLVER_LIST, i + 1);
        tap_ok(r == 0 && tell_list(RESOLVER_LIST, 5000) < 0, "there are at most 128 lists");
        for (uint32_t i = 1; i < RESOLVER_CLIENTS_MAX && r == 0; i++)
                r = tell_client(RESOLVER_CLIENT, ADDRESS + i, 1);
        tap_ok(r == 0 && tell_client(RESOLVER_CLIENT, 1, 1) < 0, "there are at most 8192 clients");
        end();
}

static void test_limits(void)
{
        unsigned n = 0, n_found = 0;

        begin();
        Client *client = clients_find(clients, ADDRESS);
        g_assert(tell_client(RESOLVER_CLIENT, ADDRESS + 1, 1) == 0);
        while (n < 1000000 && client_may_ask(clients, client))
                n++;
        tap_ok(n >= 400 && n < 1000000, "a client may ask 400 times at once, then it has to wait");
        tap_ok(client_may_ask(clients, clients_find(clients, ADDRESS + 1)), "another one need not");
        while (n_found < 1000000 && client_may_find(clients, client))
                n_found++;
        tap_ok(n_found >= 200 && n_found < 1000000,
               "it may find 200 answers at once, then it has to wait");
        bool is_limited = false;
        for (uint32_t i = 2; i < 1000 && !is_limited; i++) {
                g_assert(tell_client(RESOLVER_CLIENT, ADDRESS + i, 1) == 0);
                Client *other = clients_find(clients, ADDRESS + i);
                for (unsigned k = 0; k < 200 && !is_limited; k++, n_found++)
                        is_limited = !client_may_find(clients, other);
        }
        tap_ok(is_limited && n_found >= 1000, "all of them may find 1000, then they have to wait");
        end();
}

static void test_news(void)
{
        ResolverMessage m;

        begin();
        Client *client = clients_find(clients, ADDRESS);
        tap_ok(!clients_have_news(clients) && !clients_take_news(clients, &m),
               "at first there are no news");
        for (unsigned i = 0; i < 12; i++) {
                char name[32];
                (void) snprintf(name, sizeof name, "%u.test", i);
                (void) client_may_ask(clients, client);
                client_note_refusal(clients, client, RESOLVER_REASON_NAME, name);
        }
        client_note_refusal(clients, client, RESOLVER_REASON_NAME, "0.test");
        client_note_refusal(clients, client, RESOLVER_REASON_ADDRESS, "0.test");
        client_note_limit(clients, client);
        client_note_failure(clients, client);
        tap_ok(clients_have_news(clients) && clients_take_news(clients, &m) &&
                       m.type == RESOLVER_REFUSED && m.refused.client == ADDRESS &&
                       m.refused.times == 2 && g_str_equal(m.refused.name, "0.test"),
               "a name that was refused twice is told once");
        unsigned n = 1;
        while (clients_take_news(clients, &m) && m.type == RESOLVER_REFUSED)
                n++;
        tap_is_int(n, CLIENT_REFUSALS_MAX, "some names are told");
        tap_ok(m.type == RESOLVER_NEWS && m.news.client == ADDRESS && m.news.questions == 12 &&
                       m.news.refused == 14 && m.news.limited == 1 && m.news.failed == 1,
               "all are counted");
        tap_is_int(n_news, 1, "that there are some is told once");
        tap_ok(!clients_have_news(clients), "what was told is not told again");
        (void) client_may_ask(clients, client);
        tap_is_int(n_news, 2, "that there are some again is told again");
        g_assert(tell_client(RESOLVER_DROP_CLIENT, ADDRESS, 1) == 0);
        tap_ok(!clients_take_news(clients, &m), "of a client that is gone there are none");
        end();
}

int main(void)
{
        test_lists();
        test_contradictions();
        test_limits();
        test_news();
        return tap_done();
}
