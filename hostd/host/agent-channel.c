/* SPDX-License-Identifier: MIT */
#include "host/agent-channel.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "host/agent-reader.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RETRY_FIRST_USEC   (50 * USEC_PER_MSEC)
#define RETRY_CONNECT_USEC (500 * USEC_PER_MSEC)
#define RETRY_BREACH_USEC  (5 * USEC_PER_SEC)
#define SYNC_USEC          (200 * USEC_PER_MSEC)
/* Once one of several sync requests was answered, the answer to the last one is only a matter of
 * time. */
#define SYNC_SEEN_USEC (2 * USEC_PER_SEC)
/* What is read before other event sources get their turn. */
#define READ_MAX (64 * 1024)
/* Late timers wake the host less often than exact ones. */
#define ACCURACY_USEC (10 * USEC_PER_MSEC)

typedef enum ChannelState { CHANNEL_CLOSED, CHANNEL_SYNCING, CHANNEL_SYNCED } ChannelState;

struct AgentChannel {
        unsigned refs; /* the owner's, and one while bytes are handed over */
        bool is_freed;
        sd_event *event;
        struct sockaddr_un address;
        AgentChannelHandlers handlers;
        void *userdata;

        ChannelState state;
        int fd;
        sd_event_source *io;
        sd_event_source *timer; /* connects again, or sends the sync request again */
        uint64_t retry_usec;
        AgentReader *reader;
        GByteArray *out; /* what the socket has not taken yet */
        int64_t sync_first, sync_last;
};

static void unref(AgentChannel *c)
{
        if (--c->refs > 0)
                return;
        agent_reader_free(c->reader);
        g_byte_array_unref(c->out);
        sd_event_unref(c->event);
        g_free(c);
}

