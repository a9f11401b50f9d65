/* SPDX-License-Identifier: MIT */

/* What a fluid-resolver that was taken over can do to the daemon. This program is that one, too,
 * when it is started by the name of a lie. */

#include "tests/host/resolver-fixture.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>

#define STRANGER UINT32_C(0x7f000063)

/* -- the liar ------------------------------------------------------------------------------- */

static const char *where_to_listen;
static uint32_t list; /* of CLIENT, as the daemon told */

static void hear(ResolverMessageType type, ResolverMessage *ret)
{
        struct pollfd p = {.fd = RESOLVER_FD_CHANNEL, .events = POLLIN};
        Fault why;

        do {
                int r = resolver_message_receive(RESOLVER_FD_CHANNEL, true, ret, &why);
                if (r < 0)
                        _exit(1);
                if (r == 0)
                        (void) poll(&p, 1, -1);
        } while (ret->type != type);
}

static void say(ResolverMessage *m)
{
        struct pollfd p = {.fd = RESOLVER_FD_CHANNEL, .events = POLLOUT};

        while (resolver_message_send(RESOLVER_FD_CHANNEL, m) == -EAGAIN)
                (void) poll(&p, 1, -1);
}

static int open_socket(int type, const char *where)
{
        g_auto(GStrv) parts = g_strsplit(where, ":", 2);
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = inet_addr(parts[0]),
                                      .sin_port = htons((in_port_t) atoi(parts[1]))};
        int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (bind(fd, (struct sockaddr *) &address, sizeof address) < 0 ||
            (type == SOCK_STREAM && listen(fd, 1) < 0))
                _exit(4);
        return fd;
}

static void say_sockets(int first_type, int second_type, const char *where)
{
        int first = open_socket(first_type, where), second = open_socket(second_type, where);

        if (resolver_message_send_sockets(RESOLVER_FD_CHANNEL, first, second) < 0)
                _exit(5);
}

static ResolverMessage found(uint32_t address)
{
        ResolverMessage m = {.type = RESOLVER_FOUND};

        m.found.serial = 7;
        m.found.client = CLIENT;
        m.found.list = list;
        m.found.ttl_sec = 60;
        m.found.n = 1;
        m.found.addresses[0] = address;
        (void) g_strlcpy(m.found.name, "www.example.com", sizeof m.found.name);
        return m;
}

static void say_found(uint32_t client, uint32_t of_list, const char *name, uint32_t address)
{
        static unsigned n;
        ResolverMessage m = found(address);

        n++;
        m.found.client = client;
        m.found.list = of_list;
        (void) g_strlcpy(m.found.name, name, sizeof m.found.name);
        say(&m);
        hear(RESOLVER_ACCEPTED, &m);
        if (m.accepted.serial != 7)
                _exit(2);
        if (m.accepted.mask != 0) {
                m = (ResolverMessage){.type = RESOLVER_REFUSED};
                m.refused.client = CLIENT;
                (void) snprintf(m.refused.name, sizeof m.refused.name, "lie %u was accepted", n);
                say(&m);
        }
}

static void lie_size(void)
{
        (void) !write(RESOLVER_FD_CHANNEL, "lie", 3);
}

static void lie_long(void)
{
        static const char bytes[2 * sizeof(ResolverMessage)];

        (void) !write(RESOLVER_FD_CHANNEL, bytes, sizeof bytes);
}

static void lie_version(void)
{
        ResolverMessage m = {.version = RESOLVER_VERSION + 1, .type = RESOLVER_READY};

        (void) !write(RESOLVER_FD_CHANNEL, &m, sizeof m);
}

static void lie_type(void)
{
        say(&(ResolverMessage){.type = RESOLVER_ACCEPTED});
}

static void lie_unknown(void)
{
        say(&(ResolverMessage){.type = 77777});
}

static void lie_special(void)
{
        ResolverMessage m = found(UINT32_C(0x7f000001));

        say(&m);
}

static void lie_ttl(void)
{
        ResolverMessage m = found(UINT32_C(0x09090909));

        m.found.ttl_sec = RESOLVER_TTL_MAX_SEC + 1;
        say(&m);
}

static void lie_count(void)
{
        ResolverMessage m = found(UINT32_C(0x09090909));

        m.found.n = UINT32_MAX;
        say(&m);
}

