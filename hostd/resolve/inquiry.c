/* SPDX-License-Identifier: MIT */
#include "resolve/inquiry.h"

#include "base/address-scope.h"
#include "base/quantity.h"

#include <arpa/nameser.h>
#include <string.h>

#define ACCURACY_USEC (10 * USEC_PER_MSEC)

/* One question under way. */
typedef struct Inquiry {
        Inquiries *all;
        uint64_t serial;
        uint32_t client;
        Listener *listener;
        Origin origin;
        Question question;
        char name[DOMAIN_NAME_MAX]; /* the question's, as it is for patterns */

        Ask *ask;               /* until an upstream has answered */
        sd_event_source *timer; /* while the daemon is waited for */
        Answer answer;          /* from then on */
} Inquiry;

struct Inquiries {
        sd_event *event;
        Clients *clients;
        Upstreams *upstreams;
        InquiriesTell tell;
        void *userdata;
        GHashTable *inquiries; /* serial to Inquiry */
        uint64_t last_serial;
};

static void inquiry_free(void *data)
{
        Inquiry *i = data;
        Client *client = clients_find(i->all->clients, i->client);

        if (client)
                client->in_flight--;
        (void) ask_cancel(i->ask);
        sd_event_source_disable_unref(i->timer);
        g_free(i);
}

/* -- replies -------------------------------------------------------------------------------- */

static void reply(Listener *listener, const Origin *origin, const Question *question,
                  unsigned rcode, const Answer *answer, ReplyNote note)
{
        uint8_t packet[REPLY_MAX];
        size_t max = origin->connection ? REPLY_MAX : question->udp_max;

        listener_reply(listener, origin, packet,
                       reply_build(question, rcode, answer, note, max, packet));
}

/* The last thing to do with it. */
static void conclude(Inquiry *i, unsigned rcode, const Answer *answer, ReplyNote note)
{
        reply(i->listener, &i->origin, &i->question, rcode, answer, note);
        (void) g_hash_table_remove(i->all->inquiries, &i->serial);
}

static void fail(Inquiry *i, Client *client)
{
        client_note_failure(i->all->clients, client);
        conclude(i, ns_r_servfail, NULL, REPLY_NOTE_UPSTREAM);
}

static void refuse(Inquiry *i, Client *client, ResolverReason reason)
{
        bool is_name = reason == RESOLVER_REASON_NAME;

        client_note_refusal(i->all->clients, client, reason, i->name);
        conclude(i, is_name ? ns_r_nxdomain : ns_r_noerror, NULL,
                 is_name ? REPLY_NOTE_NAME : REPLY_NOTE_ADDRESS);
}

/* -- the daemon ----------------------------------------------------------------------------- */

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        Inquiry *i = userdata;

        (void) source, (void) usec;
        fail(i, clients_find(i->all->clients, i->client));
        return 0;
}

static int tell(Inquiry *i, const Client *client)
{
        ResolverMessage m = {.type = RESOLVER_FOUND};
        Answer *a = &i->answer;
        int r;

        r = sd_event_add_time(i->all->event, &i->timer, CLOCK_MONOTONIC,
                              now_monotonic_usec() + ACCEPT_USEC, ACCURACY_USEC, on_timer, i);
        if (r < 0)
                return r;
        m.found.serial = i->serial;
        m.found.client = i->client;
        m.found.list = client->list->id;
        m.found.ttl_sec = a->ttl_sec;
        m.found.n = a->n_addresses;
        memcpy(m.found.addresses, a->addresses, a->n_addresses * sizeof a->addresses[0]);
        (void) g_strlcpy(m.found.name, i->name, sizeof m.found.name);
        return i->all->tell(&m, i->all->userdata);
}

void inquiries_accept(Inquiries *q, uint64_t serial, uint32_t mask)
{
        Inquiry *i = g_hash_table_lookup(q->inquiries, &serial);
        Answer *a;
        unsigned n = 0;

        if (!i || !i->timer)
                return;
        a = &i->answer;
        for (unsigned k = 0; k < a->n_addresses; k++)
                if (mask & UINT32_C(1) << k)
                        a->addresses[n++] = a->addresses[k];
        a->n_addresses = n;
        if (n > 0)
                conclude(i, ns_r_noerror, a, REPLY_NOTE_NONE);
        else
                refuse(i, clients_find(q->clients, i->client), RESOLVER_REASON_ADDRESS);
}

/* -- the upstream --------------------------------------------------------------------------- */

/* What a name of the internet has no business to point to: else whoever owns the name chooses what
 * of the host's networks a sandbox reaches. */
static void leave_out_addresses(Answer *a, bool allows_private)
{
        AddressScope widest = allows_private ? ADDRESS_PRIVATE : ADDRESS_PUBLIC;
        unsigned n = 0;

        for (unsigned i = 0; i < a->n_addresses; i++)
                if (address_scope(a->addresses[i]) <= widest)
                        a->addresses[n++] = a->addresses[i];
        a->n_addresses = n;
}

