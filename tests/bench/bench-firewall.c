/* SPDX-License-Identifier: MIT */

/* What the rules cost, in network namespaces of its own: bench-firewall (root). TMPDIR holds the
 * firewall's files.
 *
 * rules_add_N_ms: firewall_set() of one more beside N sandboxes; rules_add_floor_N_ms: the same
 * elements by libnftables alone. forward_N_mibps: TCP from a sandbox to beyond the uplink, with the
 * rules of N sandboxes; forward_floor_N_mibps: without anything of fluid's, NAT included;
 * forward_N_ratio: the one to the other. forward_nat_N_ratio: to the same path with nothing but a
 * rule that masquerades, which no path from a sandbox's address to the internet can do without. */

#include "base/cleanup.h"
#include "base/file.h"
#include "base/quantity.h"
#include "tests/bench/samples.h"
#include "tests/net/network.h"
#include "tests/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <nftables/libnftables.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS         40
#define FORWARD_ROUNDS 150
#define FORWARD_WARM   5
#define TURN_BYTES     ((size_t) 24 << 20)
#define TURNS_MIB      48.0 /* of two turns */
#define PORT           5001
#define CHUNK_BYTES    ((size_t) 1 << 18)

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

static void print_numbered(const Samples *samples, const char *format, unsigned n)
{
        GString *name = g_string_new(format);
        g_autofree char *number = g_strdup_printf("%u", n);

        (void) g_string_replace(name, "%u", number, 1);
        samples_print(samples, name->str);
        (void) g_string_free(name, TRUE);
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

        print_numbered(&add, "rules_add_%u_ms", n);
        print_numbered(&floor, "rules_add_floor_%u_ms", n);
        print_numbered(&verify, "rules_verify_%u_ms", n);
        print_numbered(&verify_all, "rules_verify_all_%u_ms", n);
        print_numbered(&load, "rules_load_%u_ms", n);
}

/* -- forwarding -------------------------------------------------------------------------------- */

/* A connection from a sandbox to beyond the uplink, in a network of its own. */
typedef struct Stream {
        Network *network;
        Firewall *firewall;
        int fd, accepted;
        cpu_set_t cpus; /* all that there are */
        GThread *receiver;
        sem_t has_all; /* of one turn */
} Stream;

/* The sender has one CPU and the receivers another, before all other work of the machine: where
 * the scheduler puts them makes more than any rule. */
static void go_first(const cpu_set_t *all, unsigned number)
{
        const struct sched_param first = {.sched_priority = 1};
        cpu_set_t one;

        CPU_ZERO(&one);
        for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
                if (CPU_ISSET(cpu, all) && number-- == 0)
                        CPU_SET(cpu, &one);
        if (CPU_COUNT(&one) > 0 && sched_setaffinity(0, sizeof one, &one) < 0)
                tap_bail_out("cannot stay on one CPU");
        if (sched_setscheduler(0, SCHED_FIFO, &first) < 0)
                (void) fprintf(stderr, "no real-time priority: the machine's load counts, too\n");
}

static void go_as_before(const cpu_set_t *all)
{
        const struct sched_param usual = {0};

        (void) sched_setscheduler(0, SCHED_OTHER, &usual);
        (void) sched_setaffinity(0, sizeof *all, all);
}

/* Sleeps before a turn, and never within it: one that is faster than the sender would be woken for
 * each segment and acknowledge each, one that is slower takes many at once. Which of both it is
 * would be decided by a little more work on the way, and cost more than that. */
static void *receive(void *data)
{
        Stream *s = data;
        g_autofree char *buffer = g_malloc(CHUNK_BYTES);
        size_t received = 0;
        ssize_t n;

        go_first(&s->cpus, 1);
        for (;;) {
                n = recv(s->accepted, buffer, CHUNK_BYTES, received > 0 ? MSG_DONTWAIT : 0);
                if (n < 0 && errno == EAGAIN)
                        continue;
                if (n <= 0)
                        return NULL;
                received += (size_t) n;
                if (received >= TURN_BYTES) {
                        received -= TURN_BYTES;
                        (void) sem_post(&s->has_all);
                }
        }
}

static int listen_in(int ns, uint16_t port)
{
        struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};

        network_enter(ns);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(fd, (struct sockaddr *) &any, sizeof any) < 0 || listen(fd, 8) < 0)
                tap_bail_out("cannot listen");
        return fd;
}

/* As other software would translate addresses. */
static void load_nat(void)
{
        network_run("nft 'table ip nat { chain leaving { type nat hook postrouting priority srcnat;"
                    " ip saddr 10.123.0.0/16 oifname \"uplink0\" masquerade; }; }'");
}

