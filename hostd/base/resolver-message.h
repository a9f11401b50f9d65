/* SPDX-License-Identifier: MIT */
#pragma once

/* What fluid-hostd and fluid-resolver say to each other, over a SOCK_SEQPACKET pair, of which
 * fluid-resolver is started with one end.
 *
 * All messages are of one size and in the host's byte order: both ends come from one build. The
 * daemon trusts nothing that it reads: fluid-resolver reads packets of guests and of the internet.
 *
 * The daemon tells of lists of patterns (once, however many clients share one) and of clients, each
 * with a list. Before the resolver answers a guest it tells of the addresses (RESOLVER_FOUND), and
 * waits until the daemon has accepted them (RESOLVER_ACCEPTED).
 *
 * Addresses are IPv4, in host byte order. Texts end with a NUL. */

#include "base/domain-pattern.h"
#include "base/fault.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESOLVER_VERSION 2

#define RESOLVER_UPSTREAMS_MAX 3    /* resolv.conf(5) has no more either */
#define RESOLVER_LISTS_MAX     128  /* at a time */
#define RESOLVER_PATTERNS_MAX  256  /* in a list */
#define RESOLVER_CLIENTS_MAX   8192 /* at a time */
#define RESOLVER_ADDRESSES_MAX 16   /* of one answer */

/* What a guest is told, and an address allowed for. */
#define RESOLVER_TTL_MIN_SEC 30
#define RESOLVER_TTL_MAX_SEC 3600

/* The descriptors that fluid-resolver is started with; the sockets, where one before it had some:
 * what was asked meanwhile waits there. */
#define RESOLVER_FD_CHANNEL 3
#define RESOLVER_FD_UDP     4
#define RESOLVER_FD_TCP     5

typedef enum ResolverMessageType {
        /* The daemon's. */
        RESOLVER_UPSTREAMS = 1, /* whom to ask from now on */
        RESOLVER_LIST,          /* a new list; its RESOLVER_PATTERNs follow */
        RESOLVER_PATTERN,
        RESOLVER_DROP_LIST, /* no client has it */
        RESOLVER_CLIENT,    /* a new one, or another list for it */
        RESOLVER_DROP_CLIENT,
        RESOLVER_LISTEN,   /* that is all for now: from now on there is somebody to answer */
        RESOLVER_ACCEPTED, /* the answer to RESOLVER_FOUND */
        _RESOLVER_DAEMON_MAX,

        /* The resolver's. */
        RESOLVER_READY = 0x100, /* confined, and listening to the daemon */
        RESOLVER_FOUND,         /* a name that a client asked for has these addresses */
        RESOLVER_REFUSED,       /* a name that a client asked for in vain */
        RESOLVER_NEWS,          /* what a client did since it was last told of */
        RESOLVER_SOCKETS,       /* the first: those it opened, where it was started without */
        _RESOLVER_RESOLVER_MAX,
} ResolverMessageType;

typedef enum ResolverReason {
        RESOLVER_REASON_NAME,    /* no pattern of the client's matches it */
        RESOLVER_REASON_ADDRESS, /* it has none that the client may reach */
        _RESOLVER_REASON_MAX,
} ResolverReason;

/* A resolver to ask: port and address in network byte order. */
typedef struct ResolverUpstream {
        uint16_t family; /* AF_INET or AF_INET6 */
        in_port_t port;
        uint32_t scope_id; /* of a link-local IPv6 address */
        union {
                struct in_addr v4;
                struct in6_addr v6;
        } address;
} ResolverUpstream;

typedef struct ResolverMessage {
        uint32_t version;
        uint32_t type;
        union {
                struct {
                        uint32_t n;
                        ResolverUpstream items[RESOLVER_UPSTREAMS_MAX];
                } upstreams;
                struct {
                        uint32_t id;
                        uint32_t allows_private; /* addresses, which are not on the internet */
                } list;                          /* and of RESOLVER_DROP_LIST */
                struct {
                        uint32_t list;
                        char text[DOMAIN_NAME_MAX];
                } pattern;
                struct {
                        uint32_t address;
                        uint32_t list;
                } client; /* and of RESOLVER_DROP_CLIENT */
                struct {
                        uint64_t serial;
                        uint32_t mask; /* bit i: address i is passed */
                } accepted;
                struct {
                        uint64_t serial;
                        uint32_t client;
                        uint32_t list; /* whose pattern the name matched */
                        uint32_t ttl_sec;
                        uint32_t n;
                        uint32_t addresses[RESOLVER_ADDRESSES_MAX];
                        char name[DOMAIN_NAME_MAX];
                } found;
                struct {
                        uint32_t client;
                        uint32_t reason; /* a ResolverReason */
                        uint32_t times;
                        char name[DOMAIN_NAME_MAX]; /* escaped */
                } refused;
                struct {
                        uint32_t client;
                        uint32_t questions;
                        uint32_t refused; /* for either reason */
                        uint32_t limited; /* asked more than it may */
                        uint32_t failed;  /* no upstream, or not the daemon, answered */
                } news;
        };
} ResolverMessage;

/* Whether these bytes are a message of the daemon's, or of the resolver's, with every number and
 * text within its bounds. FAULT_INTERNAL, with what is wrong. What is not true can still be in it.
 */
int resolver_message_check(const ResolverMessage *m, size_t size, bool is_of_daemon, Fault *f);

/* Reads one from a non-blocking socket and checks it. 1; 0 where there is none now; or a fault:
 * FAULT_IO where the other end is gone, else FAULT_INTERNAL. */
int resolver_message_receive(int fd, bool is_of_daemon, ResolverMessage *ret, Fault *f);

/* The same of the one RESOLVER_SOCKETS, with which the sockets come: the caller's to close, and to
 * look at. Every other way of reading leaves descriptors behind. */
int resolver_message_receive_sockets(int fd, int *ret_udp, int *ret_tcp, Fault *f);

/* Writes one to a non-blocking socket, with its version. -EAGAIN where the other end does not read,
 * or another negative errno. */
int resolver_message_send(int fd, ResolverMessage *m);
/* RESOLVER_SOCKETS, with them. */
int resolver_message_send_sockets(int fd, int udp_fd, int tcp_fd);
