/* SPDX-License-Identifier: MIT */
#pragma once

/* For the tests of host/resolver.h: the real fluid-resolver, guests and an upstream resolver, all
 * on the loopback interface, and what the observer was told. */

#include "host/resolver.h"

#include "base/address.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/quantity.h"
#include "loop/child.h"
#include "tests/fake/upstream.h"
#include "tests/socket-unit.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define GATEWAY UINT32_C(0x7f000001)
#define CLIENT  UINT32_C(0x7f000002)
#define OTHER   UINT32_C(0x7f000003)

/* A socket of a guest's. */
typedef struct Guest {
        int fd;
        bool by_tcp;
        sd_event_source *io;
        char *reply; /* the last one, described; NULL: none yet */
} Guest;

static sd_event *event;
static FakeUpstream *upstream;
static Resolver *resolver;
static char *folder;
static in_port_t port;
static pid_t unit; /* that runs fluid-resolver */
static Fault fault;

/* What the observer was told, since the beginning of the case. */
static GString *told;
static unsigned n_deaths, n_changes;
static char *death;
static int verdict;
static Guest *watched; /* whose reply must not be there yet when an address is told */
static bool was_early;

/* -- the daemon ----------------------------------------------------------------------------- */

static inline int allowed(uint32_t client, const char *name, uint32_t address, uint32_t ttl_sec,
                          void *userdata)
{
        char text[ADDRESS_TEXT_MAX], byte;

        (void) userdata;
        address_format(address, text);
        g_string_append_printf(told, "%s%u may reach %s of %s for %u", told->len ? ", " : "",
                               client & 0xff, text, name, ttl_sec);
        if (watched && recv(watched->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0)
                was_early = true;
        return verdict;
}

static inline void refused(uint32_t client, const char *name, ResolverReason reason, unsigned times,
                           void *userdata)
{
        (void) userdata;
        g_string_append_printf(told, "%s%u not %s, %s%s", told->len ? ", " : "", client & 0xff,
                               name, reason == RESOLVER_REASON_NAME ? "name" : "address",
                               times > 1 ? " again" : "");
}

static inline void died(const char *reason, void *userdata)
{
        (void) userdata;
        n_deaths++;
        g_free(death);
        death = g_strdup(reason);
}

static inline void upstreams_changed(void *userdata)
{
        (void) userdata;
        n_changes++;
}

static const ResolverObserver observer = {allowed, refused, upstreams_changed, died};

/* One round of the loop; the tests' own deadline is that of the test program. */
static inline void turn(void)
{
        g_assert(sd_event_run(event, UINT64_MAX) >= 0);
}

/* -- the guests ----------------------------------------------------------------------------- */

static inline int on_reply(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Guest *g = userdata;
        uint8_t bytes[8192];
        ssize_t n;

        (void) source, (void) revents;
        n = g->by_tcp ? recv(fd, bytes, NS_INT16SZ, MSG_WAITALL) : 0;
        if (n == NS_INT16SZ)
                n = recv(fd, bytes, ns_get16(bytes), MSG_WAITALL);
        else if (!g->by_tcp)
                n = recv(fd, bytes, sizeof bytes, 0);
        g_free(g->reply);
        g->reply = n <= 0 ? g_strdup("nothing") : dns_describe(bytes, (size_t) n);
        return n <= 0 ? sd_event_source_set_enabled(source, SD_EVENT_OFF) : 0;
}

static inline void guest_open(Guest *g, uint32_t address, bool by_tcp)
{
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
        struct sockaddr_in to = {
                .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(GATEWAY)};

        *g = (Guest){.fd = socket(AF_INET, (by_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0),
                     .by_tcp = by_tcp};
        g_assert(bind(g->fd, (struct sockaddr *) &from, sizeof from) == 0 &&
                 connect(g->fd, (struct sockaddr *) &to, sizeof to) == 0 &&
                 sd_event_add_io(event, &g->io, g->fd, EPOLLIN, on_reply, g) >= 0);
}

static inline void guest_close(Guest *g)
{
        sd_event_source_disable_unref(g->io);
        (void) close_fd(g->fd);
        g_free(g->reply);
}

static inline void guest_ask(Guest *g, const char *name, unsigned type)
{
        static unsigned id;
        g_autoptr(DnsPacket) p = dns_packet(++id & 0xffff, DNS_ASK);

        dns_put_question(p, name, type);
        if (g->by_tcp) {
                uint8_t size[] = {(uint8_t) (p->len >> 8), (uint8_t) p->len};
                g_byte_array_prepend(p, size, sizeof size);
        }
        g_assert(send(g->fd, p->data, p->len, MSG_NOSIGNAL) == (ssize_t) p->len);
}

/* The reply to one question of that client; the caller frees it. */
static inline char *lookup_of(uint32_t client, const char *name, unsigned type)
{
        Guest g;
        char *reply;

        guest_open(&g, client, false);
        watched = &g;
        was_early = false;
        guest_ask(&g, name, type);
        while (!g.reply)
                turn();
        watched = NULL;
        reply = g_steal_pointer(&g.reply);
        guest_close(&g);
        return reply;
}

static inline void test_lookup(const char *name, const char *reply, const char *news,
                               const char *sentence)
{
        g_autofree char *got = NULL;

        (void) g_string_assign(told, "");
        got = lookup_of(CLIENT, name, ns_t_a);
        /* Refusals are told later. */
        while (strlen(told->str) < strlen(news))
                turn();
        if (!tap_ok(g_str_equal(got, reply) && g_str_equal(told->str, news) && !was_early, "%s",
                    sentence))
                tap_note("got '%s', told '%s'%s", got, told->str, was_early ? ", too late" : "");
}

/* -- set-up --------------------------------------------------------------------------------- */

static inline void set_client(uint32_t address, bool allows_private, const char *patterns)
{
        g_auto(GStrv) list = g_strsplit(patterns, " ", -1);
        ResolverClient client = {.address = address,
                                 .patterns = (const char *const *) list,
                                 .n_patterns = g_strv_length(list),
                                 .allows_private = allows_private};

        if (resolver_set_client(resolver, &client, &fault) < 0)
                tap_bail_out(fault.message);
}

/* A port that nobody has. */
static inline in_port_t find_port(void)
{
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(GATEWAY)};
        socklen_t size = sizeof address;
        autofd fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        g_assert(bind(fd, (struct sockaddr *) &address, size) == 0 &&
                 getsockname(fd, (struct sockaddr *) &address, &size) == 0);
        return ntohs(address.sin_port);
}

static inline char *program(void)
{
        g_autofree char *path =
                g_build_filename(g_getenv("FLUID_BUILD") ?: "build", "fluid-resolver", NULL);

        return g_canonicalize_filename(path, NULL);
}

static inline void start_unit(const char *path)
{
        if (unit > 0)
                socket_unit_stop(unit, folder, "fluid-resolver");
        unit = socket_unit_start(folder, "fluid-resolver", path);
}

/* On a port that nobody has, as far as can be told. */
static inline void open_resolver(const char *resolv_conf)
{
        const char *const upstreams[] = {fake_upstream_address(upstream), NULL};
        ResolverSettings settings = {.gateway = GATEWAY,
                                     .port = port = find_port(),
                                     .upstreams = resolv_conf ? NULL : upstreams,
                                     .resolv_conf = resolv_conf};

        if (resolver_new(event, &settings, &observer, NULL, &resolver, &fault) < 0)
                tap_bail_out(fault.message);
}

static inline void end(void)
{
        resolver = resolver_free(resolver);
}

/* By TCP, which is the later of its sockets; of no client of its. */
static inline bool listens(void)
{
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(OTHER + 1)};
        struct sockaddr_in to = {
                .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(GATEWAY)};
        autofd fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        return bind(fd, (struct sockaddr *) &from, sizeof from) == 0 &&
               connect(fd, (struct sockaddr *) &to, sizeof to) == 0;
}

