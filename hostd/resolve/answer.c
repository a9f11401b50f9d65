/* SPDX-License-Identifier: MIT */
#include "resolve/answer.h"

#include <arpa/nameser.h>
#include <glib.h>
#include <string.h>

/* The CNAMEs and addresses of an answer, before it is known which of them belong to it. */
typedef struct Record {
        DnsName owner;
        DnsName target; /* of a CNAME; else its size is 0 */
        uint32_t address;
        uint32_t ttl_sec;
} Record;

size_t query_build(const Query *query, uint8_t ret[static DNS_UDP_MAX])
{
        uint8_t *at = ret;

        NS_PUT16(query->id, at);
        NS_PUT16(0x0100, at); /* recursion desired */
        NS_PUT16(1, at);
        NS_PUT16(0, at);
        NS_PUT16(0, at);
        NS_PUT16(query->has_edns ? 1 : 0, at);
        memcpy(at, query->name.wire, query->name.size);
        at += query->name.size;
        NS_PUT16(query->type, at);
        NS_PUT16(ns_c_in, at);
        if (query->has_edns) {
                *at++ = 0; /* the root's name */
                NS_PUT16(ns_t_opt, at);
                NS_PUT16(DNS_UDP_MAX, at);
                NS_PUT32(0, at); /* no DNSSEC */
                NS_PUT16(0, at);
        }
        return (size_t) (at - ret);
}

/* -- whether it is an answer to this question ----------------------------------------------- */

static bool is_failure(ns_msg *m)
{
        int rcode = ns_msg_getflag(*m, ns_f_rcode);

        return rcode != ns_r_noerror && rcode != ns_r_nxdomain;
}

static AnswerKind compare_question(ns_msg *m, const Query *query)
{
        const uint8_t *packet = ns_msg_base(*m);
        DnsName name;
        ns_rr rr;
        int n;

        /* Some send nothing but a header where they failed. */
        if (ns_msg_count(*m, ns_s_qd) == 0 && is_failure(m))
                return ANSWER_GOOD;
        if (ns_msg_count(*m, ns_s_qd) != 1 || ns_parserr(m, ns_s_qd, 0, &rr) < 0)
                return ANSWER_FOREIGN;
        n = dns_name_read(packet, ns_msg_size(*m), NS_HFIXEDSZ, &name);
        if (n < 0 || ns_rr_type(rr) != query->type || ns_rr_class(rr) != ns_c_in ||
            !dns_name_is_same(&name, &query->name))
                return ANSWER_FOREIGN;
        return dns_name_is_identical(&name, &query->name) ? ANSWER_GOOD : ANSWER_OTHER_CASE;
}

static AnswerKind check_header(ns_msg *m, const Query *query)
{
        AnswerKind kind;

        if (ns_msg_id(*m) != query->id || !ns_msg_getflag(*m, ns_f_qr) ||
            ns_msg_getflag(*m, ns_f_opcode) != ns_o_query)
                return ANSWER_FOREIGN;
        kind = compare_question(m, query);
        if (kind != ANSWER_GOOD)
                return kind;
        if (ns_msg_getflag(*m, ns_f_tc))
                return ANSWER_TRUNCATED;
        if (!is_failure(m))
                return ANSWER_GOOD;
        int rcode = ns_msg_getflag(*m, ns_f_rcode);
        bool is_of_edns = query->has_edns && (rcode == ns_r_formerr || rcode == ns_r_notimpl);
        return is_of_edns ? ANSWER_NO_EDNS : ANSWER_FAILED;
}

/* -- what it says --------------------------------------------------------------------------- */

/* 1: record `i` is one of the kinds that matter; 0: it is not; -1: it is damaged. ns_parserr()
 * gives the owner as text, with escapes that ns_name_pton() undoes. */
