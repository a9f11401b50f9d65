/* SPDX-License-Identifier: MIT */

/* Questions to resolvers that answer late, wrongly, or not at all. */

#include "resolve/upstream.h"

#include "tests/fake/upstream.h"
#include "tests/tap.h"

#include <stdlib.h>

/* What an upstream does, told by the first label of the name asked for: "servfail.test". A second
 * label is what the second upstream does. */
static sd_event *event;
static FakeUpstream *fakes[2];
static Upstreams *upstreams;

static unsigned n_done;
static char *outcome;
static unsigned n_tcp, n_plain; /* queries over TCP, and without EDNS */
static unsigned n_mixed;        /* queries with letters in both cases */
static unsigned ids[64], ports[64], n_ids;

static DnsPacket *good(const FakeQuery *q, GPtrArray *replies, const char *address)
{
        DnsPacket *p = fake_reply(q, replies);

        dns_put_a(p, q->name, 60, address);
        return p;
}

static void lower(const FakeQuery *q, GPtrArray *replies, const char *address)
{
        FakeQuery other = *q;

        for (char *c = other.name; *c; c++)
                *c = g_ascii_tolower(*c);
        /* The chance that it was in lower case anyhow is small, but there. */
        if (g_str_equal(other.name, q->name))
                other.name[0] = g_ascii_toupper(other.name[0]);
        (void) good(&other, replies, address);
}

static void act(const char *how, const FakeQuery *q, GPtrArray *replies, const char *address)
{
        if (g_str_equal(how, "good"))
                (void) good(q, replies, address);
        else if (g_str_equal(how, "servfail"))
                fake_reply(q, replies)->data[3] |= ns_r_servfail;
        else if (g_str_equal(how, "truncated") && !q->by_tcp)
                fake_reply(q, replies)->data[2] |= 2;
        else if (g_str_equal(how, "hangup") && !q->by_tcp)
                fake_reply(q, replies)->data[2] |= 2;
        else if (g_str_equal(how, "lower") && !q->by_tcp)
                lower(q, replies, address);
        else if (g_str_equal(how, "lowest"))
                lower(q, replies, address);
        else if (g_str_equal(how, "noedns") && q->has_edns)
                fake_reply(q, replies)->data[3] |= ns_r_formerr;
        else if (g_str_equal(how, "forged") || g_str_equal(how, "flood")) {
                for (unsigned i = 0; i < (g_str_equal(how, "flood") ? 40 : 8); i++)
                        good(q, replies, "6.6.6.6")->data[0] ^= 0x55;
                (void) good(q, replies, address);
        } else if (!g_str_equal(how, "silent") && !g_str_equal(how, "hangup"))
                (void) good(q, replies, address);
}

static void respond(const FakeQuery *q, GPtrArray *replies, void *userdata)
{
        g_autofree char *name = g_ascii_strdown(q->name, -1);
        g_auto(GStrv) labels = g_strsplit(name, ".", -1);
        unsigned which = GPOINTER_TO_UINT(userdata);

        n_tcp += q->by_tcp;
        n_plain += !q->has_edns;
        n_mixed += !g_str_equal(name, q->name);
        if (n_ids < G_N_ELEMENTS(ids)) {
                ids[n_ids] = q->id;
                ports[n_ids++] = q->port;
        }
        act(labels[which], q, replies, which == 0 ? "9.9.9.1" : "9.9.9.2");
}

static void done(const Answer *a, void *userdata)
{
        g_assert(userdata == &n_done);
        n_done++;
        g_free(outcome);
        outcome = !a                    ? g_strdup("nothing")
                  : a->n_addresses == 0 ? g_strdup("no address")
                                        : g_strdup_printf("9.9.9.%u", a->addresses[0] & 0xff);
}

static DnsName name_of(const char *text)
{
        g_autoptr(DnsPacket) p = g_byte_array_new();
        DnsName name;

        dns_put_name(p, text);
        g_assert(dns_name_read(p->data, p->len, 0, &name) > 0);
        return name;
}

static void set_upstreams(unsigned n, bool first_is_absent)
{
        ResolverUpstream items[2] = {0};

        for (unsigned i = 0; i < n; i++) {
                const char *port = strrchr(fake_upstream_address(fakes[i]), ':') + 1;
                items[i] = (ResolverUpstream){.family = AF_INET,
                                              .port = htons((uint16_t) atoi(port)),
                                              .address.v4.s_addr = htonl(INADDR_LOOPBACK)};
        }
        if (first_is_absent)
                items[0].port = htons(1);
        upstreams_set(upstreams, items, n);
}

