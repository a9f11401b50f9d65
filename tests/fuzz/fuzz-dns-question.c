/* SPDX-License-Identifier: MIT */

/* Whatever a guest sends, the reply keeps its bounds and can be read. */

#include "resolve/question.h"

#include <arpa/nameser.h>
#include <glib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        uint8_t reply[REPLY_MAX];
        char name[DOMAIN_NAME_MAX];
        Answer answer = {.ttl_sec = 60, .n_addresses = RESOLVER_ADDRESSES_MAX, .n_links = 1};
        Question q;
        ns_msg m;
        int rcode = question_parse(bytes, size, &q);

        if (rcode < 0)
                return 0;
        if (rcode == ns_r_noerror) {
                answer.links[0] = q.name;
                if (dns_name_to_text(&q.name, name))
                        g_assert(domain_name_is_plain(name));
        }
        for (int i = 0; i < 2; i++) {
                size_t n = reply_build(&q, (unsigned) rcode,
                                       rcode == ns_r_noerror && i == 0 ? &answer : NULL,
                                       REPLY_NOTE_NAME, q.udp_max, reply);

                g_assert(n <= q.udp_max && ns_initparse(reply, (int) n, &m) == 0);
                g_assert(ns_msg_getflag(m, ns_f_qr) && ns_msg_id(m) == q.id);
        }
        return 0;
}