static int read_record(ns_msg *m, int i, Record *ret)
{
        const uint8_t *packet = ns_msg_base(*m);
        size_t size = ns_msg_size(*m);
        Record record = {0};
        uint8_t wire[NS_MAXCDNAME];
        ns_rr rr;

        if (ns_parserr(m, ns_s_an, i, &rr) < 0)
                return -1;
        if (ns_rr_class(rr) != ns_c_in)
                return 0;
        if (ns_name_pton(ns_rr_name(rr), wire, sizeof wire) < 0 ||
            dns_name_read(wire, sizeof wire, 0, &record.owner) < 0)
                return -1;
        /* RFC 2181, 8: what has the highest bit set is 0. */
        record.ttl_sec = ns_rr_ttl(rr) > INT32_MAX ? 0 : (uint32_t) ns_rr_ttl(rr);
        if (ns_rr_type(rr) == ns_t_a && ns_rr_rdlen(rr) == NS_INADDRSZ) {
                record.address = (uint32_t) ns_get32(ns_rr_rdata(rr));
        } else if (ns_rr_type(rr) == ns_t_cname) {
                int n = dns_name_read(packet, size, (size_t) (ns_rr_rdata(rr) - packet),
                                      &record.target);
                if (n != ns_rr_rdlen(rr))
                        return -1;
        } else {
                return 0;
        }
        *ret = record;
        return 1;
}

static const Record *find_link(const Record *records, unsigned n, const DnsName *owner)
{
        for (unsigned i = 0; i < n; i++)
                if (records[i].target.size > 0 && dns_name_is_same(&records[i].owner, owner))
                        return &records[i];
        return NULL;
}

/* From the question's name along the chain, in whatever order its links came. False where it has no
 * end. */
static bool follow(const Record *records, unsigned n, const Query *query, Answer *a)
{
        unsigned links_max = query->type == ns_t_cname ? 1 : ANSWER_LINKS_MAX;
        const DnsName *name = &query->name;
        uint32_t ttl_sec = RESOLVER_TTL_MAX_SEC;
        const Record *link;

        while (a->n_links < links_max && (link = find_link(records, n, name))) {
                a->links[a->n_links++] = link->target;
                ttl_sec = MIN(ttl_sec, link->ttl_sec);
                name = &link->target;
        }
        if (query->type == ns_t_a && find_link(records, n, name))
                return false;
        for (unsigned i = 0; i < n && query->type == ns_t_a; i++) {
                if (records[i].target.size > 0 || !dns_name_is_same(&records[i].owner, name) ||
                    a->n_addresses == RESOLVER_ADDRESSES_MAX)
                        continue;
                a->addresses[a->n_addresses++] = records[i].address;
                ttl_sec = MIN(ttl_sec, records[i].ttl_sec);
        }
        a->ttl_sec = MAX(ttl_sec, RESOLVER_TTL_MIN_SEC);
        return true;
}

static AnswerKind read_records(ns_msg *m, const Query *query, Answer *ret)
{
        g_autofree Record *records = g_new(Record, ANSWER_RECORDS_MAX);
        g_autofree Answer *a = g_new0(Answer, 1);
        unsigned n = 0;

        for (int i = 0; i < ns_msg_count(*m, ns_s_an) && n < ANSWER_RECORDS_MAX; i++) {
                int r = read_record(m, i, &records[n]);

                if (r < 0)
                        return ANSWER_FAILED;
                n += (unsigned) r;
        }
        if (!follow(records, n, query, a))
                return ANSWER_FAILED;
        *ret = *a;
        return ANSWER_GOOD;
}

AnswerKind answer_parse(const uint8_t *packet, size_t size, const Query *query, Answer *ret)
{
        AnswerKind kind;
        ns_msg m;

        /* Nobody who has asked nothing is believed to have sent damaged packets either. */
        if (size > DNS_TCP_MAX || ns_initparse(packet, (int) size, &m) < 0)
                return ANSWER_FOREIGN;
        kind = check_header(&m, query);
        if (kind != ANSWER_GOOD)
                return kind;
        if (ns_msg_getflag(m, ns_f_rcode) == ns_r_nxdomain) {
                *ret = (Answer){.rcode = ns_r_nxdomain, .ttl_sec = RESOLVER_TTL_MIN_SEC};
                return ANSWER_GOOD;
        }
        return read_records(&m, query, ret);
}
