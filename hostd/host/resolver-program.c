/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "host/resolver-private.h"
#include "loop/child.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNIT             "fluid-resolver"
#define PAUSE_FIRST_USEC (100 * USEC_PER_MSEC)
#define PAUSE_MAX_USEC   (30 * USEC_PER_SEC)
/* What has run for so long begins with the first pause again. */
#define STEADY_USEC   (60 * USEC_PER_SEC)
#define ACCURACY_USEC (10 * USEC_PER_MSEC)

/* The program is held to less by itself. More is an attack on this process. */
#define MESSAGES_PER_SEC   3000
#define MESSAGES_BURST     6000
#define MESSAGES_AT_ONCE   32
#define UNREAD_ANSWERS_MAX 1024
/* The end of standard error, of which the last line is told. */
#define ERRORS_MAX 4096

struct ResolverProgram {
        Resolver *resolver;
        struct sockaddr_in address; /* where it listens */
        int udp_fd, tcp_fd;         /* what it opened, which outlives it; or -1 */

        unsigned n_starts;
        int child_fd, channel_fd, errors_fd; /* -1: it does not run */
        sd_event_source *channel, *end;
        Fault why; /* it is ended by this process */
        sd_event_source *restart;
        uint64_t started_usec, pause_usec;
        uint64_t busy_until_usec; /* each message takes its part of a second */
        GQueue answers, news;     /* of ResolverMessage: not yet sent; the first have precedence */
};

unsigned resolver_program_starts(const ResolverProgram *p)
{
        return p->n_starts;
}

/* -- telling -------------------------------------------------------------------------------- */

static bool flush_queue(ResolverProgram *p, GQueue *queue)
{
        while (!g_queue_is_empty(queue)) {
                int r = resolver_message_send(p->channel_fd, g_queue_peek_head(queue));

                if (r == -EAGAIN)
                        return false;
                /* Else the other end is gone, which the loop will tell. */
                g_free(g_queue_pop_head(queue));
        }
        return true;
}

static void flush(ResolverProgram *p)
{
        bool is_done = flush_queue(p, &p->answers) && flush_queue(p, &p->news);

        (void) sd_event_source_set_io_events(p->channel, EPOLLIN | (is_done ? 0 : EPOLLOUT));
}

void resolver_program_tell(ResolverProgram *p, const ResolverMessage *m)
{
        bool is_answer = m->type == RESOLVER_ACCEPTED;

        if (!p->channel)
                return;
        g_queue_push_tail(is_answer ? &p->answers : &p->news, g_memdup2(m, sizeof *m));
        flush(p);
}

/* -- ending --------------------------------------------------------------------------------- */

static char *read_errors(int fd)
{
        g_autofree char *text = g_malloc(ERRORS_MAX + 1);
        ssize_t n = read(fd, text, ERRORS_MAX);
        char *newline;

        text[MAX(n, 0)] = '\0';
        g_strchomp(text);
        newline = strrchr(text, '\n');
        return g_strdup(newline ? newline + 1 : text);
}

static void describe(const ResolverProgram *p, int status, Fault *ret)
{
        g_autofree char *said = read_errors(p->errors_fd);

        if (WIFSIGNALED(status))
                (void) fault_set(ret, FAULT_IO, "fluid-resolver was ended by signal %d%s%s",
                                 WTERMSIG(status), *said ? ": " : "", said);
        else if (WEXITSTATUS(status) == 127 && !*said)
                (void) fault_set(ret, FAULT_IO, "fluid-resolver cannot be run: is it installed?");
        else
                (void) fault_set(ret, FAULT_IO, "%s",
                                 *said ? said : "fluid-resolver ended without a word");
}

static void close_channel(ResolverProgram *p)
{
        p->channel = sd_event_source_disable_unref(p->channel);
        p->channel_fd = close_fd(p->channel_fd);
        g_queue_clear_full(&p->answers, g_free);
        g_queue_clear_full(&p->news, g_free);
}

