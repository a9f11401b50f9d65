/* SPDX-License-Identifier: MIT */
#pragma once

/* The resolvers of the host, and questions under way to them.
 *
 * Every attempt has a socket, thus a source port, an id, and a pattern of upper and lower case of
 * its own. Another resolver is tried when one does not answer, or fails; TCP, where an answer does
 * not fit or does not prove that it saw the question. */

#include "base/resolver-message.h"
#include "resolve/answer.h"

#include <glib.h>
#include <systemd/sd-event.h>

/* From the first attempt to the last: resolvers of guests ask again after 5 s. */
#define ASK_TOTAL_USEC (UINT64_C(4500) * 1000)

typedef struct Upstreams Upstreams;
typedef struct Ask Ask;

Upstreams *upstreams_new(sd_event *event);
/* All Asks have to be gone. NULL is allowed. */
Upstreams *upstreams_free(Upstreams *u);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Upstreams, upstreams_free)

/* Whom to ask from the next attempt on; none is allowed. */
void upstreams_set(Upstreams *u, const ResolverUpstream *items, unsigned n);

/* Once, never before upstreams_ask() returned; NULL: nobody had an answer. The Ask is gone then. */
typedef void (*AskDone)(const Answer *answer, void *userdata);

/* `type` is ns_t_a or ns_t_cname. NULL where no timer can be had. */
Ask *upstreams_ask(Upstreams *u, const DnsName *name, uint16_t type, AskDone done, void *userdata);

/* It ends without done(). NULL is allowed. */
Ask *ask_cancel(Ask *ask);
