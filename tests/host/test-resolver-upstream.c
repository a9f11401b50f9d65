/* SPDX-License-Identifier: MIT */

/* Whom the resolver asks. */

#include "host/resolver-private.h"
#include "tests/host/resolver-fixture.h"

#include <net/if.h>

/* "192.0.2.53:53", "[2001:db8::1]:53"; the caller frees it. */
static char *describe(const ResolverUpstream *u)
{
        char text[INET6_ADDRSTRLEN] = "?";

        (void) inet_ntop(u->family, &u->address, text, sizeof text);
        return g_strdup_printf(u->family == AF_INET6 ? "[%s]:%u" : "%s:%u", text, ntohs(u->port));
}

static void test_parsing(void)
{
        static const struct {
                const char *text, *expected;
        } good[] = {
                {"192.0.2.53", "192.0.2.53:53"},
                {"192.0.2.53:5353", "192.0.2.53:5353"},
                {"2001:db8::1", "[2001:db8::1]:53"},
                {"[2001:db8::1]", "[2001:db8::1]:53"},
                {"[2001:db8::1]:5353", "[2001:db8::1]:5353"},
                {"::1", "[::1]:53"},
                {"fe80::1%lo", "[fe80::1]:53"},
        };
        static const char *const bad[] = {
                "",       "example.com",      "192.0.2",      "192.0.2.53:",   "192.0.2.53:0",
                "[::1",   "192.0.2.53:65536", "192.0.2.53:x", "[::1]5353",     "[::1]:",
                "::1::2", "fe80::1%nowhere",  "192.0.2.53 ",  "192.0.2.53:-1", ":53",
        };
        ResolverUpstream u;

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                g_autofree char *got = NULL;
                int r = resolver_upstream_parse(good[i].text, &u, NULL);

                got = r == 0 ? describe(&u) : NULL;
                tap_is_str(got, good[i].expected, "'%s' is an upstream", good[i].text);
        }
        g_assert(resolver_upstream_parse("fe80::1%lo", &u, NULL) == 0);
        tap_is_int(u.scope_id, if_nametoindex("lo"), "a link is kept");
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                tap_is_int(resolver_upstream_parse(bad[i], &u, NULL), -EINVAL, "'%s' is none",
                           bad[i]);
}

static void test_files(void)
{
        static const struct {
                const char *text, *expected, *sentence;
        } cases[] = {
                {"nameserver 192.0.2.1\n", "192.0.2.1:53", "a file names one"},
                {"# a comment\nsearch example.com\nnameserver\t192.0.2.1  # one\n"
                 "options edns0\nnameserver 2001:db8::1",
                 "192.0.2.1:53 [2001:db8::1]:53", "or two, among other things"},
                {"nameserver 192.0.2.1\r\nnameserver 192.0.2.2\r\n", "192.0.2.1:53 192.0.2.2:53",
                 "with any ends of lines"},
                {"nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n"
                 "nameserver 192.0.2.4\n",
                 "192.0.2.1:53 192.0.2.2:53 192.0.2.3:53", "at most three are asked"},
                {"nameserver example.com\nnameserver 192.0.2.1:5353\nnameserver\nnameservers 9.9.9.9\n"
                 " nameserver 9.9.9.9\nnameserver 192.0.2.2\n",
                 "192.0.2.2:53", "what is none is passed over"},
                {"", "127.0.0.1:53", "where it names none, this host is asked"},
        };
        g_autofree char *path = g_build_filename(folder, "resolv.conf", NULL);
        ResolverUpstream items[RESOLVER_UPSTREAMS_MAX];

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GString) got = g_string_new(NULL);

                g_assert(g_file_set_contents(path, cases[i].text, -1, NULL));
                unsigned n = resolver_upstreams_read(path, items);
                for (unsigned k = 0; k < n; k++) {
                        g_autofree char *text = describe(&items[k]);
                        g_string_append_printf(got, "%s%s", k > 0 ? " " : "", text);
                }
                tap_is_str(got->str, cases[i].expected, "%s", cases[i].sentence);
        }
        g_assert(unlink(path) == 0);
        tap_is_int(resolver_upstreams_read(path, items), 1,
                   "where there is no file, this host is asked");
}

static void test_changes(void)
{
        g_autofree char *path = g_build_filename(folder, "resolv.conf", NULL);

        g_assert(g_file_set_contents(path, "nameserver 192.0.2.1\n", -1, NULL));
        open_resolver(path);
        tap_is_int(ntohl(resolver->upstreams[0].address.v4.s_addr), 0xc0000201,
                   "resolv.conf is read");
        g_assert(g_file_set_contents(path, "nameserver 192.0.2.2\n", -1, NULL));
        while (ntohl(resolver->upstreams[0].address.v4.s_addr) != UINT32_C(0xc0000202))
                turn();
        tap_ok(resolver->n_upstreams == 1 && n_deaths == 0, "and again when it has changed");
        tap_is_int(n_changes, 1, "which is told once");
        resolver = resolver_free(resolver);
}

static void respond(const FakeQuery *q, GPtrArray *replies, void *userdata)
{
        (void) q, (void) replies, (void) userdata;
}

int main(void)
{
        set_up(respond);
        test_parsing();
        test_files();
        test_changes();
        tear_down();
        return tap_done();
}
