/* SPDX-License-Identifier: MIT */

/* Whatever an upstream sends, what is made of it keeps its bounds. The first byte chooses what was
 * asked; id and question are made to be the packet's own, so that more than the header is read. */

#include "resolve/answer.h"
#include "resolve/question.h"

#include <arpa/nameser.h>
#include <glib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check(const Answer *a)
{
        char name[DOMAIN_NAME_MAX];

        g_assert(a->n_addresses <= RESOLVER_ADDRESSES_MAX && a->n_links <= ANSWER_LINKS_MAX);
        g_assert(a->ttl_sec >= RESOLVER_TTL_MIN_SEC && a->ttl_sec <= RESOLVER_TTL_MAX_SEC);
        g_assert(a->rcode == ns_r_noerror || (a->n_addresses == 0 && a->n_links == 0));
        for (unsigned i = 0; i < a->n_links; i++) {
                g_assert(a->links[i].size > 0 && a->links[i].wire[a->links[i].size - 1] == 0);
                (void) dns_name_to_text(&a->links[i], name);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        g_autofree Answer *a = g_new0(Answer, 1);
        Query query = {.type = ns_t_a, .has_edns = true};
        Question q = {0};
        uint8_t reply[REPLY_MAX];
        ns_msg m;

        if (size < 1 + NS_HFIXEDSZ)
                return 0;
        if (bytes[0] & 1)
                query.type = ns_t_cname;
        bytes++;
        size--;
        query.id = (uint16_t) ns_get16(bytes);
        if (dns_name_read(bytes, size, NS_HFIXEDSZ, &query.name) < 0)
                return 0;
        if (answer_parse(bytes, size, &query, a) != ANSWER_GOOD)
                return 0;
        check(a);
        q.name = query.name;
        size_t n = reply_build(&q, a->rcode, a, REPLY_NOTE_NONE, REPLY_MAX, reply);
        g_assert(n <= REPLY_MAX && ns_initparse(reply, (int) n, &m) == 0);
        g_assert(!ns_msg_getflag(m, ns_f_tc));
        return 0;
}
