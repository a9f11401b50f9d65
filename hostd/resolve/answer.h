/* SPDX-License-Identifier: MIT */
#pragma once

/* What is asked of an upstream resolver, and what its packet says to it.
 *
 * The packet is hostile: it may come from anybody who has guessed address, port and id, or from
 * whoever the name belongs to. */

#include "base/resolver-message.h"
#include "resolve/dns-name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a packet that goes over UDP: what passes every network in one piece. */
#define DNS_UDP_MAX 1232
/* Of an answer that is read over TCP: no addresses need more. */
#define DNS_TCP_MAX 16384

#define ANSWER_LINKS_MAX   8
#define ANSWER_RECORDS_MAX 128

/* One question to an upstream. */
typedef struct Query {
        uint16_t id;
        uint16_t type; /* ns_t_a or ns_t_cname */
        DnsName name;  /* in the case in which it has to come back */
        bool has_edns;
} Query;

typedef struct Answer {
        unsigned rcode; /* ns_r_noerror or ns_r_nxdomain; with the latter there is nothing else */
        /* From name to name: the targets of CNAMEs, the first one the question's. */
        unsigned n_links;
        DnsName links[ANSWER_LINKS_MAX];
        /* Of the last of these names. Those beyond the maximum are left out. */
        unsigned n_addresses;
        uint32_t addresses[RESOLVER_ADDRESSES_MAX];
        /* The least of all that are here, within the bounds that RESOLVER_TTL_… give. */
        uint32_t ttl_sec;
} Answer;

/* A packet for it; its size, at most DNS_UDP_MAX. */
size_t query_build(const Query *query, uint8_t ret[static DNS_UDP_MAX]);

typedef enum AnswerKind {
        ANSWER_GOOD,       /* `*ret` is written; in all other cases it is not */
        ANSWER_FOREIGN,    /* not to this question: go on waiting */
        ANSWER_OTHER_CASE, /* the question came back in other case: ask where nobody can guess */
        ANSWER_TRUNCATED,  /* ask over TCP */
        ANSWER_NO_EDNS,    /* ask without EDNS */
        ANSWER_FAILED,     /* ask another one: damaged, a chain without end, SERVFAIL and so on */
} AnswerKind;

AnswerKind answer_parse(const uint8_t *packet, size_t size, const Query *query, Answer *ret);
