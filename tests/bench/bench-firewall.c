/* SPDX-License-Identifier: MIT */

/* What the rules cost, in network namespaces of its own: bench-firewall (root). TMPDIR holds the
 * firewall's files.
 *
 * rules_add_N_ms: firewall_set() of one more beside N sandboxes; rules_add_floor_N_ms: the same
 * elements by libnftables alone. forward_N_mibps: TCP from a sandbox to beyond the uplink, with the
 * rules of N sandboxes; forward_floor_mibps: without any. */

#include "base/cleanup.h"
#include "base/file.h"
#include "base/quantity.h"
#include "tests/bench/samples.h"
#include "tests/net/network.h"
#include "tests/tap.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <nftables/libnftables.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS        40
#define FORWARD_USEC  (100 * 1000)
#define FORWARD_TURNS 30

static void must(int r, const Fault *f)
{
        if (r < 0)
                tap_bail_out(f->message);
}

static void load_many(Firewall *fw, unsigned n)
{
        static const FirewallProfile profile = {.name = "internet",
                                                .has_internet = true,
                                                .connections_max = 512,
                                                .connections_per_sec = 100};
        g_autofree FirewallSandbox *sandboxes = g_new0(FirewallSandbox, n);
        g_autofree char(*ids)[16] = g_malloc0(n * sizeof *ids);
        Fault f = {0};

        for (unsigned i = 0; i < n; i++) {
                (void) g_snprintf(ids[i], sizeof ids[i], "%012x", i + 2);
                sandboxes[i] = network_sandbox(i + 2, "internet");
                sandboxes[i].id = ids[i];
        }
        must(firewall_load(fw, &profile, 1, sandboxes, n, NULL, 0, &f), &f);
}

/* -- adding ------------------------------------------------------------------------------------ */

/* The lines that the firewall itself sends, as its file has them. */
static char *lines_of(const Network *n, const char *id)
{
        g_autofree char *path = g_strdup_printf("%s/sandboxes/%s.nft", n->directory, id);
        char *text = NULL;
        Fault f = {0};

        must(file_read(path, 1 << 20, &text, NULL, &f), &f);
        return text;
}

static char *deletion_of(const char *lines)
{
        GString *text = g_string_new(lines);

        (void) g_string_replace(text, "\nadd ", "\ndelete ", 0);
        return g_string_free(text, FALSE);
}

static void run_bare(struct nft_ctx *nft, const char *commands)
{
        if (nft_run_cmd_from_buffer(nft, commands) != 0)
                tap_bail_out("libnftables alone failed");
}

static void measure_add(unsigned n)
{
        g_autoptr(Network) network = network_new(true, false);
        g_autoptr(Firewall) fw = network_open_firewall(network);
        struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
        FirewallSandbox next = network_sandbox(n + 2, "internet");
        g_autofree char *id = g_strdup(next.id);
        Samples add = {0}, floor = {0}, verify = {0}, verify_all = {0}, load = {0};
        Fault f = {0};

        next.id = id;
        uint64_t since = now_monotonic_usec();
        load_many(fw, n);
        samples_add_since(&load, since);
        for (unsigned i = 0; i < ROUNDS; i++) {
                since = now_monotonic_usec();
                must(firewall_set(fw, &next, &f), &f);
                samples_add_since(&add, since);
                since = now_monotonic_usec();
                must(firewall_verify(fw, next.id, &f), &f);
                samples_add_since(&verify, since);
                g_autofree char *lines = lines_of(network, next.id), *gone = deletion_of(lines);
                must(firewall_remove(fw, next.id, &f), &f);
                since = now_monotonic_usec();
                run_bare(nft, lines);
                samples_add_since(&floor, since);
                run_bare(nft, gone);
        }
        since = now_monotonic_usec();
        must(firewall_verify_all(fw, &f), &f);
        samples_add_since(&verify_all, since);
        nft_ctx_free(nft);

        const struct {
                const Samples *samples;
                const char *name;
        } rows[] = {{&add, "add"},
                    {&floor, "add_floor"},
                    {&verify, "verify"},
                    {&verify_all, "verify_all"},
                    {&load, "load"}};
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *name = g_strdup_printf("rules_%s_%u_ms", rows[i].name, n);
                samples_print(rows[i].samples, name);
        }
}

/* -- forwarding -------------------------------------------------------------------------------- */

typedef struct Stream {
        int fd;
        uint64_t received;
} Stream;

static void *receive(void *data)
{
        Stream *s = data;
        g_autofree char *buffer = g_malloc(1 << 18);

        for (ssize_t n; (n = read(s->fd, buffer, 1 << 18)) > 0;)
                s->received += (uint64_t) n;
        return NULL;
}

static int listen_in(int ns, uint16_t port)
{
        struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
        int one = 1;

        network_enter(ns);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(fd, (struct sockaddr *) &any, sizeof any) < 0 || listen(fd, 8) < 0)
                tap_bail_out("cannot listen");
        return fd;
}

static double measure_stream(const Network *n)
{
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons(5001),
                                 .sin_addr = {htonl(NETWORK_INTERNET)}};
        autofd listener = listen_in(n->lan, 5001);
        g_autofree char *buffer = g_malloc0(1 << 18);

        network_enter(n->guests[0]);
        autofd fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (struct sockaddr *) &to, sizeof to) < 0)
                tap_bail_out("cannot connect through the rules");
        network_enter(n->host);
        autofd accepted = accept(listener, NULL, NULL);
        Stream s = {.fd = accepted};
        GThread *thread = g_thread_new("receiver", receive, &s);
        uint64_t since = now_monotonic_usec();
        while (now_monotonic_usec() - since < FORWARD_USEC)
                if (write(fd, buffer, 1 << 18) < 0)
                        tap_bail_out("the stream broke");
        (void) shutdown(fd, SHUT_WR);
        (void) g_thread_join(thread);
        return (double) s.received / (1 << 20) /
               ((double) (now_monotonic_usec() - since) / 1000000);
}

/* With and without in turn, since the machine does not stay equally fast. */
static void measure_forwarding(unsigned n)
{
        g_autoptr(Network) network = network_new(true, false);
        g_autoptr(Firewall) fw = network_open_firewall(network);
        g_autofree char *name = g_strdup_printf("forward_%u_mibps", n);
        g_autofree char *floor_name = g_strdup_printf("forward_floor_%u_mibps", n);
        Samples with = {0}, without = {0};

        network_add_guests(network);
        for (unsigned i = 0; i < FORWARD_TURNS; i++) {
                network_run("nft flush ruleset");
                samples_add(&without, measure_stream(network));
                load_many(fw, n);
                samples_add(&with, measure_stream(network));
        }
        samples_print(&with, name);
        samples_print(&without, floor_name);
}

int main(void)
{
        static const unsigned numbers[] = {10, 100, 1000, 4000};

        for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
                measure_add(numbers[i]);
        measure_forwarding(1);
        measure_forwarding(1000);
        return EXIT_SUCCESS;
}