/* Kills what runs. */
static void end(ResolverProgram *p)
{
        close_channel(p);
        p->end = sd_event_source_disable_unref(p->end);
        p->child_fd = close_fd(p->child_fd);
        p->errors_fd = close_fd(p->errors_fd);
        fault_clear(&p->why);
}

static void plan_restart(ResolverProgram *p)
{
        if (now_monotonic_usec() - p->started_usec > STEADY_USEC)
                p->pause_usec = PAUSE_FIRST_USEC;
        (void) sd_event_source_set_time(p->restart, now_monotonic_usec() + p->pause_usec);
        (void) sd_event_source_set_enabled(p->restart, SD_EVENT_ONESHOT);
        p->pause_usec = MIN(p->pause_usec * 2, PAUSE_MAX_USEC);
}

static void lose(ResolverProgram *p, const Fault *why)
{
        Resolver *r = p->resolver;
        Fault reason = *why;

        end(p);
        plan_restart(p);
        r->observer.died(reason.message, r->userdata);
}

static int on_end(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        ResolverProgram *p = userdata;
        Fault why = p->why;
        int status = 0, r;

        (void) source, (void) revents;
        r = child_ended(fd, UNIT, &status, &why);
        /* What was wrong with it says more than that it was killed for it. */
        if (r > 0 && !fault_is_set(&why))
                describe(p, status, &why);
        if (r != 0)
                lose(p, &why);
        return 0;
}

/* Its end is still to come. `why` is not set where it went by itself. */
static void kill_it(ResolverProgram *p, const Fault *why)
{
        p->why = *why;
        close_channel(p);
        child_kill(p->child_fd);
}

/* -- hearing -------------------------------------------------------------------------------- */

static int count(ResolverProgram *p, Fault *f)
{
        const uint64_t cost_usec = USEC_PER_SEC / MESSAGES_PER_SEC;
        uint64_t now = now_monotonic_usec();

        p->busy_until_usec = MAX(p->busy_until_usec, now) + cost_usec;
        if (p->busy_until_usec > now + MESSAGES_BURST * cost_usec)
                return fault_set(f, FAULT_INTERNAL, "fluid-resolver sends more than it may");
        if (g_queue_get_length(&p->answers) > UNREAD_ANSWERS_MAX)
                return fault_set(f, FAULT_INTERNAL, "fluid-resolver does not read its answers");
        return 0;
}

static bool listens_at(int fd, int type, const struct sockaddr_in *wanted)
{
        struct sockaddr_in address = {0};
        int domain = 0, actual = 0, listens = 0;
        socklen_t size = sizeof domain, address_size = sizeof address;

        return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_INET &&
               getsockopt(fd, SOL_SOCKET, SO_TYPE, &actual, &size) == 0 && actual == type &&
               getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 &&
               (listens != 0) == (type == SOCK_STREAM) &&
               getsockname(fd, (struct sockaddr *) &address, &address_size) == 0 &&
               address.sin_port == wanted->sin_port &&
               address.sin_addr.s_addr == wanted->sin_addr.s_addr;
}

/* The first that it says, before it has read anything of a guest's. They are kept for the next one:
 * what is asked meanwhile waits there. */
static int hear_sockets(ResolverProgram *p, Fault *f)
{
        int udp = -1, tcp = -1, r;

        r = resolver_message_receive_sockets(p->channel_fd, &udp, &tcp, f);
        if (r <= 0)
                return r;
        autofd udp_fd = udp, tcp_fd = tcp;
        if (!listens_at(udp_fd, SOCK_DGRAM, &p->address) ||
            !listens_at(tcp_fd, SOCK_STREAM, &p->address))
                return fault_set(f, FAULT_INTERNAL, "fluid-resolver sent other sockets");
        p->udp_fd = TAKE_FD(udp_fd);
        p->tcp_fd = TAKE_FD(tcp_fd);
        return 1;
}