static void lie_text(void)
{
        ResolverMessage m = found(UINT32_C(0x09090909));

        memset(m.found.name, 'a', sizeof m.found.name);
        say(&m);
}

static void lie_reason(void)
{
        ResolverMessage m = {.type = RESOLVER_REFUSED};

        m.refused.reason = 99;
        m.refused.name[0] = 'a';
        say(&m);
}

static void lie_unheard(void)
{
        say(&(ResolverMessage){.type = RESOLVER_READY});
}

static void lie_bare(void)
{
        say(&(ResolverMessage){.type = RESOLVER_SOCKETS});
}

static void lie_elsewhere(void)
{
        say_sockets(SOCK_DGRAM, SOCK_STREAM, "127.0.0.1:0");
}

static void lie_swapped(void)
{
        say_sockets(SOCK_STREAM, SOCK_DGRAM, where_to_listen);
}

static void lie_again(void)
{
        say_sockets(SOCK_DGRAM, SOCK_STREAM, "127.0.0.1:0");
}

/* Never reads. */
static void lie_deaf(void)
{
        ResolverMessage m = found(UINT32_C(0x09090909));

        for (;;)
                say(&m);
}

/* As fast as it can. */
static void lie_flood(void)
{
        ResolverMessage m = {.type = RESOLVER_NEWS};

        for (;;)
                say(&m);
}

static void lie_words(void)
{
        (void) !write(STDERR_FILENO, "first\nlast \033[31mred\n", 21);
        _exit(3);
}

static void lie_hang(void)
{
        (void) close(RESOLVER_FD_CHANNEL);
        for (;;)
                (void) pause();
}

/* These are no breach: each could be honest, of a client that has changed. The last one is. */
static void lie_false(void)
{
        ResolverMessage m;

        say_found(STRANGER, list, "www.example.com", UINT32_C(0x09090909));
        say_found(CLIENT, list + 1, "www.example.com", UINT32_C(0x09090909));
        say_found(CLIENT, list, "www.example.org", UINT32_C(0x09090909));
        say_found(CLIENT, list, "\n.example.com", UINT32_C(0x09090909));
        say_found(CLIENT, list, "*.example.com", UINT32_C(0x09090909));
        say_found(CLIENT, list, "www.example.com", UINT32_C(0x0a000001));
        say_found(CLIENT, list, "www.example.com", UINT32_C(0x09090909));
        hear(_RESOLVER_DAEMON_MAX, &m);
}

/* The daemon is deaf to what is beyond the most. */
static void lie_many(void)
{
        ResolverMessage m = {.type = RESOLVER_REFUSED}, again;
        unsigned n = 0;

        for (uint32_t i = 0; i < 2 * RESOLVER_REACHABLE_MAX; i++) {
                ResolverMessage one = found(UINT32_C(0x09000000) + i);
                say(&one);
                hear(RESOLVER_ACCEPTED, &one);
                n += one.accepted.mask;
        }
        again = found(UINT32_C(0x09000000));
        say(&again);
        hear(RESOLVER_ACCEPTED, &again);
        m.refused.client = CLIENT;
        (void) snprintf(m.refused.name, sizeof m.refused.name, "%u and %u", n, again.accepted.mask);
        say(&m);
        hear(_RESOLVER_DAEMON_MAX, &m);
}

static void lie_escape(void)
{
        ResolverMessage m = {.type = RESOLVER_REFUSED};

        m.refused.client = STRANGER;
        (void) g_strlcpy(m.refused.name, "stranger", sizeof m.refused.name);
        say(&m);
        m.refused.client = CLIENT;
        (void) g_strlcpy(m.refused.name, "\033[2J\xff", sizeof m.refused.name);
        say(&m);
        hear(_RESOLVER_DAEMON_MAX, &m);
}

/* The first of them lie with what comes before all else. */
#define SOCKET_LIES 4

