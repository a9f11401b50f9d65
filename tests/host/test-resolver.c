/* SPDX-License-Identifier: MIT */

/* What guests are answered, and what the daemon is told. */

#include "tests/host/resolver-fixture.h"

/* -- the upstream --------------------------------------------------------------------------- */

static void respond(const FakeQuery *q, GPtrArray *replies, void *userdata)
{
        g_autofree char *name = g_ascii_strdown(q->name, -1);
        DnsPacket *p = fake_reply(q, replies);

        (void) userdata;
        if (g_str_equal(name, "www.example.com")) {
                dns_put_a(p, q->name, 60, "9.9.9.9");
        } else if (g_str_equal(name, "chain.example.com")) {
                dns_put_cname(p, q->name, 300, "edge.cdn.test");
                dns_put_cname(p, "edge.cdn.test", 40, "host.cdn.test");
                dns_put_a(p, "host.cdn.test", 300, "9.9.9.1");
                dns_put_a(p, "host.cdn.test", 300, "9.9.9.2");
                dns_put_a(p, "elsewhere.test", 300, "9.9.9.3");
        } else if (g_str_equal(name, "mixed.example.com")) {
                dns_put_a(p, q->name, 60, "192.168.1.1");
                dns_put_a(p, q->name, 60, "9.9.9.9");
                dns_put_a(p, q->name, 60, "169.254.169.254");
        } else if (g_str_equal(name, "private.example.com")) {
                dns_put_a(p, q->name, 60, "10.0.0.1");
        } else if (g_str_equal(name, "short.example.com")) {
                dns_put_a(p, q->name, 1, "9.9.9.9");
        } else if (g_str_equal(name, "long.example.com")) {
                dns_put_a(p, q->name, 86400, "9.9.9.9");
        } else if (!g_str_equal(name, "empty.example.com")) {
                p->data[3] |= ns_r_nxdomain;
        }
}

/* -- cases ---------------------------------------------------------------------------------- */

static void test_answers(void)
{
        begin();
        test_lookup("www.example.com", "NOERROR www.example.com 60 A 9.9.9.9",
                    "2 may reach 9.9.9.9 of www.example.com for 60",
                    "an allowed name is answered, after its address was told");
        test_lookup("WWW.Example.COM", "NOERROR WWW.Example.COM 60 A 9.9.9.9",
                    "2 may reach 9.9.9.9 of www.example.com for 60",
                    "case does not matter, and comes back as it was asked");
        test_lookup("chain.example.com",
                    "NOERROR chain.example.com 40 CNAME edge.cdn.test,"
                    " edge.cdn.test 40 CNAME host.cdn.test,"
                    " host.cdn.test 40 A 9.9.9.1, host.cdn.test 40 A 9.9.9.2",
                    "2 may reach 9.9.9.1 of chain.example.com for 40, "
                    "2 may reach 9.9.9.2 of chain.example.com for 40",
                    "CNAMEs are followed to where they end, whoever's that is");
        test_lookup("short.example.com", "NOERROR short.example.com 30 A 9.9.9.9",
                    "2 may reach 9.9.9.9 of short.example.com for 30",
                    "a short time is made half a minute, for guest and daemon alike");
        test_lookup("long.example.com", "NOERROR long.example.com 3600 A 9.9.9.9",
                    "2 may reach 9.9.9.9 of long.example.com for 3600",
                    "a long time is made an hour, for guest and daemon alike");
        test_lookup("empty.example.com", "NOERROR", "", "a name without an address has none");
        test_lookup("missing.example.com", "NXDOMAIN", "", "a name that is not there is not");
        end();
}

static void test_refusals(void)
{
        begin();
        test_lookup("www.example.org", "NXDOMAIN", "2 not www.example.org, name",
                    "a name that is not allowed does not exist, and the daemon is told");
        test_lookup("badexample.com", "NXDOMAIN", "2 not badexample.com, name",
                    "a pattern begins at a label");
        test_lookup("www\\.example.com", "NXDOMAIN", "2 not www.example.com, name",
                    "a dot inside a label is no dot");
        test_lookup("private.example.com", "NOERROR", "2 not private.example.com, address",
                    "a private address is not passed, and the daemon is told");
        test_lookup("mixed.example.com", "NOERROR mixed.example.com 60 A 9.9.9.9",
                    "2 may reach 9.9.9.9 of mixed.example.com for 60",
                    "private and special addresses are left out");
        verdict = -1;
        test_lookup("www.example.com", "NOERROR",
                    "2 may reach 9.9.9.9 of www.example.com for 60, 2 not www.example.com, address",
                    "an address that the daemon refuses is not passed");
        verdict = 0;
        set_client(CLIENT, true, "*.example.com");
        test_lookup("mixed.example.com",
                    "NOERROR mixed.example.com 60 A 192.168.1.1, mixed.example.com 60 A 9.9.9.9",
                    "2 may reach 192.168.1.1 of mixed.example.com for 60, "
                    "2 may reach 9.9.9.9 of mixed.example.com for 60",
                    "who may reach private addresses gets them, but never special ones");
        end();
}

