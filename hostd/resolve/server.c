/* SPDX-License-Identifier: MIT */
#include "resolve/server.h"

#include "base/quantity.h"
#include "resolve/inquiry.h"

#include <errno.h>
#include <sys/epoll.h>

/* How long news wait for more of them, and how many messages are sent at a time. */
#define NEWS_USEC     (200 * USEC_PER_MSEC)
#define NEWS_MAX      64
#define ACCURACY_USEC (50 * USEC_PER_MSEC)
/* What is read before other event sources get their turn. */
#define MESSAGES_AT_ONCE 64

typedef struct Server {
        sd_event *event;
        int channel_fd;
        Fault *fault;
        Clients *clients;
        Upstreams *upstreams;
        Inquiries *inquiries;
        int udp_fd, tcp_fd;
        Listener *listener; /* NULL: the daemon has not told all yet */
        sd_event_source *channel, *news;
} Server;

/* -- to the daemon -------------------------------------------------------------------------- */

static int tell(ResolverMessage *m, void *userdata)
{
        return resolver_message_send(((Server *) userdata)->channel_fd, m);
}

static void plan_news(void *userdata)
{
        Server *s = userdata;
        int enabled = SD_EVENT_OFF;

        (void) sd_event_source_get_enabled(s->news, &enabled);
        if (enabled != SD_EVENT_OFF)
                return;
        (void) sd_event_source_set_time(s->news, now_monotonic_usec() + NEWS_USEC);
        (void) sd_event_source_set_enabled(s->news, SD_EVENT_ONESHOT);
}

/* What the daemon has no room for is lost: it is for people to look at, and only numbers. */
static int on_news(sd_event_source *source, uint64_t usec, void *userdata)
{
        Server *s = userdata;
        ResolverMessage m;

        (void) source, (void) usec;
        for (unsigned i = 0; i < NEWS_MAX && clients_take_news(s->clients, &m); i++)
                (void) tell(&m, s);
        if (clients_have_news(s->clients))
                plan_news(s);
        return 0;
}

/* -- from guests ---------------------------------------------------------------------------- */

static bool welcomes(uint32_t address, void *userdata)
{
        return clients_find(((Server *) userdata)->clients, address);
}

static void received(const Origin *origin, const uint8_t *packet, size_t size, void *userdata)
{
        Server *s = userdata;

        inquiries_receive(s->inquiries, s->listener, origin, packet, size);
}

/* What guests asked before waits in the sockets. */
static int start_to_listen(Server *s)
{
        static const ListenerHandlers handlers = {welcomes, received};

        if (s->listener)
                return fault_set(s->fault, FAULT_INTERNAL, "fluid-hostd told it all twice");
        return listener_new(s->event, s->udp_fd, s->tcp_fd, &handlers, s, &s->listener, s->fault);
}

/* -- from the daemon ------------------------------------------------------------------------ */

static int hear(Server *s, const ResolverMessage *m)
{
        switch (m->type) {
        case RESOLVER_UPSTREAMS:
                upstreams_set(s->upstreams, m->upstreams.items, m->upstreams.n);
                return 0;
        case RESOLVER_ACCEPTED:
                inquiries_accept(s->inquiries, m->accepted.serial, m->accepted.mask);
                return 0;
        case RESOLVER_LISTEN:
                return start_to_listen(s);
        case RESOLVER_DROP_CLIENT:
                inquiries_forget(s->inquiries, m->client.address);
                if (s->listener)
                        listener_hang_up(s->listener, m->client.address);
                break;
        default:
                break;
        }
        return clients_tell(s->clients, m, s->fault);
}

static int on_channel(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Server *s = userdata;
        int r = 1;

        (void) source, (void) revents;
        for (unsigned i = 0; r > 0 && i < MESSAGES_AT_ONCE; i++) {
                ResolverMessage m;

                r = resolver_message_receive(fd, true, &m, s->fault);
                if (r == -EIO) {
                        /* It is gone, and so is the reason to be here. */
                        fault_clear(s->fault);
                        return sd_event_exit(s->event, 0);
                }
                if (r > 0 && hear(s, &m) < 0)
                        r = -EBADMSG;
        }
        return r < 0 ? sd_event_exit(s->event, r) : 0;
}

/* -- the whole ------------------------------------------------------------------------------ */

static int open_server(Server *s)
{
        int r = sd_event_new(&s->event);

        if (r < 0)
                return r;
        s->clients = clients_new(plan_news, s);
        s->upstreams = upstreams_new(s->event);
        s->inquiries = inquiries_new(s->event, s->clients, s->upstreams, tell, s);
        r = sd_event_add_io(s->event, &s->channel, s->channel_fd, EPOLLIN, on_channel, s);
        /* Acknowledgements before more questions. */
        if (r >= 0)
                r = sd_event_source_set_priority(s->channel, SD_EVENT_PRIORITY_IMPORTANT);
        if (r >= 0)
                r = sd_event_add_time(s->event, &s->news, CLOCK_MONOTONIC, 0, ACCURACY_USEC,
                                      on_news, s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->news, SD_EVENT_OFF);
        return r;
}

static void close_server(Server *s)
{
        s->channel = sd_event_source_disable_unref(s->channel);
        s->news = sd_event_source_disable_unref(s->news);
        s->inquiries = inquiries_free(s->inquiries);
        s->listener = listener_free(s->listener);
        s->upstreams = upstreams_free(s->upstreams);
        s->clients = clients_free(s->clients);
        s->event = sd_event_unref(s->event);
}

int server_run(int channel_fd, int udp_fd, int tcp_fd, Fault *f)
{
        Fault fault = {0};
        Server s = {.channel_fd = channel_fd, .udp_fd = udp_fd, .tcp_fd = tcp_fd, .fault = &fault};
        ResolverMessage ready = {.type = RESOLVER_READY};
        int r = open_server(&s);

        if (r >= 0)
                r = tell(&ready, &s);
        if (r >= 0)
                r = sd_event_loop(s.event);
        close_server(&s);
        if (r < 0 && fault_is_set(&fault))
                return fault_set(f, fault.code, "%s", fault.message);
        return r < 0 ? fault_set_errno(f, FAULT_INTERNAL, r, "cannot serve") : 0;
}
