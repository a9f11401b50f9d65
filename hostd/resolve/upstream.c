/* SPDX-License-Identifier: MIT */
#include "resolve/upstream.h"

#include "base/cleanup.h"
#include "base/quantity.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define UDP_USEC      (UINT64_C(1200) * USEC_PER_MSEC)
#define TCP_USEC      (UINT64_C(2500) * USEC_PER_MSEC)
#define ACCURACY_USEC (10 * USEC_PER_MSEC)
/* All kinds of attempts together. */
#define ATTEMPTS_MAX 6
/* Datagrams that are no answer to this attempt, before it is given up: somebody guesses. */
#define FOREIGN_MAX 16

struct Upstreams {
        sd_event *event;
        ResolverUpstream items[RESOLVER_UPSTREAMS_MAX];
        unsigned n;
        unsigned first; /* the one that answered last */
};

struct Ask {
        Upstreams *upstreams;
        AskDone done;
        void *userdata;
        DnsName name;
        uint64_t end_usec;
        sd_event_source *timer; /* the end of the attempt */
        unsigned n_attempts;
        unsigned n_failures; /* of resolvers that answered, but not with an answer */
        unsigned current;    /* index of the resolver that is asked */

        /* The attempt. */
        Query query;
        bool by_tcp;
        int fd;
        sd_event_source *io;
        unsigned n_foreign;
        uint8_t *bytes; /* over TCP: what is sent, then what was received, each with its size */
        size_t n_bytes, n_done;
};

Upstreams *upstreams_new(sd_event *event)
{
        Upstreams *u = g_new0(Upstreams, 1);

        u->event = sd_event_ref(event);
        return u;
}

Upstreams *upstreams_free(Upstreams *u)
{
        if (!u)
                return NULL;
        sd_event_unref(u->event);
        g_free(u);
        return NULL;
}

void upstreams_set(Upstreams *u, const ResolverUpstream *items, unsigned n)
{
        u->n = MIN(n, RESOLVER_UPSTREAMS_MAX);
        memcpy(u->items, items, u->n * sizeof *items);
        u->first = 0;
}

/* -- ends ----------------------------------------------------------------------------------- */

static void end_attempt(Ask *ask)
{
        ask->io = sd_event_source_disable_unref(ask->io);
        ask->fd = close_fd(ask->fd);
        g_clear_pointer(&ask->bytes, g_free);
        ask->n_bytes = ask->n_done = 0;
}

Ask *ask_cancel(Ask *ask)
{
        if (!ask)
                return NULL;
        end_attempt(ask);
        sd_event_source_disable_unref(ask->timer);
        g_free(ask);
        return NULL;
}

static void finish(Ask *ask, const Answer *answer)
{
        AskDone done = ask->done;
        void *userdata = ask->userdata;

        (void) ask_cancel(ask);
        done(answer, userdata);
}

/* The timer makes the next attempt, or ends it all. */
static void set_timer(Ask *ask, uint64_t delay_usec)
{
        /* What is long past is not put off to save a wake-up. */
        uint64_t at = delay_usec ? MIN(now_monotonic_usec() + delay_usec, ask->end_usec) : 0;

        (void) sd_event_source_set_time(ask->timer, at);
        (void) sd_event_source_set_enabled(ask->timer, SD_EVENT_ONESHOT);
}

static void try_again(Ask *ask)
{
        end_attempt(ask);
        set_timer(ask, 0);
}

static void try_next(Ask *ask)
{
        ask->by_tcp = false;
        ask->query.has_edns = true;
        ask->current++;
        try_again(ask);
}

static void fail(Ask *ask)
{
        ask->n_failures++;
        try_next(ask);
}

/* Only where it is the last thing that a caller does: the Ask may be gone afterwards. */
static void take(Ask *ask, const uint8_t *packet, size_t size)
{
        g_autofree Answer *answer = g_new(Answer, 1);

        switch (answer_parse(packet, size, &ask->query, answer)) {
        case ANSWER_GOOD:
                ask->upstreams->first = ask->current;
                finish(ask, answer);
                return;
        case ANSWER_FOREIGN:
                if (ask->by_tcp || ++ask->n_foreign == FOREIGN_MAX)
                        fail(ask);
                return;
        case ANSWER_OTHER_CASE:
        case ANSWER_TRUNCATED:
                if (ask->by_tcp) {
                        fail(ask);
                        return;
                }
                ask->by_tcp = true;
                try_again(ask);
                return;
        case ANSWER_NO_EDNS:
                ask->query.has_edns = false;
                try_again(ask);
                return;
        case ANSWER_FAILED:
                fail(ask);
                return;
        }
}

/* -- one attempt ---------------------------------------------------------------------------- */

static int on_udp(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Ask *ask = userdata;
        uint8_t packet[DNS_UDP_MAX + 1];
        ssize_t n = recv(fd, packet, sizeof packet, 0);

        (void) source, (void) revents;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n < 0)
                fail(ask); /* nobody listens there, or there is no way */
        else
                take(ask, packet, (size_t) n);
        return 0;
}

