/* SPDX-License-Identifier: MIT */
#pragma once

/* Connections and datagrams between the namespaces of network.h. All are tried for at most a short
 * while; addresses are in host byte order. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A listening TCP socket, or a bound UDP one. */
int flow_listen(int ns, int type, uint32_t address, uint16_t port);

/* A connected TCP socket, or -1 where no answer came; SYN and its answer. */
int flow_connect(int ns, uint32_t address, uint16_t port);

/* Bytes pass in both directions between a connected socket and what `listener` accepts; where it
 * says so, from whom it came. */
bool flow_works(int fd, int accepted);
int flow_accept(int listener, uint32_t *ret_from);

/* A connection from there to the listener, and bytes in both directions. */
bool flow_reaches(int ns, uint32_t address, uint16_t port, int listener);

/* One datagram from there to the bound socket, and one of `answer` bytes back. */
bool flow_datagram_of(int ns, uint32_t address, uint16_t port, int bound, size_t answer);
bool flow_datagram(int ns, uint32_t address, uint16_t port, int bound);

/* An ICMP echo and its answer. */
bool flow_ping(int ns, uint32_t address);
