/* SPDX-License-Identifier: MIT */
#pragma once

/* A resolver on 127.0.0.1 that answers what a test wants, over UDP and TCP. */

#include "tests/fake/dns-packet.h"

#include <systemd/sd-event.h>

typedef struct FakeUpstream FakeUpstream;

typedef struct FakeQuery {
        unsigned id;
        char name[NS_MAXDNAME]; /* in the case in which it was asked */
        unsigned type;
        bool by_tcp;
        bool has_edns;
        in_port_t port; /* that it came from, over UDP */
} FakeQuery;

/* The packets to send, in that order, are added to `replies`, which owns them (of DnsPacket). */
typedef void (*FakeRespond)(const FakeQuery *query, GPtrArray *replies, void *userdata);

FakeUpstream *fake_upstream_new(sd_event *event, FakeRespond respond, void *userdata);
FakeUpstream *fake_upstream_free(FakeUpstream *u);

/* "127.0.0.1:12345" */
const char *fake_upstream_address(const FakeUpstream *u);

/* A reply to it with nothing in it but the question; it is in `replies` already. */
DnsPacket *fake_reply(const FakeQuery *query, GPtrArray *replies);