/* Sends what is left, then makes room for the size of the answer. */
static int send_tcp(Ask *ask)
{
        ssize_t n =
                send(ask->fd, ask->bytes + ask->n_done, ask->n_bytes - ask->n_done, MSG_NOSIGNAL);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        ask->n_done += (size_t) n;
        if (ask->n_done < ask->n_bytes)
                return 0;
        ask->n_bytes = NS_INT16SZ;
        ask->n_done = 0;
        return sd_event_source_set_io_events(ask->io, EPOLLIN);
}

/* 1: all of it is there. */
static int receive_tcp(Ask *ask)
{
        ssize_t n = recv(ask->fd, ask->bytes + ask->n_done, ask->n_bytes - ask->n_done, 0);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0)
                return -ECONNRESET;
        ask->n_done += (size_t) n;
        if (ask->n_done < ask->n_bytes)
                return 0;
        if (ask->n_bytes > NS_INT16SZ)
                return 1;
        unsigned size = ns_get16(ask->bytes);
        if (size < NS_HFIXEDSZ || size > DNS_TCP_MAX)
                return -EMSGSIZE;
        ask->n_bytes += size;
        ask->bytes = g_realloc(ask->bytes, ask->n_bytes);
        return 0;
}

static int on_tcp(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Ask *ask = userdata;
        int r;

        (void) source, (void) fd;
        r = revents & EPOLLOUT ? send_tcp(ask) : receive_tcp(ask);
        if (r < 0) {
                fail(ask);
        } else if (r > 0) {
                g_autofree uint8_t *bytes = TAKE_PTR(ask->bytes);
                take(ask, bytes + NS_INT16SZ, ask->n_bytes - NS_INT16SZ);
        }
        return 0;
}

static socklen_t to_sockaddr(const ResolverUpstream *u, struct sockaddr_storage *ret)
{
        *ret = (struct sockaddr_storage){0};
        if (u->family == AF_INET) {
                struct sockaddr_in *in = (struct sockaddr_in *) ret;
                *in = (struct sockaddr_in){
                        .sin_family = AF_INET, .sin_port = u->port, .sin_addr = u->address.v4};
                return sizeof *in;
        }
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *) ret;
        *in6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
                                     .sin6_port = u->port,
                                     .sin6_addr = u->address.v6,
                                     .sin6_scope_id = u->scope_id};
        return sizeof *in6;
}

/* The port is the kernel's choice, at random. */
static int connect_socket(Ask *ask)
{
        const ResolverUpstream *u = &ask->upstreams->items[ask->current % ask->upstreams->n];
        int type = ask->by_tcp ? SOCK_STREAM : SOCK_DGRAM;
        struct sockaddr_storage address;
        socklen_t size = to_sockaddr(u, &address);
        int r;

        ask->fd = socket(u->family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (ask->fd < 0 ||
            (connect(ask->fd, (struct sockaddr *) &address, size) < 0 && errno != EINPROGRESS))
                return -errno;
        r = sd_event_add_io(ask->upstreams->event, &ask->io, ask->fd,
                            ask->by_tcp ? EPOLLOUT : EPOLLIN, ask->by_tcp ? on_tcp : on_udp, ask);
        return MIN(r, 0);
}

static int begin_attempt(Ask *ask)
{
        uint8_t packet[NS_INT16SZ + DNS_UDP_MAX], *at = packet;
        size_t size;
        int r;

        ask->n_foreign = 0;
        ask->query.name = ask->name;
        dns_name_mix_case(&ask->query.name);
        if (getrandom(&ask->query.id, sizeof ask->query.id, 0) != sizeof ask->query.id)
                return -EIO;
        r = connect_socket(ask);
        if (r < 0)
                return r;
        size = query_build(&ask->query, packet + NS_INT16SZ);
        NS_PUT16(size, at);
        if (!ask->by_tcp)
                return send(ask->fd, at, size, MSG_NOSIGNAL) < 0 ? -errno : 0;
        ask->n_bytes = NS_INT16SZ + size;
        ask->bytes = g_memdup2(packet, ask->n_bytes);
        return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        Ask *ask = userdata;

        (void) source, (void) usec;
        /* An attempt whose time is over; what is between two attempts has no socket. */
        if (ask->fd >= 0) {
                end_attempt(ask);
                ask->by_tcp = false;
                ask->query.has_edns = true;
                ask->current++;
        }
        if (ask->upstreams->n == 0 || ask->n_attempts == ATTEMPTS_MAX ||
            ask->n_failures >= ask->upstreams->n || now_monotonic_usec() >= ask->end_usec) {
                finish(ask, NULL);
                return 0;
        }
        ask->n_attempts++;
        set_timer(ask, ask->by_tcp ? TCP_USEC : UDP_USEC);
        if (begin_attempt(ask) < 0)
                fail(ask);
        return 0;
}

Ask *upstreams_ask(Upstreams *u, const DnsName *name, uint16_t type, AskDone done, void *userdata)
{
        Ask *ask = g_new0(Ask, 1);

        *ask = (Ask){.upstreams = u,
                     .done = done,
                     .userdata = userdata,
                     .name = *name,
                     .query = {.type = type, .has_edns = true},
                     .current = u->first,
                     .end_usec = now_monotonic_usec() + ASK_TOTAL_USEC,
                     .fd = -1};
        if (sd_event_add_time(u->event, &ask->timer, CLOCK_MONOTONIC, 0, ACCURACY_USEC, on_timer,
                              ask) < 0)
                return ask_cancel(ask);
        return ask;
}
