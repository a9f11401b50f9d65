/* SPDX-License-Identifier: MIT */
#include "resolve/listener.h"

#include "base/cleanup.h"
#include "base/quantity.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* For a whole question to arrive, or a reply to leave. */
#define CONNECTION_USEC (2 * USEC_PER_SEC)
#define ACCURACY_USEC   (100 * USEC_PER_MSEC)

typedef enum ConnectionState {
        CONNECTION_READING,
        CONNECTION_WAITING, /* for the reply */
        CONNECTION_WRITING,
} ConnectionState;

typedef struct Connection {
        Listener *listener;
        uint64_t id;
        struct sockaddr_in from;
        int fd;
        sd_event_source *io, *timer;
        ConnectionState state;
        /* A packet with its size before it. */
        uint8_t bytes[NS_INT16SZ + REPLY_MAX];
        size_t n_bytes, n_done;
} Connection;

struct Listener {
        sd_event *event;
        ListenerHandlers handlers;
        void *userdata;
        int udp_fd;
        sd_event_source *udp, *tcp;
        GHashTable *connections; /* id to Connection */
        uint64_t last_id;
};

/* -- connections ---------------------------------------------------------------------------- */

static void connection_free(void *data)
{
        Connection *c = data;

        sd_event_source_disable_unref(c->io);
        sd_event_source_disable_unref(c->timer);
        (void) close_fd(c->fd);
        g_free(c);
}

static void hang_up(Connection *c)
{
        (void) g_hash_table_remove(c->listener->connections, &c->id);
}

static void enter(Connection *c, ConnectionState state, size_t n_bytes)
{
        static const uint32_t events[] = {
                [CONNECTION_READING] = EPOLLIN,
                [CONNECTION_WAITING] = 0,
                [CONNECTION_WRITING] = EPOLLOUT,
        };

        c->state = state;
        c->n_bytes = n_bytes;
        c->n_done = 0;
        (void) sd_event_source_set_io_events(c->io, events[state]);
        (void) sd_event_source_set_time(c->timer, now_monotonic_usec() + CONNECTION_USEC);
        /* How long a reply takes is not the guest's fault. */
        (void) sd_event_source_set_enabled(
                c->timer, state == CONNECTION_WAITING ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

/* 1: all of the packet is there. What comes after it stays in the socket. */
static int receive(Connection *c)
{
        ssize_t n = recv(c->fd, c->bytes + c->n_done, c->n_bytes - c->n_done, 0);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0)
                return -ECONNRESET;
        c->n_done += (size_t) n;
        if (c->n_done < c->n_bytes)
                return 0;
        if (c->n_bytes > NS_INT16SZ)
                return 1;
        unsigned size = ns_get16(c->bytes);
        if (size < NS_HFIXEDSZ || size > DNS_UDP_MAX)
                return -EMSGSIZE;
        c->n_bytes += size;
        return 0;
}

static int transmit(Connection *c)
{
        ssize_t n = send(c->fd, c->bytes + c->n_done, c->n_bytes - c->n_done, MSG_NOSIGNAL);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        c->n_done += (size_t) n;
        if (c->n_done == c->n_bytes)
                enter(c, CONNECTION_READING, NS_INT16SZ);
        return 0;
}

static int on_connection(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Connection *c = userdata;
        int r = -ECONNRESET; /* while it waits, only the end of it is told */

        (void) source, (void) fd, (void) revents;
        switch (c->state) {
        case CONNECTION_READING:
                r = receive(c);
                break;
        case CONNECTION_WRITING:
                r = transmit(c);
                break;
        case CONNECTION_WAITING:
                break;
        }
        if (r < 0) {
                hang_up(c);
        } else if (r > 0) {
                Listener *l = c->listener;
                Origin origin = {.from = c->from, .connection = c->id};
                size_t size = c->n_bytes - NS_INT16SZ;
                g_autofree uint8_t *packet = g_memdup2(c->bytes + NS_INT16SZ, size);

                enter(c, CONNECTION_WAITING, 0);
                l->handlers.received(&origin, packet, size, l->userdata);
        }
        return 0;
}

static int on_connection_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        (void) source, (void) usec;
        hang_up(userdata);
        return 0;
}

static unsigned count_connections(Listener *l, uint32_t address)
{
        GHashTableIter i;
        Connection *c;
        unsigned n = 0;

        g_hash_table_iter_init(&i, l->connections);
        while (g_hash_table_iter_next(&i, NULL, (void **) &c))
                n += ntohl(c->from.sin_addr.s_addr) == address;
        return n;
}

