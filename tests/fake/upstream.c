/* SPDX-License-Identifier: MIT */
#include "tests/fake/upstream.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct FakeUpstream {
        FakeRespond respond;
        void *userdata;
        int udp_fd, tcp_fd;
        sd_event_source *udp, *tcp;
        GPtrArray *connections; /* of sd_event_source */
        char address[32];
};

DnsPacket *fake_reply(const FakeQuery *query, GPtrArray *replies)
{
        DnsPacket *p = dns_packet(query->id, DNS_REPLY);

        dns_put_question(p, query->name, query->type);
        g_ptr_array_add(replies, p);
        return p;
}

static GPtrArray *ask(FakeUpstream *u, const uint8_t *bytes, ssize_t size, bool by_tcp,
                      in_port_t port)
{
        GPtrArray *replies = g_ptr_array_new_with_free_func((GDestroyNotify) g_byte_array_unref);
        FakeQuery query = {.by_tcp = by_tcp, .port = port};
        ns_msg m;
        ns_rr rr;

        if (size < 0 || ns_initparse(bytes, (int) size, &m) < 0 ||
            ns_parserr(&m, ns_s_qd, 0, &rr) < 0)
                return replies;
        query.id = ns_msg_id(m);
        query.type = ns_rr_type(rr);
        query.has_edns = ns_msg_count(m, ns_s_ar) > 0;
        (void) g_strlcpy(query.name, ns_rr_name(rr), sizeof query.name);
        u->respond(&query, replies, u->userdata);
        return replies;
}

static int on_udp(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        struct sockaddr_in from = {0};
        socklen_t from_size = sizeof from;
        uint8_t bytes[2048];
        ssize_t n = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *) &from, &from_size);
        g_autoptr(GPtrArray) replies = ask(userdata, bytes, n, false, from.sin_port);

        (void) source, (void) revents;
        for (unsigned i = 0; i < replies->len; i++) {
                const DnsPacket *p = replies->pdata[i];
                (void) sendto(fd, p->data, p->len, 0, (struct sockaddr *) &from, from_size);
        }
        return 0;
}

/* The other end sends all of it at once. */
static int on_connection(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        FakeUpstream *u = userdata;
        uint8_t bytes[2048];
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);

        (void) revents;
        g_autoptr(GPtrArray) replies = ask(u, bytes + NS_INT16SZ, n - NS_INT16SZ, true, 0);
        for (unsigned i = 0; i < replies->len; i++) {
                const DnsPacket *p = replies->pdata[i];
                g_autoptr(DnsPacket) framed = g_byte_array_new();
                dns_put16(framed, p->len);
                g_byte_array_append(framed, p->data, p->len);
                (void) send(fd, framed->data, framed->len, MSG_NOSIGNAL);
        }
        (void) g_ptr_array_remove(u->connections, source);
        return 0;
}

static void end_connection(void *data)
{
        sd_event_source *source = data;
        int fd = sd_event_source_get_io_fd(source);

        sd_event_source_disable_unref(source);
        (void) close_fd(fd);
}

static int on_tcp(sd_event_source *source, int listening_fd, uint32_t revents, void *userdata)
{
        FakeUpstream *u = userdata;
        sd_event_source *connection = NULL;
        int fd = accept4(listening_fd, NULL, NULL, SOCK_CLOEXEC);

        (void) revents;
        g_assert(sd_event_add_io(sd_event_source_get_event(source), &connection, fd, EPOLLIN,
                                 on_connection, u) >= 0);
        g_ptr_array_add(u->connections, connection);
        return 0;
}

static int listen_on(int type, in_port_t port, struct sockaddr_in *ret)
{
        int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
        socklen_t size = sizeof *ret;

        *ret = (struct sockaddr_in){
                .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        if (fd < 0 || bind(fd, (struct sockaddr *) ret, sizeof *ret) < 0 ||
            (type == SOCK_STREAM && listen(fd, 16) < 0) ||
            getsockname(fd, (struct sockaddr *) ret, &size) < 0)
                return close_fd(fd);
        return fd;
}

FakeUpstream *fake_upstream_new(sd_event *event, FakeRespond respond, void *userdata)
{
        FakeUpstream *u = g_new0(FakeUpstream, 1);
        struct sockaddr_in address;

        u->respond = respond;
        u->userdata = userdata;
        u->tcp_fd = u->udp_fd = -1;
        u->connections = g_ptr_array_new_with_free_func(end_connection);
        /* A port that is free for one may be in use for the other. */
        for (unsigned i = 0; i < 100 && u->tcp_fd < 0; i++) {
                u->udp_fd = close_fd(u->udp_fd);
                u->udp_fd = listen_on(SOCK_DGRAM, 0, &address);
                u->tcp_fd = listen_on(SOCK_STREAM, address.sin_port, &address);
        }
        g_assert(u->tcp_fd >= 0);
        (void) snprintf(u->address, sizeof u->address, "127.0.0.1:%u", ntohs(address.sin_port));
        g_assert(sd_event_add_io(event, &u->udp, u->udp_fd, EPOLLIN, on_udp, u) >= 0);
        g_assert(sd_event_add_io(event, &u->tcp, u->tcp_fd, EPOLLIN, on_tcp, u) >= 0);
        return u;
}

FakeUpstream *fake_upstream_free(FakeUpstream *u)
{
        if (!u)
                return NULL;
        sd_event_source_disable_unref(u->udp);
        sd_event_source_disable_unref(u->tcp);
        g_ptr_array_unref(u->connections);
        (void) close_fd(u->udp_fd);
        (void) close_fd(u->tcp_fd);
        g_free(u);
        return NULL;
}

const char *fake_upstream_address(const FakeUpstream *u)
{
        return u->address;
}
