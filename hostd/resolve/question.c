/* SPDX-License-Identifier: MIT */
#include "resolve/question.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <glib.h>
#include <string.h>

#define FLAG_REPLY               0x8000
#define FLAG_TRUNCATED           0x0200
#define FLAG_RECURSION_DESIRED   0x0100
#define FLAG_RECURSION_AVAILABLE 0x0080
#define FLAG_CHECKING_DISABLED   0x0010

/* RFC 6891, 6.1.3: above the four bits of the header. */
#define EDNS_VERSION(ttl) ((ttl) >> 16 & 0xff)

/* -- reading -------------------------------------------------------------------------------- */

static int read_edns(const ns_rr *rr, Question *q)
{
        if (q->has_edns || strcmp(ns_rr_name(*rr), ".") != 0)
                return ns_r_formerr;
        q->has_edns = true;
        q->udp_max = CLAMP(ns_rr_class(*rr), NS_PACKETSZ, DNS_UDP_MAX);
        return EDNS_VERSION(ns_rr_ttl(*rr)) > 0 ? ns_r_badvers : ns_r_noerror;
}

static int read_sections(ns_msg *m, Question *q)
{
        ns_rr rr;

        if (ns_msg_count(*m, ns_s_qd) != 1 || ns_msg_count(*m, ns_s_an) != 0 ||
            ns_msg_count(*m, ns_s_ns) != 0 || ns_msg_count(*m, ns_s_ar) > 2 ||
            ns_parserr(m, ns_s_qd, 0, &rr) < 0 ||
            dns_name_read(ns_msg_base(*m), ns_msg_size(*m), NS_HFIXEDSZ, &q->name) < 0)
                return ns_r_formerr;
        q->type = ns_rr_type(rr);
        q->class = ns_rr_class(rr);
        for (int i = 0; i < ns_msg_count(*m, ns_s_ar); i++) {
                int rcode;

                if (ns_parserr(m, ns_s_ar, i, &rr) < 0)
                        return ns_r_formerr;
                rcode = ns_rr_type(rr) == ns_t_opt ? read_edns(&rr, q) : ns_r_noerror;
                if (rcode != ns_r_noerror)
                        return rcode;
        }
        return ns_r_noerror;
}

int question_parse(const uint8_t *packet, size_t size, Question *ret)
{
        ns_msg m;

        if (size < NS_HFIXEDSZ || size > NS_MAXMSG)
                return -EBADMSG;
        *ret = (Question){
                .id = (uint16_t) ns_get16(packet),
                .flags = (uint16_t) ns_get16(packet + 2),
                .udp_max = NS_PACKETSZ,
        };
        /* To answer answers is how two servers keep each other busy for ever. */
        if (ret->flags & FLAG_REPLY)
                return -EBADMSG;
        if ((ret->flags >> 11 & 0xf) != ns_o_query)
                return ns_r_notimpl;
        if ((ret->flags & FLAG_TRUNCATED) || ns_initparse(packet, (int) size, &m) < 0)
                return ns_r_formerr;
        return read_sections(&m, ret);
}

/* -- replying ------------------------------------------------------------------------------- */

static uint8_t *put_name(uint8_t *at, const DnsName *name)
{
        memcpy(at, name->wire, name->size);
        return at + name->size;
}

static uint8_t *put_record(uint8_t *at, unsigned owner, unsigned type, uint32_t ttl_sec)
{
        NS_PUT16((unsigned) NS_CMPRSFLGS << 8 | owner, at);
        NS_PUT16(type, at);
        NS_PUT16(ns_c_in, at);
        NS_PUT32(ttl_sec, at);
        return at;
}

/* Every owner is a pointer to where its name was written first: in the question, or in the link
 * before. */
static uint8_t *put_answer(uint8_t *at, const uint8_t *begin, const Answer *a)
{
        unsigned owner = NS_HFIXEDSZ;

        for (unsigned i = 0; i < a->n_links; i++) {
                at = put_record(at, owner, ns_t_cname, a->ttl_sec);
                NS_PUT16(a->links[i].size, at);
                owner = (unsigned) (at - begin);
                at = put_name(at, &a->links[i]);
        }
        for (unsigned i = 0; i < a->n_addresses; i++) {
                at = put_record(at, owner, ns_t_a, a->ttl_sec);
                NS_PUT16(NS_INADDRSZ, at);
                NS_PUT32(a->addresses[i], at);
        }
        return at;
}

static uint8_t *put_edns(uint8_t *at, unsigned rcode, ReplyNote note)
{
        static const struct {
                uint16_t code;
                const char *text;
        } notes[_REPLY_NOTE_MAX] = {
                [REPLY_NOTE_NAME] = {15, "the network profile of this sandbox does not allow it"},
                [REPLY_NOTE_ADDRESS] = {17, "it has no address that the network profile allows"},
                [REPLY_NOTE_UPSTREAM] = {22, "no resolver of the host's answered"},
        };
        const char *text = notes[note].text;
        size_t n = text ? strlen(text) : 0;

        *at++ = 0;
        NS_PUT16(ns_t_opt, at);
        NS_PUT16(DNS_UDP_MAX, at);
        NS_PUT32((uint32_t) rcode >> 4 << 24, at);
        NS_PUT16(text ? n + 6 : 0, at);
        if (text) {
                NS_PUT16(15, at); /* extended DNS error */
                NS_PUT16(n + 2, at);
                NS_PUT16(notes[note].code, at);
                memcpy(at, text, n);
                at += n;
        }
        return at;
}

static uint8_t *build(const Question *q, unsigned rcode, const Answer *a, ReplyNote note,
                      unsigned flags, uint8_t *ret)
{
        uint8_t *at = ret;

        flags |= FLAG_REPLY | FLAG_RECURSION_AVAILABLE | (rcode & 0xf) |
                 (q->flags & (FLAG_RECURSION_DESIRED | FLAG_CHECKING_DISABLED | 0x7800));
        NS_PUT16(q->id, at);
        NS_PUT16(flags, at);
        NS_PUT16(q->name.size > 0 ? 1 : 0, at);
        NS_PUT16(a ? a->n_links + a->n_addresses : 0, at);
        NS_PUT16(0, at);
        NS_PUT16(q->has_edns ? 1 : 0, at);
        if (q->name.size > 0) {
                at = put_name(at, &q->name);
                NS_PUT16(q->type, at);
                NS_PUT16(q->class, at);
        }
        if (a)
                at = put_answer(at, ret, a);
        return q->has_edns ? put_edns(at, rcode, note) : at;
}

size_t reply_build(const Question *q, unsigned rcode, const Answer *answer, ReplyNote note,
                   size_t max, uint8_t ret[static REPLY_MAX])
{
        size_t size = (size_t) (build(q, rcode, answer, note, 0, ret) - ret);

        if (size > max)
                size = (size_t) (build(q, rcode, NULL, REPLY_NOTE_NONE, FLAG_TRUNCATED, ret) - ret);
        return size;
}