static void add_connection(Listener *l, int fd, const struct sockaddr_in *from)
{
        Connection *c = g_new0(Connection, 1);

        c->listener = l;
        c->id = ++l->last_id;
        c->from = *from;
        c->fd = fd;
        g_hash_table_insert(l->connections, &c->id, c);
        if (sd_event_add_io(l->event, &c->io, fd, 0, on_connection, c) < 0 ||
            sd_event_add_time(l->event, &c->timer, CLOCK_MONOTONIC, USEC_INFINITY, ACCURACY_USEC,
                              on_connection_timer, c) < 0) {
                hang_up(c);
                return;
        }
        enter(c, CONNECTION_READING, NS_INT16SZ);
}

static int on_tcp(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Listener *l = userdata;
        struct sockaddr_in from = {0};
        socklen_t size = sizeof from;
        autofd accepted =
                accept4(fd, (struct sockaddr *) &from, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        uint32_t address = ntohl(from.sin_addr.s_addr);

        (void) source, (void) revents;
        if (accepted >= 0 && size == sizeof from && l->handlers.welcomes(address, l->userdata) &&
            g_hash_table_size(l->connections) < CONNECTIONS_MAX &&
            count_connections(l, address) < CONNECTIONS_OF_ADDRESS_MAX)
                add_connection(l, TAKE_FD(accepted), &from);
        return 0;
}

/* One at a time: what the daemon said before a datagram came has been heard when it is read. */
static int on_udp(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Listener *l = userdata;
        Origin origin = {0};
        socklen_t from_size = sizeof origin.from;
        uint8_t packet[DNS_UDP_MAX + 1];
        ssize_t n = recvfrom(fd, packet, sizeof packet, 0, (struct sockaddr *) &origin.from,
                             &from_size);

        (void) source, (void) revents;
        if (n >= 0 && n <= DNS_UDP_MAX && from_size == sizeof origin.from)
                l->handlers.received(&origin, packet, (size_t) n, l->userdata);
        return 0;
}

/* -- the whole ------------------------------------------------------------------------------ */

int listener_new(sd_event *event, int udp_fd, int tcp_fd, const ListenerHandlers *handlers,
                 void *userdata, Listener **ret, Fault *f)
{
        g_autoptr(Listener) l = g_new0(Listener, 1);
        int r;

        l->event = sd_event_ref(event);
        l->handlers = *handlers;
        l->userdata = userdata;
        l->udp_fd = udp_fd;
        l->connections = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, connection_free);
        r = sd_event_add_io(event, &l->udp, udp_fd, EPOLLIN, on_udp, l);
        if (r >= 0)
                r = sd_event_add_io(event, &l->tcp, tcp_fd, EPOLLIN, on_tcp, l);
        if (r < 0)
                return fault_set_errno(f, FAULT_INTERNAL, r, "cannot wait for packets of guests");
        *ret = TAKE_PTR(l);
        return 0;
}

Listener *listener_free(Listener *l)
{
        if (!l)
                return NULL;
        g_hash_table_unref(l->connections);
        sd_event_source_disable_unref(l->udp);
        sd_event_source_disable_unref(l->tcp);
        sd_event_unref(l->event);
        g_free(l);
        return NULL;
}

void listener_reply(Listener *l, const Origin *origin, const uint8_t *packet, size_t size)
{
        Connection *c;
        uint8_t *at;

        if (origin->connection == 0) {
                (void) sendto(l->udp_fd, packet, size, MSG_NOSIGNAL,
                              (const struct sockaddr *) &origin->from, sizeof origin->from);
                return;
        }
        c = g_hash_table_lookup(l->connections, &origin->connection);
        if (!c || c->state != CONNECTION_WAITING)
                return;
        at = c->bytes;
        NS_PUT16(size, at);
        memcpy(at, packet, MIN(size, REPLY_MAX));
        enter(c, CONNECTION_WRITING, NS_INT16SZ + MIN(size, REPLY_MAX));
}

void listener_refuse(Listener *l, const Origin *origin)
{
        Connection *c = g_hash_table_lookup(l->connections, &origin->connection);

        if (c)
                hang_up(c);
}

static gboolean is_of(void *id, void *connection, void *address)
{
        (void) id;
        return ntohl(((Connection *) connection)->from.sin_addr.s_addr) ==
               GPOINTER_TO_UINT(address);
}

void listener_hang_up(Listener *l, uint32_t address)
{
        (void) g_hash_table_foreach_remove(l->connections, is_of, GUINT_TO_POINTER(address));
}
