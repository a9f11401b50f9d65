/* SPDX-License-Identifier: MIT */
#pragma once

/* What becomes of a guest's question: it is refused, or answered at once, or put to an upstream;
 * what is found is told to the daemon, and when that has accepted it, to the guest.
 *
 *   - not a name that the client may ask for: NXDOMAIN. REFUSED would be plainer, but resolvers of
 *     guests take it for a fault of the server: glibc reports a temporary failure, musl waits for
 *     its time to be over. RFC 8914 notes tell those apart that can show them;
 *   - type A: the addresses, and the CNAMEs on the way; type CNAME: that of the name;
 *   - any other type: nothing of that type. There is no IPv6, and no other channel in TXT;
 *   - no upstream answered, or not the daemon: SERVFAIL;
 *   - asked more often than it may: no reply. */

#include "resolve/client.h"
#include "resolve/listener.h"
#include "resolve/upstream.h"

#define INQUIRIES_MAX           512
#define INQUIRIES_OF_CLIENT_MAX 64
/* How long the daemon may take. */
#define ACCEPT_USEC UINT64_C(1000000)

typedef struct Inquiries Inquiries;

/* Tells the daemon; a negative errno where it does not read. */
typedef int (*InquiriesTell)(ResolverMessage *m, void *userdata);

/* All of these are borrowed. */
Inquiries *inquiries_new(sd_event *event, Clients *clients, Upstreams *upstreams,
                         InquiriesTell tell, void *userdata);
/* NULL is allowed. */
Inquiries *inquiries_free(Inquiries *q);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Inquiries, inquiries_free)

/* A packet has arrived; replies go to `listener`. */
void inquiries_receive(Inquiries *q, Listener *listener, const Origin *origin,
                       const uint8_t *packet, size_t size);

/* The daemon has accepted these addresses of a RESOLVER_FOUND. */
void inquiries_accept(Inquiries *q, uint64_t serial, uint32_t mask);

/* No reply to any question of that client; before it is dropped. */
void inquiries_forget(Inquiries *q, uint32_t client);