static void set_timer(AgentChannel *c, uint64_t delay_usec)
{
        (void) sd_event_source_set_time(c->timer, now_monotonic_usec() + delay_usec);
        (void) sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

static void drop_unsent(AgentChannel *c)
{
        g_byte_array_unref(c->out);
        c->out = g_byte_array_new();
}

/* -- sending -------------------------------------------------------------------------------- */

/* A failure needs no handling here: epoll reports a broken socket. */
static void flush(AgentChannel *c)
{
        while (c->out->len > 0) {
                ssize_t n = send(c->fd, c->out->data, c->out->len, MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        break;
                g_byte_array_remove_range(c->out, 0, (guint) n);
        }
        /* A request may have been large. */
        if (c->out->len == 0)
                drop_unsent(c);
        (void) sd_event_source_set_io_events(c->io, EPOLLIN | (c->out->len > 0 ? EPOLLOUT : 0));
}

static void send_sync(AgentChannel *c)
{
        g_autofree char *request = NULL;
        int unread = 0;

        /* While the guest has not opened its port, QEMU leaves the request in the socket, where one
         * is enough: it will be the first thing that the agent reads. */
        if (c->out->len == 0 && ioctl(c->fd, SIOCOUTQ, &unread) == 0 && unread == 0) {
                c->sync_last++;
                request = g_strdup_printf("\xff{\"execute\": \"guest-sync-delimited\", "
                                          "\"arguments\": {\"id\": %" G_GINT64_FORMAT "}}\n",
                                          c->sync_last);
                g_byte_array_append(c->out, (const guint8 *) request, (guint) strlen(request));
                flush(c);
        }
        set_timer(c, SYNC_USEC);
}

/* Random ids, so that the guest cannot answer before it was asked. */
static void begin_sync(AgentChannel *c)
{
        c->state = CHANNEL_SYNCING;
        agent_reader_seek(c->reader);
        /* 0xFF makes the agent forget a request that was cut off. */
        drop_unsent(c);
        c->sync_last = (int64_t) g_random_int() << 16;
        c->sync_first = c->sync_last + 1;
        send_sync(c);
}

/* -- losing the channel --------------------------------------------------------------------- */

static void close_socket(AgentChannel *c)
{
        c->state = CHANNEL_CLOSED;
        c->io = sd_event_source_disable_unref(c->io);
        c->fd = close_fd(c->fd);
        agent_reader_seek(c->reader);
        drop_unsent(c);
}

static void schedule_retry(AgentChannel *c, uint64_t longest_usec)
{
        c->retry_usec = MIN(c->retry_usec, longest_usec);
        set_timer(c, c->retry_usec);
        c->retry_usec = MIN(c->retry_usec * 2, longest_usec);
}

static void lose(AgentChannel *c, const Fault *why)
{
        bool was_synced = c->state == CHANNEL_SYNCED;
        bool is_breach = why->code == FAULT_AGENT_MISBEHAVED;

        close_socket(c);
        schedule_retry(c, is_breach ? RETRY_BREACH_USEC : RETRY_CONNECT_USEC);
        if (was_synced)
                c->handlers.lost(why, c->userdata);
}

/* -- receiving ------------------------------------------------------------------------------ */

/* Several requests may be under way: only the answer to the last one leaves nothing behind it. */
static void on_sync_reply(AgentChannel *c, Json *reply)
{
        Json *value;

        if (!json_object_object_get_ex(reply, "return", &value) ||
            !json_object_is_type(value, json_type_int))
                return;
        int64_t id = json_object_get_int64(value);
        if (id < c->sync_first || id > c->sync_last)
                return;
        if (id < c->sync_last) {
                set_timer(c, SYNC_SEEN_USEC);
                return;
        }
        agent_reader_settle(c->reader);
        c->state = CHANNEL_SYNCED;
        (void) sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
        c->handlers.synced(c->userdata);
}

static int on_reply(Json *reply, bool is_delimited, void *userdata, Fault *f)
{
        AgentChannel *c = userdata;
        int r = 0;

        if (c->state == CHANNEL_SYNCED) {
                r = c->handlers.reply(reply, c->userdata, f);
                if (r >= 0)
                        c->retry_usec = RETRY_FIRST_USEC;
        } else if (is_delimited) {
                on_sync_reply(c, reply);
        }
        return c->is_freed ? -ECANCELED : r;
}

static void on_diverted(const char *key, const void *bytes, size_t size, void *userdata)
{
        AgentChannel *c = userdata;

        if (!c->is_freed)
                c->handlers.diverted(key, bytes, size, c->userdata);
}

static void receive(AgentChannel *c)
{
        Fault why = {0};
        char bytes[READ_MAX];
        ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0)
                (void) fault_set(
                        &why, FAULT_AGENT_UNAVAILABLE,
                        "the channel to the guest agent was closed; is the sandbox running?");
        else
                (void) agent_reader_feed(c->reader, bytes, (size_t) n, &why);
        if (fault_is_set(&why) && !c->is_freed)
                lose(c, &why);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        AgentChannel *c = userdata;

        (void) source;
        (void) fd;
        c->refs++;
        if (revents & EPOLLOUT)
                flush(c);
        if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
                receive(c);
        unref(c);
        return 0;
}

/* -- connecting ----------------------------------------------------------------------------- */

static int connect_socket(AgentChannel *c)
{
        autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int err;

        if (fd < 0 || connect(fd, (const struct sockaddr *) &c->address, sizeof c->address) < 0)
                return -errno;
        err = sd_event_add_io(c->event, &c->io, fd, EPOLLIN, on_io, c);
        if (err < 0)
                return err;
        c->fd = TAKE_FD(fd);
        return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        AgentChannel *c = userdata;

        (void) source;
        (void) usec;
        if (c->state == CHANNEL_SYNCING)
                send_sync(c);
        else if (connect_socket(c) < 0)
                schedule_retry(c, RETRY_CONNECT_USEC);
        else
                begin_sync(c);
        return 0;
}

int agent_channel_new(sd_event *event, const char *socket_path,
                      const AgentChannelHandlers *handlers, void *userdata, AgentChannel **ret,
                      Fault *f)
{
        static const AgentReaderHandlers reader_handlers = {on_reply, on_diverted};
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        AgentChannel *c;
        int err;

        if (!*socket_path || strlen(socket_path) >= sizeof address.sun_path)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' cannot be the path of a socket",
                                 socket_path);
        g_strlcpy(address.sun_path, socket_path, sizeof address.sun_path);
        c = g_new0(AgentChannel, 1);
        err = sd_event_add_time(event, &c->timer, CLOCK_MONOTONIC, 0, ACCURACY_USEC, on_timer, c);
        if (err < 0) {
                g_free(c);
                return fault_set_errno(f, FAULT_INTERNAL, err, "cannot make a timer");
        }
        c->refs = 1;
        c->event = sd_event_ref(event);
        c->address = address;
        c->handlers = *handlers;
        c->userdata = userdata;
        c->fd = -1;
        c->retry_usec = RETRY_FIRST_USEC;
        c->reader = agent_reader_new(&reader_handlers, c);
        c->out = g_byte_array_new();
        *ret = c;
        return 0;
}

AgentChannel *agent_channel_free(AgentChannel *c)
{
        if (!c)
                return NULL;
        c->is_freed = true;
        close_socket(c);
        c->timer = sd_event_source_disable_unref(c->timer);
        unref(c);
        return NULL;
}

bool agent_channel_is_synced(const AgentChannel *c)
{
        return c->state == CHANNEL_SYNCED;
}

void agent_channel_send(AgentChannel *c, const void *bytes, size_t size)
{
        g_assert(c->state == CHANNEL_SYNCED);
        g_byte_array_append(c->out, bytes, (guint) size);
        flush(c);
}

void agent_channel_resync(AgentChannel *c)
{
        g_assert(c->state == CHANNEL_SYNCED);
        begin_sync(c);
}