static void on_answer(const Answer *answer, void *userdata)
{
        Inquiry *i = userdata;
        Client *client = clients_find(i->all->clients, i->client);

        i->ask = NULL;
        if (!answer) {
                fail(i, client);
                return;
        }
        /* It may have another list than when it asked. */
        if (!client_is_allowed(client, i->name)) {
                refuse(i, client, RESOLVER_REASON_NAME);
                return;
        }
        i->answer = *answer;
        if (answer->n_addresses == 0) {
                conclude(i, answer->rcode, answer, REPLY_NOTE_NONE);
                return;
        }
        leave_out_addresses(&i->answer, client->list->allows_private);
        if (i->answer.n_addresses == 0) {
                refuse(i, client, RESOLVER_REASON_ADDRESS);
        } else if (!client_may_find(i->all->clients, client)) {
                client_note_limit(i->all->clients, client);
                conclude(i, ns_r_servfail, NULL, REPLY_NOTE_NONE);
        } else if (tell(i, client) < 0) {
                fail(i, client);
        }
}

/* -- questions ------------------------------------------------------------------------------ */

/* The same guest may ask again before it has an answer. */
static bool is_under_way(Inquiries *q, const Origin *origin, const Question *question)
{
        GHashTableIter iter;
        Inquiry *i;

        g_hash_table_iter_init(&iter, q->inquiries);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &i))
                if (i->origin.connection == origin->connection &&
                    i->origin.from.sin_addr.s_addr == origin->from.sin_addr.s_addr &&
                    i->origin.from.sin_port == origin->from.sin_port &&
                    i->question.id == question->id && i->question.type == question->type &&
                    dns_name_is_identical(&i->question.name, &question->name))
                        return true;
        return false;
}

static bool begin(Inquiries *q, Client *client, Listener *listener, const Origin *origin,
                  const Question *question, const char *name)
{
        Inquiry *i;

        if (client->in_flight >= INQUIRIES_OF_CLIENT_MAX ||
            g_hash_table_size(q->inquiries) >= INQUIRIES_MAX)
                return false;
        i = g_new0(Inquiry, 1);
        *i = (Inquiry){.all = q,
                       .serial = ++q->last_serial,
                       .client = client->address,
                       .listener = listener,
                       .origin = *origin,
                       .question = *question};
        (void) g_strlcpy(i->name, name, sizeof i->name);
        client->in_flight++;
        g_hash_table_insert(q->inquiries, &i->serial, i);
        i->ask = upstreams_ask(q->upstreams, &i->question.name, question->type, on_answer, i);
        if (!i->ask)
                (void) g_hash_table_remove(q->inquiries, &i->serial);
        return i->ask != NULL;
}

static void consider(Inquiries *q, Client *client, Listener *listener, const Origin *origin,
                     const Question *question)
{
        char name[DOMAIN_NAME_MAX];
        bool is_plain = dns_name_to_text(&question->name, name);

        if (question->class != ns_c_in) {
                reply(listener, origin, question, ns_r_refused, NULL, REPLY_NOTE_NONE);
        } else if (!is_plain || !client_is_allowed(client, name)) {
                client_note_refusal(q->clients, client, RESOLVER_REASON_NAME, name);
                reply(listener, origin, question, ns_r_nxdomain, NULL, REPLY_NOTE_NAME);
        } else if (question->type != ns_t_a && question->type != ns_t_cname) {
                reply(listener, origin, question, ns_r_noerror, NULL, REPLY_NOTE_NONE);
        } else if (is_under_way(q, origin, question)) {
                return;
        } else if (!begin(q, client, listener, origin, question, name)) {
                client_note_limit(q->clients, client);
                reply(listener, origin, question, ns_r_servfail, NULL, REPLY_NOTE_NONE);
        }
}

void inquiries_receive(Inquiries *q, Listener *listener, const Origin *origin,
                       const uint8_t *packet, size_t size)
{
        Client *client = clients_find(q->clients, ntohl(origin->from.sin_addr.s_addr));
        Question question;
        int rcode;

        if (!client) {
                listener_refuse(listener, origin);
                return;
        }
        if (!client_may_ask(q->clients, client)) {
                client_note_limit(q->clients, client);
                listener_refuse(listener, origin);
                return;
        }
        rcode = question_parse(packet, size, &question);
        if (rcode < 0)
                listener_refuse(listener, origin);
        else if (rcode != ns_r_noerror)
                reply(listener, origin, &question, (unsigned) rcode, NULL, REPLY_NOTE_NONE);
        else
                consider(q, client, listener, origin, &question);
}

/* -- the whole ------------------------------------------------------------------------------ */

Inquiries *inquiries_new(sd_event *event, Clients *clients, Upstreams *upstreams,
                         InquiriesTell tell_daemon, void *userdata)
{
        Inquiries *q = g_new0(Inquiries, 1);

        *q = (Inquiries){.event = sd_event_ref(event),
                         .clients = clients,
                         .upstreams = upstreams,
                         .tell = tell_daemon,
                         .userdata = userdata};
        q->inquiries = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, inquiry_free);
        return q;
}

Inquiries *inquiries_free(Inquiries *q)
{
        if (!q)
                return NULL;
        g_hash_table_unref(q->inquiries);
        sd_event_unref(q->event);
        g_free(q);
        return NULL;
}

static gboolean is_of(void *serial, void *inquiry, void *client)
{
        (void) serial;
        return ((Inquiry *) inquiry)->client == GPOINTER_TO_UINT(client);
}

void inquiries_forget(Inquiries *q, uint32_t client)
{
        (void) g_hash_table_foreach_remove(q->inquiries, is_of, GUINT_TO_POINTER(client));
}