static void test_types(void)
{
        static const struct {
                unsigned type;
                const char *name, *reply;
        } cases[] = {
                {ns_t_aaaa, "www.example.com", "NOERROR"},
                {ns_t_txt, "www.example.com", "NOERROR"},
                {65, "www.example.com", "NOERROR"},
                {ns_t_any, "www.example.com", "NOERROR"},
                {ns_t_cname, "chain.example.com",
                 "NOERROR chain.example.com 300 CNAME edge.cdn.test"},
                {ns_t_aaaa, "www.example.org", "NXDOMAIN"},
                {ns_t_ptr, "9.9.9.9.in-addr.arpa", "NXDOMAIN"},
        };

        begin();
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *reply = lookup_of(CLIENT, cases[i].name, cases[i].type);

                tap_is_str(reply, cases[i].reply, "type %u of %s is answered as it should be",
                           cases[i].type, cases[i].name);
        }
        tap_is_int(strstr(told->str, "may reach") != NULL, 0,
                   "no address was told where none was asked for");
        end();
}

/* Questions arrive in the order in which they were sent. */
static void test_clients(void)
{
        g_autofree char *reply = NULL, *other_reply = NULL;
        Guest stranger;

        begin();
        guest_open(&stranger, OTHER, false);
        guest_ask(&stranger, "www.example.com", ns_t_a);
        g_free(lookup_of(CLIENT, "www.example.com", ns_t_a));
        tap_ok(!stranger.reply, "a client that is not known gets no reply");

        set_client(OTHER, false, "www.example.org");
        guest_ask(&stranger, "www.example.com", ns_t_a);
        while (!stranger.reply)
                turn();
        tap_is_str(stranger.reply, "NXDOMAIN", "a new client has its own list, not another's");
        g_clear_pointer(&stranger.reply, g_free);

        set_client(OTHER, false, "example.com *.example.com");
        other_reply = lookup_of(OTHER, "www.example.com", ns_t_a);
        tap_is_str(other_reply, "NOERROR www.example.com 60 A 9.9.9.9",
                   "a client that is set again has its new list");
        set_client(CLIENT, false, "example.com");
        reply = lookup_of(CLIENT, "www.example.com", ns_t_a);
        tap_is_str(reply, "NXDOMAIN", "a client that is set again has its old list no more");

        resolver_remove_client(resolver, OTHER);
        resolver_remove_client(resolver, OTHER);
        guest_ask(&stranger, "www.example.com", ns_t_a);
        g_free(lookup_of(CLIENT, "example.com", ns_t_a));
        tap_ok(!stranger.reply, "a client that was removed gets no reply");
        guest_close(&stranger);
        end();
}

static void test_tcp(void)
{
        Guest g;

        begin();
        set_client(OTHER, false, "x.test");
        guest_open(&g, CLIENT, true);
        guest_ask(&g, "www.example.com", ns_t_a);
        guest_ask(&g, "www.example.org", ns_t_a);
        while (!g.reply)
                turn();
        tap_is_str(g.reply, "NOERROR www.example.com 60 A 9.9.9.9", "TCP is answered");
        g_clear_pointer(&g.reply, g_free);
        while (!g.reply)
                turn();
        tap_is_str(g.reply, "NXDOMAIN", "the next question of a connection is answered");
        g_clear_pointer(&g.reply, g_free);
        resolver_remove_client(resolver, CLIENT);
        while (!g.reply)
                turn();
        tap_is_str(g.reply, "nothing", "a connection ends when its client is removed");
        guest_close(&g);
        guest_open(&g, CLIENT, true);
        while (!g.reply)
                turn();
        tap_is_str(g.reply, "nothing", "who is not known is not connected to");
        guest_close(&g);
        end();
}

static void test_numbers(void)
{
        ResolverCounters counters = {0};
        g_autoptr(GArray) refusals = NULL;

        begin();
        g_free(lookup_of(CLIENT, "www.example.com", ns_t_a));
        g_free(lookup_of(CLIENT, "a.example.org", ns_t_a));
        g_free(lookup_of(CLIENT, "b.example.org", ns_t_a));
        g_free(lookup_of(CLIENT, "a.example.org", ns_t_a));
        while (counters.questions < 4) {
                turn();
                g_assert(resolver_counters(resolver, CLIENT, &counters, NULL) == 0);
        }
        tap_ok(counters.questions == 4 && counters.refused == 3 && counters.limited == 0 &&
                       counters.failed == 0,
               "questions are counted");
        g_assert(resolver_refusals(resolver, CLIENT, &refusals, NULL) == 0);
        tap_ok(refusals->len == 2, "a name that is refused twice is there once");
        uint64_t n_a = 0, n_b = 0;
        for (unsigned i = 0; i < refusals->len; i++) {
                const ResolverRefusal *refusal = &g_array_index(refusals, ResolverRefusal, i);

                n_a += g_str_equal(refusal->name, "a.example.org") ? refusal->times : 0;
                n_b += g_str_equal(refusal->name, "b.example.org") ? refusal->times : 0;
        }
        tap_ok(n_a == 2 && n_b == 1, "each with how often");
        tap_ok(resolver_counters(resolver, OTHER, &counters, NULL) == -ENOENT &&
                       resolver_refusals(resolver, OTHER, &refusals, NULL) == -ENOENT,
               "of a client that is not set there are no numbers");
        end();
}

int main(void)
{
        set_up(respond);
        test_answers();
        test_refusals();
        test_types();
        test_clients();
        test_tcp();
        test_numbers();
        tear_down();
        return tap_done();
}