/* With the rules of n sandboxes; for 0 with no table at all, or none but that of NAT. */
static Stream *stream_new(unsigned n, bool has_nat)
{
        const struct sockaddr_in to = {.sin_family = AF_INET,
                                       .sin_port = htons(PORT),
                                       .sin_addr = {htonl(NETWORK_INTERNET)}};
        Stream *s = g_new0(Stream, 1);

        if (sched_getaffinity(0, sizeof s->cpus, &s->cpus) < 0)
                tap_bail_out("cannot tell which CPUs there are");
        s->network = network_new(true, false);
        network_add_guests(s->network);
        if (n > 0) {
                s->firewall = network_open_firewall(s->network);
                load_many(s->firewall, n);
        } else if (has_nat) {
                load_nat();
        }
        autofd listener = listen_in(s->network->lan, PORT);
        network_enter(s->network->guests[0]);
        s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(s->fd, (const struct sockaddr *) &to, sizeof to) < 0)
                tap_bail_out("cannot connect through the rules");
        network_enter(s->network->host);
        s->accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        (void) sem_init(&s->has_all, 0, 0);
        s->receiver = g_thread_new("receiver", receive, s);
        return s;
}

static void stream_free(Stream *s)
{
        (void) close_fd(s->fd);
        (void) g_thread_join(s->receiver);
        (void) close_fd(s->accepted);
        (void) sem_destroy(&s->has_all);
        firewall_free(s->firewall);
        (void) network_free(s->network);
        g_free(s);
}

/* How long it takes, in microseconds. */
static double stream_turn(Stream *s)
{
        static char buffer[CHUNK_BYTES];
        uint64_t since = now_monotonic_usec();

        for (size_t sent = 0; sent < TURN_BYTES;) {
                ssize_t n = write(s->fd, buffer, MIN(sizeof buffer, TURN_BYTES - sent));
                if (n < 0)
                        tap_bail_out("the stream broke");
                sent += (size_t) n;
        }
        (void) sem_wait(&s->has_all);
        return (double) (now_monotonic_usec() - since);
}

/* Of paths side by side, in rounds of two turns of each, of some 10 ms, in an order that changes:
 * one that comes twice in a row is faster the second time. What else the machine does, and how it
 * slows down, meets all, and the ratio is the median of each round's. n is 0: of none and none, so
 * that what is left of 1 is the measurement's own. */
static void measure_forwarding(unsigned n)
{
        enum { WITH, NAT, WITHOUT, N_PATHS };
        Stream *streams[N_PATHS] = {
                [WITH] = stream_new(n, false),
                [NAT] = stream_new(0, true),
                [WITHOUT] = stream_new(0, false),
        };
        Samples rate = {0}, floor_rate = {0}, ratio = {0}, nat_ratio = {0};
        cpu_set_t cpus = streams[WITH]->cpus;
        g_autoptr(GRand) random = g_rand_new_with_seed(1);

        go_first(&cpus, 0);
        for (unsigned i = 0; i < FORWARD_ROUNDS + FORWARD_WARM; i++) {
                double usec[N_PATHS] = {0};
                for (unsigned half = 0; half < 2; half++) {
                        unsigned order[N_PATHS];
                        shuffle(order, N_PATHS, random);
                        for (unsigned turn = 0; turn < N_PATHS; turn++)
                                usec[order[turn]] += stream_turn(streams[order[turn]]);
                }
                if (i < FORWARD_WARM)
                        continue;
                samples_add(&rate, TURNS_MIB * USEC_PER_SEC / usec[WITH]);
                samples_add(&floor_rate, TURNS_MIB * USEC_PER_SEC / usec[WITHOUT]);
                samples_add(&ratio, usec[WITHOUT] / usec[WITH]);
                samples_add(&nat_ratio, usec[NAT] / usec[WITH]);
        }
        go_as_before(&cpus);
        for (unsigned path = 0; path < N_PATHS; path++)
                stream_free(streams[path]);
        print_numbered(&rate, "forward_%u_mibps", n);
        print_numbered(&floor_rate, "forward_floor_%u_mibps", n);
        print_numbered(&ratio, "forward_%u_ratio", n);
        print_numbered(&nat_ratio, "forward_nat_%u_ratio", n);
}

int main(void)
{
        static const unsigned numbers[] = {10, 100, 1000, 4000}, loads[] = {0, 1, 1000};

        for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
                measure_add(numbers[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(loads); i++)
                measure_forwarding(loads[i]);
        return EXIT_SUCCESS;
}