static const struct {
        const char *name;
        void (*lie)(void);
        const char *death, *news; /* what comes of it: one of them */
        const char *sentence;
} lies[] = {
        {"unheard", lie_unheard, "sent no sockets", NULL,
         "who does not begin with its sockets is ended"},
        {"bare", lie_bare, "sent no sockets", NULL, "who says so but sends none is ended"},
        {"elsewhere", lie_elsewhere, "sent other sockets", NULL,
         "who sends sockets of another address is ended"},
        {"swapped", lie_swapped, "sent other sockets", NULL,
         "who sends sockets of another kind is ended"},
        {"again", lie_again, "sent what it may not", NULL, "who sends sockets again is ended"},
        {"size", lie_size, "sent a message of another size", NULL,
         "who sends a short message is ended"},
        {"long", lie_long, "sent a message of another size", NULL,
         "who sends a long message is ended"},
        {"version", lie_version, "sent a message of another version", NULL,
         "who is of another version is ended"},
        {"type", lie_type, "sent a message that is not its own", NULL,
         "who sends the daemon's messages is ended"},
        {"unknown", lie_unknown, "sent a message of an unknown type", NULL,
         "who sends unknown messages is ended"},
        {"special", lie_special, "sent wrong addresses of a name", NULL,
         "who finds a special address is ended"},
        {"ttl", lie_ttl, "sent wrong addresses of a name", NULL,
         "who finds an address for too long is ended"},
        {"count", lie_count, "sent wrong addresses of a name", NULL,
         "who finds too many addresses is ended"},
        {"text", lie_text, "sent wrong addresses of a name", NULL,
         "who sends a name without an end is ended"},
        {"reason", lie_reason, "sent a wrong refusal", NULL,
         "who refuses for an unknown reason is ended"},
        {"deaf", lie_deaf, "does not read its answers", NULL,
         "who does not read what it asked for is ended"},
        {"flood", lie_flood, "sends more than it may", NULL, "who floods the daemon is ended"},
        {"words", lie_words, "last \\x1b[31mred", NULL,
         "the last words of who ends by itself are told, escaped"},
        {"hang", lie_hang, "ended by signal 9", NULL, "who closes the channel and stays is ended"},
        {"false", lie_false, NULL,
         "2 may reach 9.9.9.9 of www.example.com for 60, 2 not lie 7 was accepted, name",
         "only what a client may ask for, and reach, is allowed to it"},
        {"many", lie_many, NULL, "2 not 512 and 1, name",
         "a client reaches so many addresses, and those again"},
        {"escape", lie_escape, NULL, "2 not \\x1b[2J\\xff, name",
         "names are escaped, and of known clients only"},
};

static void lie(const char *name)
{
        ResolverMessage m;

        for (size_t i = 0; i < G_N_ELEMENTS(lies); i++)
                if (g_str_equal(name, lies[i].name)) {
                        if (i >= SOCKET_LIES)
                                say_sockets(SOCK_DGRAM, SOCK_STREAM, where_to_listen);
                        hear(RESOLVER_CLIENT, &m);
                        list = m.client.list;
                        lies[i].lie();
                        hear(_RESOLVER_DAEMON_MAX, &m);
                }
}

/* -- the daemon ----------------------------------------------------------------------------- */

static void test_lie(size_t i)
{
        g_autofree char *link = g_build_filename(folder, lies[i].name, NULL);
        g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
        bool is_good;

        n_deaths = 0;
        (void) g_string_assign(told, "");
        if (symlink(self, link) < 0)
                tap_bail_out("no link");
        start_unit(link);
        open_resolver(NULL);
        set_client(CLIENT, false, "*.example.com");
        while (n_deaths == 0 && !strstr(told->str, " not "))
                turn();
        if (lies[i].news)
                is_good = n_deaths == 0 && g_str_has_suffix(told->str, lies[i].news);
        else
                is_good = n_deaths == 1 && strstr(death, lies[i].death);
        if (!tap_ok(is_good, "%s", lies[i].sentence))
                tap_note("died %u times of '%s', told '%.300s'", n_deaths, death, told->str);
        resolver = resolver_free(resolver);
}

static void respond(const FakeQuery *q, GPtrArray *replies, void *userdata)
{
        (void) q, (void) replies, (void) userdata;
}

int main(int argc, char **argv)
{
        g_autofree char *name = g_path_get_basename(argv[0]);

        if (argc > 2) {
                where_to_listen = argv[2];
                lie(name);
        }
        set_up(respond);
        for (size_t i = 0; i < G_N_ELEMENTS(lies); i++)
                test_lie(i);
        tear_down();
        return tap_done();
}
