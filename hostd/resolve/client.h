/* SPDX-License-Identifier: MIT */
#pragma once

/* Who may ask what, how often, and what came of it: as the daemon told, and as it is told. */

#include "base/resolver-message.h"
#include "resolve/dns-name.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Refused names that are kept until they are told; what is beyond is only counted. */
#define CLIENT_REFUSALS_MAX 8

typedef struct Clients Clients;

/* A list of patterns; clients share it. */
typedef struct ClientList {
        uint32_t id;
        bool allows_private;
        GPtrArray *patterns; /* of strings */
} ClientList;

typedef struct Client {
        uint32_t address;
        const ClientList *list;
        unsigned in_flight; /* questions that wait for an upstream, or for the daemon */

        uint64_t asking_until_usec, finding_until_usec; /* see client_may_ask(), …_find() */
        uint32_t questions, refused, limited, failed;   /* not told yet */
        GArray *refusals; /* not told yet, of ClientRefusal; or NULL */
        bool has_news;
} Client;

typedef struct ClientRefusal {
        ResolverReason reason;
        uint32_t times;
        char name[DOMAIN_NAME_MAX];
} ClientRefusal;

/* `have_news` is called whenever there are news of another client. */
Clients *clients_new(void (*have_news)(void *userdata), void *userdata);
Clients *clients_free(Clients *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Clients, clients_free)

/* What the daemon says; messages of these six types only. FAULT_INTERNAL where it contradicts
 * itself: an unknown list, more than there may be. A client that is dropped is gone. */
int clients_tell(Clients *c, const ResolverMessage *m, Fault *f);

/* NULL: nobody to talk to. Valid until the daemon says something. */
Client *clients_find(const Clients *c, uint32_t address);

/* Whether a pattern of the client's matches the name, as it is for patterns. */
bool client_is_allowed(const Client *client, const char *name);

/* Counts a question; false where there were too many of late. */
bool client_may_ask(Clients *c, Client *client);
/* The same of answers with addresses, of it and of all together: each costs the daemon a change of
 * rules. */
bool client_may_find(Clients *c, Client *client);

/* For the news. */
void client_note_refusal(Clients *c, Client *client, ResolverReason reason, const char *name);
void client_note_limit(Clients *c, Client *client);
void client_note_failure(Clients *c, Client *client);

/* The next message of the news, which are forgotten then; false: there are none. */
bool clients_take_news(Clients *c, ResolverMessage *ret);
bool clients_have_news(const Clients *c);
