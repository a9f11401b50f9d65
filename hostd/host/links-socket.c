/* SPDX-License-Identifier: MIT */
#include "host/links-private.h"

#include <errno.h>
#include <fcntl.h>
#include <netlink/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

/* The kernel puts at most 32 KiB into one datagram. */
#define DATAGRAM_MAX 65536

/* Datagrams of news a time, so that a flood leaves the loop to others. */
#define NEWS_AT_A_TIME 256

int netlink_open(int protocol, NetlinkSocket **ret)
{
        g_autoptr(NetlinkSocket) s = nl_socket_alloc();
        /* The kernel answers before the request has been sent. */
        const struct timeval timeout = {.tv_sec = 2};

        if (!s)
                return -ENOMEM;
        errno = 0;
        if (nl_connect(s, protocol) < 0)
                return errno > 0 ? -errno : -ENOMEM;
        int fd = nl_socket_get_fd(s);
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) < 0)
                return -errno;
        *ret = g_steal_pointer(&s);
        return 0;
}

/* One datagram of the kernel's; 0 where it came from somebody else. */
static ssize_t receive(NetlinkSocket *s, void *buffer, size_t size, int flags)
{
        struct sockaddr_nl from = {0};
        socklen_t from_size = sizeof from;
        ssize_t n;

        do
                n = recvfrom(nl_socket_get_fd(s), buffer, size, flags | MSG_TRUNC,
                             (struct sockaddr *) &from, &from_size);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        if (n > (ssize_t) size)
                return -ENOBUFS;
        return from.nl_pid == 0 ? n : 0;
}

typedef struct Answer {
        uint32_t seq;
        NetlinkReader reader;
        void *userdata;
        bool is_interrupted, is_complete;
        int error;
} Answer;

static void take_answer(const struct nlmsghdr *h, Answer *a)
{
        if (h->nlmsg_seq != a->seq || a->is_complete)
                return;
        a->is_interrupted |= (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) {
                a->is_complete = true;
                /* An int both times: 0 or a negative errno. */
                if (nlmsg_datalen(h) >= (int) sizeof(int))
                        a->error = *(const int *) nlmsg_data(h);
        } else if (a->reader) {
                a->reader(h, a->userdata);
        }
}

int netlink_ask(NetlinkSocket *s, NetlinkMessage *request, NetlinkReader reader, void *userdata)
{
        g_autofree char *buffer = g_malloc(DATAGRAM_MAX);
        Answer answer = {.reader = reader, .userdata = userdata};

        nl_complete_msg(s, request);
        answer.seq = nlmsg_hdr(request)->nlmsg_seq;
        if (send(nl_socket_get_fd(s), nlmsg_hdr(request), nlmsg_hdr(request)->nlmsg_len, 0) < 0)
                return -errno;
        while (!answer.is_complete) {
                ssize_t n = receive(s, buffer, DATAGRAM_MAX, 0);
                if (n < 0)
                        return (int) n;
                int left = (int) n;
                for (struct nlmsghdr *h = (struct nlmsghdr *) buffer; nlmsg_ok(h, left);
                     h = nlmsg_next(h, &left))
                        take_answer(h, &answer);
        }
        if (answer.error < 0)
                return answer.error;
        return answer.is_interrupted ? -EINTR : 0;
}

int netlink_join(NetlinkSocket *s, const int *groups, size_t n_groups, int buffer_size)
{
        int fd = nl_socket_get_fd(s);
        int flags = fcntl(fd, F_GETFL);

        /* Without the privilege it gets what the system allows. */
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_size, sizeof buffer_size) < 0)
                (void) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_size, sizeof buffer_size);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;
        for (size_t i = 0; i < n_groups; i++)
                if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
                               sizeof groups[i]) < 0)
                        return -errno;
        return 0;
}

int netlink_read_news(NetlinkSocket *s, NetlinkReader reader, void *userdata)
{
        g_autofree char *buffer = g_malloc(DATAGRAM_MAX);

        for (unsigned i = 0; i < NEWS_AT_A_TIME; i++) {
                ssize_t n = receive(s, buffer, DATAGRAM_MAX, MSG_DONTWAIT);
                if (n < 0)
                        return n == -EAGAIN ? 1 : (int) n;
                int left = (int) n;
                for (struct nlmsghdr *h = (struct nlmsghdr *) buffer; nlmsg_ok(h, left);
                     h = nlmsg_next(h, &left))
                        reader(h, userdata);
        }
        return 0;
}