static void ask(const char *text)
{
        DnsName name = name_of(text);

        n_done = n_tcp = n_plain = n_mixed = n_ids = 0;
        g_assert(upstreams_ask(upstreams, &name, ns_t_a, done, &n_done));
        if (n_done > 0)
                tap_bail_out("it was done before it had begun");
        while (n_done == 0)
                g_assert(sd_event_run(event, UINT64_MAX) >= 0);
}

static void test_ask(const char *name, const char *expected, const char *sentence)
{
        ask(name);
        tap_is_str(n_done == 1 ? outcome : "more than once", expected, "%s", sentence);
}

static void test_one(void)
{
        set_upstreams(1, false);
        test_ask("good.x", "9.9.9.1", "an answer arrives");
        test_ask("truncated.x", "9.9.9.1", "what does not fit comes over TCP");
        tap_is_int(n_tcp, 1, "and is asked for once");
        test_ask("lower.x", "9.9.9.1", "who does not keep the case is asked over TCP");
        tap_is_int(n_tcp, 1, "once, too");
        test_ask("lowest.x", "nothing", "who does not keep it there either is not believed");
        test_ask("noedns.x", "9.9.9.1", "who does not know EDNS is asked without");
        tap_is_int(n_plain, 1, "once, again");
        test_ask("forged.x", "9.9.9.1", "wrong ids are passed over");
        test_ask("flood.x", "nothing", "too many wrong ids are a failure");
        test_ask("servfail.x", "nothing", "a failure is one");
        test_ask("hangup.x", "nothing", "a connection that ends early is a failure");
        set_upstreams(1, true);
        test_ask("good.x", "nothing", "where nobody listens is no answer");
        set_upstreams(0, false);
        test_ask("good.x", "nothing", "where there is nobody to ask there is none");
}

static void test_two(void)
{
        set_upstreams(2, false);
        test_ask("servfail.good", "9.9.9.2", "after a failure the next one is asked");
        test_ask("silent.good", "9.9.9.2", "who answered last is asked first");
        tap_is_int(n_ids, 1, "and nobody else");
        set_upstreams(2, false);
        test_ask("silent.good", "9.9.9.2", "who does not answer is waited for, not for ever");
        set_upstreams(2, false);
        test_ask("flood.good", "9.9.9.2", "where somebody guesses the next one is asked");
        set_upstreams(2, false);
        test_ask("hangup.good", "9.9.9.2", "where TCP fails the next one is asked");
        set_upstreams(2, false);
        test_ask("servfail.servfail", "nothing", "when all have failed that is all");
        tap_is_int(n_ids, 2, "each was asked once");
        set_upstreams(2, true);
        test_ask("good.good", "9.9.9.2", "where nobody listens the next one is asked");
}

/* Nobody answers: the only case that takes its time. */
static void test_silence(void)
{
        unsigned n_ids_different = 0, n_ports_different = 0;

        set_upstreams(2, false);
        test_ask("silent.silent", "nothing", "when nobody answers it ends");
        for (unsigned i = 1; i < n_ids; i++) {
                n_ids_different += ids[i] != ids[0];
                n_ports_different += ports[i] != ports[0];
        }
        tap_ok(n_ids > 2 && n_ids_different > 0, "each attempt has an id of its own");
        tap_ok(n_ports_different > 0, "and a port of its own");
        tap_ok(n_mixed > 0, "and cases that nobody can guess");
}

static void test_cancel(void)
{
        DnsName name = name_of("good.good");
        Ask *asked;

        set_upstreams(2, false);
        n_done = n_ids = 0;
        asked = upstreams_ask(upstreams, &name, ns_t_a, done, &n_done);
        while (n_ids == 0)
                g_assert(sd_event_run(event, UINT64_MAX) >= 0);
        asked = ask_cancel(asked);
        /* The reply of the one comes before that of the other. */
        ask("good.good");
        tap_ok(!asked && n_done == 1, "what was cancelled is not done");
}

int main(void)
{
        g_assert(sd_event_new(&event) >= 0);
        for (unsigned i = 0; i < 2; i++)
                fakes[i] = fake_upstream_new(event, respond, GUINT_TO_POINTER(i));
        upstreams = upstreams_new(event);
        test_one();
        test_two();
        test_silence();
        test_cancel();
        upstreams = upstreams_free(upstreams);
        for (unsigned i = 0; i < 2; i++)
                fakes[i] = fake_upstream_free(fakes[i]);
        event = sd_event_unref(event);
        g_free(outcome);
        return tap_done();
}
