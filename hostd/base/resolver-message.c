/* SPDX-License-Identifier: MIT */
#include "base/resolver-message.h"

#include "base/address-scope.h"
#include "base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static bool is_text(const char text[static DOMAIN_NAME_MAX])
{
        return text[0] != '\0' && memchr(text, '\0', DOMAIN_NAME_MAX);
}

static bool upstreams_are_good(const ResolverMessage *m)
{
        if (m->upstreams.n > RESOLVER_UPSTREAMS_MAX)
                return false;
        for (uint32_t i = 0; i < m->upstreams.n; i++)
                if (m->upstreams.items[i].family != AF_INET &&
                    m->upstreams.items[i].family != AF_INET6)
                        return false;
        return true;
}

static bool found_is_good(const ResolverMessage *m)
{
        if (!is_text(m->found.name) || m->found.n == 0 || m->found.n > RESOLVER_ADDRESSES_MAX ||
            m->found.ttl_sec < RESOLVER_TTL_MIN_SEC || m->found.ttl_sec > RESOLVER_TTL_MAX_SEC)
                return false;
        for (uint32_t i = 0; i < m->found.n; i++)
                if (address_scope(m->found.addresses[i]) == ADDRESS_SPECIAL)
                        return false;
        return true;
}

static const char *wrong_with(const ResolverMessage *m)
{
        switch ((ResolverMessageType) m->type) {
        case RESOLVER_UPSTREAMS:
                return upstreams_are_good(m) ? NULL : "wrong upstreams";
        case RESOLVER_PATTERN:
                return is_text(m->pattern.text) ? NULL : "a wrong pattern";
        case RESOLVER_FOUND:
                return found_is_good(m) ? NULL : "wrong addresses of a name";
        case RESOLVER_REFUSED:
                return is_text(m->refused.name) && m->refused.reason < _RESOLVER_REASON_MAX
                               ? NULL
                               : "a wrong refusal";
        case RESOLVER_LIST:
        case RESOLVER_DROP_LIST:
        case RESOLVER_CLIENT:
        case RESOLVER_DROP_CLIENT:
        case RESOLVER_LISTEN:
        case RESOLVER_ACCEPTED:
        case RESOLVER_SOCKETS:
        case RESOLVER_READY:
        case RESOLVER_NEWS:
                return NULL;
        case _RESOLVER_DAEMON_MAX:
        case _RESOLVER_RESOLVER_MAX:
                break;
        }
        return "a message of an unknown type";
}

int resolver_message_check(const ResolverMessage *m, size_t size, bool is_of_daemon, Fault *f)
{
        const char *wrong;

        if (size != sizeof *m)
                wrong = "a message of another size";
        else if (m->version != RESOLVER_VERSION)
                wrong = "a message of another version";
        else if ((m->type < _RESOLVER_DAEMON_MAX) != is_of_daemon)
                wrong = "a message that is not its own";
        else
                wrong = wrong_with(m);
        return wrong ? fault_set(f, FAULT_INTERNAL, "%s sent %s",
                                 is_of_daemon ? "fluid-hostd" : "fluid-resolver", wrong)
                     : 0;
}

/* What recvmsg() or recv() told. */
static int check_received(const ResolverMessage *m, ssize_t n, bool is_of_daemon, Fault *f)
{
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0)
                return fault_set(f, FAULT_IO, "%s closed its channel",
                                 is_of_daemon ? "fluid-hostd" : "fluid-resolver");
        int r = resolver_message_check(m, (size_t) n, is_of_daemon, f);
        return r < 0 ? r : 1;
}

int resolver_message_receive(int fd, bool is_of_daemon, ResolverMessage *ret, Fault *f)
{
        ResolverMessage m;
        /* Longer ones are told as long as they are. */
        int r = check_received(&m, recv(fd, &m, sizeof m, MSG_TRUNC), is_of_daemon, f);

        if (r > 0)
                *ret = m;
        return r;
}

typedef union Control {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
} Control;

static struct msghdr new_header(struct iovec *part, Control *control)
{
        return (struct msghdr){.msg_iov = part,
                               .msg_iovlen = 1,
                               .msg_control = control,
                               .msg_controllen = sizeof *control};
}

int resolver_message_receive_sockets(int fd, int *ret_udp, int *ret_tcp, Fault *f)
{
        ResolverMessage m;
        struct iovec part = {&m, sizeof m};
        Control control;
        struct msghdr header = new_header(&part, &control);
        int fds[2] = {-1, -1};
        ssize_t n = recvmsg(fd, &header, MSG_TRUNC | MSG_CMSG_CLOEXEC);
        int r = check_received(&m, n, false, f);
        const struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&header);

        /* There is room for two, in one header. */
        if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
                memcpy(fds, CMSG_DATA(c), MIN(sizeof fds, c->cmsg_len - CMSG_LEN(0)));
        autofd udp_fd = fds[0], tcp_fd = fds[1];
        if (r <= 0)
                return r;
        if (m.type != RESOLVER_SOCKETS || udp_fd < 0 || tcp_fd < 0)
                return fault_set(f, FAULT_INTERNAL, "fluid-resolver sent no sockets");
        *ret_udp = TAKE_FD(udp_fd);
        *ret_tcp = TAKE_FD(tcp_fd);
        return 1;
}

int resolver_message_send(int fd, ResolverMessage *m)
{
        m->version = RESOLVER_VERSION;
        for (;;) {
                if (send(fd, m, sizeof *m, MSG_NOSIGNAL) == (ssize_t) sizeof *m)
                        return 0;
                if (errno != EINTR)
                        return -errno;
        }
}

int resolver_message_send_sockets(int fd, int udp_fd, int tcp_fd)
{
        ResolverMessage m = {.version = RESOLVER_VERSION, .type = RESOLVER_SOCKETS};
        const int fds[] = {udp_fd, tcp_fd};
        struct iovec part = {&m, sizeof m};
        Control control = {0};
        struct msghdr header = new_header(&part, &control);
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fds);
        memcpy(CMSG_DATA(c), fds, sizeof fds);
        for (;;) {
                if (sendmsg(fd, &header, MSG_NOSIGNAL) == (ssize_t) sizeof m)
                        return 0;
                if (errno != EINTR)
                        return -errno;
        }
}