/* Somebody else can have the port, meanwhile. */
static inline void open_until_it_listens(const char *resolv_conf)
{
        open_resolver(resolv_conf);
        for (unsigned i = 0; !listens(); i++) {
                turn();
                if (n_deaths > 0 && i < 100) {
                        end();
                        n_deaths = 0;
                        open_resolver(resolv_conf);
                }
        }
}

static inline void set_up(FakeRespond respond)
{
        g_autofree char *path = program();

        told = g_string_new(NULL);
        folder = g_dir_make_tmp("fluid-resolver-XXXXXX", NULL);
        g_assert(folder && g_chmod(folder, 0755) == 0 && sd_event_new(&event) >= 0);
        upstream = fake_upstream_new(event, respond, NULL);
        child_set_directory(folder);
        start_unit(path);
}

static inline void tear_down(void)
{
        if (unit > 0)
                socket_unit_stop(unit, folder, "fluid-resolver");
        upstream = fake_upstream_free(upstream);
        (void) remove_tree(folder, NULL);
        event = sd_event_unref(event);
        g_free(folder);
        g_free(death);
        (void) g_string_free(told, TRUE);
}

/* With the real program, and one client that may ask for example.com and what is below. */
static inline void begin(void)
{
        verdict = 0;
        n_deaths = n_changes = 0;
        (void) g_string_assign(told, "");
        open_until_it_listens(NULL);
        set_client(CLIENT, false, "example.com *.example.com");
}