static int hear(ResolverProgram *p, Fault *f)
{
        ResolverMessage m;
        int r;

        if (p->udp_fd < 0)
                return hear_sockets(p, f);
        r = resolver_message_receive(p->channel_fd, false, &m, f);
        if (r > 0 && (count(p, f) < 0 || resolver_hear(p->resolver, &m, f) < 0))
                r = -EBADMSG;
        return r;
}

static int on_channel(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        ResolverProgram *p = userdata;
        Fault why = {0};
        int r = 1;

        (void) source, (void) fd;
        if (revents & EPOLLOUT)
                flush(p);
        for (unsigned i = 0; r > 0 && i < MESSAGES_AT_ONCE; i++)
                r = hear(p, &why);
        /* That it closed the channel says less than how it ended. */
        if (r == -EIO)
                fault_clear(&why);
        if (r < 0)
                kill_it(p, &why);
        return 0;
}

/* -- starting ------------------------------------------------------------------------------- */

static int watch(ResolverProgram *p)
{
        sd_event *event = p->resolver->event;
        int r = sd_event_add_io(event, &p->end, p->child_fd, EPOLLIN, on_end, p);

        return r < 0 ? r
                     : sd_event_add_io(event, &p->channel, p->channel_fd, EPOLLIN, on_channel, p);
}

static int start(ResolverProgram *p, Fault *f)
{
        g_autofree char *listen = g_strdup_printf("%s:%u", inet_ntoa(p->address.sin_addr),
                                                  ntohs(p->address.sin_port));
        const char *const argv[] = {UNIT, "--listen", listen, NULL};
        int channel[2], errors[2], r;

        p->started_usec = now_monotonic_usec();
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, channel) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make a channel");
        autofd other_end = channel[1];
        p->channel_fd = channel[0];
        if (pipe2(errors, O_CLOEXEC | O_NONBLOCK) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make a pipe");
        autofd writing = errors[1];
        p->errors_fd = errors[0];
        r = child_start(&CHILD_SPEC(.unit = UNIT, .argv = argv,
                                    .fds = ((int[]){other_end, p->udp_fd, p->tcp_fd}),
                                    .n_fds = p->udp_fd < 0 ? 1 : 3),
                        writing, &p->child_fd, f);
        if (r < 0)
                return r;
        p->n_starts++;
        r = watch(p);
        return r < 0 ? fault_set_errno(f, FAULT_INTERNAL, r, "cannot watch fluid-resolver") : 0;
}

static int on_restart(sd_event_source *source, uint64_t usec, void *userdata)
{
        ResolverProgram *p = userdata;
        Fault why = {0};

        (void) source, (void) usec;
        if (start(p, &why) < 0)
                lose(p, &why);
        else
                resolver_tell_all(p->resolver);
        return 0;
}

/* -- the whole ------------------------------------------------------------------------------ */

int resolver_program_new(Resolver *r, const ResolverSettings *settings, ResolverProgram **ret,
                         Fault *f)
{
        ResolverProgram *p = g_new0(ResolverProgram, 1);
        int n;

        *p = (ResolverProgram){.resolver = r,
                               .address = {.sin_family = AF_INET,
                                           .sin_port = htons(settings->port),
                                           .sin_addr.s_addr = htonl(settings->gateway)},
                               .udp_fd = -1,
                               .tcp_fd = -1,
                               .child_fd = -1,
                               .channel_fd = -1,
                               .errors_fd = -1,
                               .pause_usec = PAUSE_FIRST_USEC};
        n = sd_event_add_time(r->event, &p->restart, CLOCK_MONOTONIC, USEC_INFINITY, ACCURACY_USEC,
                              on_restart, p);
        n = n < 0 ? fault_set_errno(f, FAULT_INTERNAL, n, "cannot make a timer") : start(p, f);
        if (n < 0)
                (void) resolver_program_free(p);
        else
                *ret = p;
        return n;
}

ResolverProgram *resolver_program_free(ResolverProgram *p)
{
        if (!p)
                return NULL;
        end(p);
        sd_event_source_disable_unref(p->restart);
        (void) close_fd(p->udp_fd);
        (void) close_fd(p->tcp_fd);
        g_free(p);
        return NULL;
}
