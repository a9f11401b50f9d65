/* SPDX-License-Identifier: MIT */
#include "tests/net/flow.h"

#include "base/cleanup.h"
#include "tests/net/network.h"
#include "tests/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* What is local takes microseconds: this only ends what is dropped. */
#define PATIENCE_MSEC 800

static struct sockaddr_in address_of(uint32_t address, uint16_t port)
{
        return (struct sockaddr_in){
                .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(address)}};
}

static bool wait_for(int fd, short events)
{
        struct pollfd p = {.fd = fd, .events = events};

        return poll(&p, 1, PATIENCE_MSEC) == 1;
}

static int open_in(int ns, int type)
{
        network_enter(ns);
        int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0)
                tap_bail_out("cannot open a socket");
        return fd;
}

int flow_listen(int ns, int type, uint32_t address, uint16_t port)
{
        struct sockaddr_in a = address_of(address, port);
        int fd = open_in(ns, type), one = 1;

        (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(fd, (struct sockaddr *) &a, sizeof a) < 0 ||
            (type == SOCK_STREAM && listen(fd, 128) < 0))
                tap_bail_out("cannot listen");
        return fd;
}

int flow_connect(int ns, uint32_t address, uint16_t port)
{
        struct sockaddr_in a = address_of(address, port);
        int fd = open_in(ns, SOCK_STREAM), error = 0;
        socklen_t size = sizeof error;

        if (connect(fd, (struct sockaddr *) &a, sizeof a) < 0 && errno != EINPROGRESS)
                return close_fd(fd);
        if (!wait_for(fd, POLLOUT) || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ||
            error)
                return close_fd(fd);
        return fd;
}

int flow_accept(int listener, uint32_t *ret_from)
{
        struct sockaddr_in from = {0};
        socklen_t size = sizeof from;

        if (!wait_for(listener, POLLIN))
                return -1;
        int fd = accept4(listener, (struct sockaddr *) &from, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (ret_from)
                *ret_from = ntohl(from.sin_addr.s_addr);
        return fd;
}

static bool pass(int from, int to)
{
        char byte = 'x';

        return write(from, &byte, 1) == 1 && wait_for(to, POLLIN) && read(to, &byte, 1) == 1;
}

bool flow_works(int fd, int accepted)
{
        return fd >= 0 && accepted >= 0 && pass(fd, accepted) && pass(accepted, fd);
}

bool flow_reaches(int ns, uint32_t address, uint16_t port, int listener)
{
        autofd fd = flow_connect(ns, address, port);
        autofd accepted = fd < 0 ? -1 : flow_accept(listener, NULL);

        return flow_works(fd, accepted);
}

bool flow_datagram_of(int ns, uint32_t address, uint16_t port, int bound, size_t answer)
{
        struct sockaddr_in to = address_of(address, port), from = {0};
        socklen_t size = sizeof from;
        autofd fd = open_in(ns, SOCK_DGRAM);
        g_autofree char *bytes = g_malloc0(answer + 1);

        if (connect(fd, (struct sockaddr *) &to, sizeof to) < 0 || write(fd, bytes, 1) != 1 ||
            !wait_for(bound, POLLIN) ||
            recvfrom(bound, bytes, 1, 0, (struct sockaddr *) &from, &size) != 1 ||
            sendto(bound, bytes, answer, 0, (struct sockaddr *) &from, size) != (ssize_t) answer)
                return false;
        return wait_for(fd, POLLIN) && read(fd, bytes, answer + 1) == (ssize_t) answer;
}

bool flow_datagram(int ns, uint32_t address, uint16_t port, int bound)
{
        return flow_datagram_of(ns, address, port, bound, 1);
}

bool flow_ping(int ns, uint32_t address)
{
        struct sockaddr_in to = address_of(address, 0);
        const uint8_t echo[8] = {8, 0, 0xf7, 0xfd, 0, 1, 0, 1};
        uint8_t answer[64];

        network_enter(ns);
        autofd fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP);
        if (fd < 0 || connect(fd, (struct sockaddr *) &to, sizeof to) < 0 ||
            write(fd, echo, sizeof echo) != sizeof echo)
                return false;
        while (wait_for(fd, POLLIN))
                if (read(fd, answer, sizeof answer) >= 28 && answer[20] == 0)
                        return true;
        return false;
}
