/* SPDX-License-Identifier: MIT */

/* What a guest's packet is taken for, and how replies are written. */

#include "resolve/question.h"

#include "tests/fake/dns-packet.h"
#include "tests/tap.h"

#include <errno.h>

#define NAME "wWw.Example.com"

static DnsPacket *ask(void)
{
        DnsPacket *p = dns_packet(0x1234, DNS_ASK);

        dns_put_question(p, NAME, ns_t_a);
        return p;
}

static int parse(const DnsPacket *p, Question *ret)
{
        g_autofree uint8_t *exact = g_memdup2(p->data, p->len); /* for those who look beyond it */

        return question_parse(exact, p->len, ret);
}

/* -- reading -------------------------------------------------------------------------------- */

static void test_good(void)
{
        g_autoptr(DnsPacket) p = ask();
        char name[DOMAIN_NAME_MAX] = "";
        Question q;

        tap_ok(parse(p, &q) == 0 && q.id == 0x1234 && q.type == ns_t_a && q.class == ns_c_in &&
                       !q.has_edns && q.udp_max == 512 && dns_name_to_text(&q.name, name) &&
                       g_str_equal(name, "www.example.com"),
               "a question is read");
        dns_put_edns(p, 4096, 0);
        tap_ok(parse(p, &q) == 0 && q.has_edns && q.udp_max == DNS_UDP_MAX,
               "a guest that takes more gets at most what fits everywhere");
        g_autoptr(DnsPacket) small = ask();
        dns_put_edns(small, 100, 0);
        tap_ok(parse(small, &q) == 0 && q.udp_max == 512, "and at least what always fits");
}

static void test_headers(void)
{
        static const struct {
                const char *sentence;
                size_t at;
                uint8_t value;
                int expected;
        } cases[] = {
                {"an answer gets no reply", 2, 0x81, -EBADMSG},
                {"a notification is not implemented", 2, 0x21, ns_r_notimpl},
                {"an update is not implemented", 2, 0x29, ns_r_notimpl},
                {"a truncated question is none", 2, 0x03, ns_r_formerr},
                {"no question is none", 5, 0, ns_r_formerr},
                {"two questions are none", 5, 2, ns_r_formerr},
                {"65,000 questions are none", 4, 255, ns_r_formerr},
                {"65,000 answers are none", 6, 255, ns_r_formerr},
                {"65,000 additional records are none", 10, 255, ns_r_formerr},
                {"a name that goes out of the packet is none", 12, 63, ns_r_formerr},
                {"a name of a reserved kind is none", 12, 0x80, ns_r_formerr},
        };
        Question q;

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(DnsPacket) p = ask();

                p->data[cases[i].at] = cases[i].value;
                tap_is_int(parse(p, &q), cases[i].expected, "%s", cases[i].sentence);
        }
}

static void test_sections(void)
{
        g_autoptr(DnsPacket) answer = ask(), authority = ask(), many = ask(), twice = ask();
        g_autoptr(DnsPacket) version = ask(), loop = ask(), after = ask(), named = ask();
        g_autoptr(DnsPacket) data = g_byte_array_new();
        Question q;

        dns_put_a(answer, NAME, 60, "9.9.9.9");
        tap_is_int(parse(answer, &q), ns_r_formerr, "a question with an answer is none");
        dns_put_record(authority, 2, NAME, ns_t_ns, 60, data);
        tap_is_int(parse(authority, &q), ns_r_formerr, "a question with an authority is none");
        for (unsigned i = 0; i < 3; i++)
                dns_put_record(many, 3, NAME, ns_t_txt, 60, data);
        tap_is_int(parse(many, &q), ns_r_formerr, "a question with many records is none");
        dns_put_edns(twice, 512, 0);
        dns_put_edns(twice, 512, 0);
        tap_is_int(parse(twice, &q), ns_r_formerr, "a question with EDNS twice is none");
        dns_put_record(named, 3, NAME, ns_t_opt, 0, data);
        tap_is_int(parse(named, &q), ns_r_formerr, "EDNS with a name is none");
        dns_put_edns(version, 512, 1);
        tap_ok(parse(version, &q) == ns_r_badvers && q.has_edns,
               "another version of EDNS is told from this one");
        loop->data[12] = 0xc0;
        loop->data[13] = 0x0c;
        tap_is_int(parse(loop, &q), ns_r_formerr, "a name that points to itself is none");
        g_byte_array_append(after, (const uint8_t *) "", 1);
        tap_is_int(parse(after, &q), ns_r_formerr, "a question with something after it is none");
}

static void test_cuts(void)
{
        g_autoptr(DnsPacket) p = ask();
        bool is_silent = true, is_refused = true;
        Question q;

        for (unsigned size = 0; size < p->len; size++) {
                g_autofree uint8_t *cut = g_memdup2(p->data, size);
                int r = question_parse(cut, size, &q);

                is_silent = is_silent && (size >= NS_HFIXEDSZ || r == -EBADMSG);
                is_refused = is_refused && r != ns_r_noerror;
        }
        tap_ok(is_silent, "less than a header gets no reply");
        tap_ok(is_refused, "no part of a question is one");
}

/* -- replying ------------------------------------------------------------------------------- */

static DnsName name_of(const char *text)
{
        g_autoptr(DnsPacket) p = g_byte_array_new();
        DnsName name;

        dns_put_name(p, text);
        g_assert(dns_name_read(p->data, p->len, 0, &name) > 0);
        return name;
}

static void test_reply(const Question *q, unsigned rcode, const Answer *a, size_t max,
                       const char *expected, const char *sentence)
{
        uint8_t packet[REPLY_MAX];
        size_t size = reply_build(q, rcode, a, REPLY_NOTE_NONE, max, packet);
        g_autofree char *got = dns_describe(packet, size);

        tap_is_str(size <= max ? got : "too long", expected, "%s", sentence);
}

static void test_replies(void)
{
        g_autoptr(DnsPacket) p = ask();
        g_autofree Answer *a = g_new0(Answer, 1);
        g_autofree char *longest = g_strnfill(250, 'x');
        Question q, unread = {.id = 7};

        g_assert(parse(p, &q) == 0);
        test_reply(&q, ns_r_nxdomain, NULL, 512, "NXDOMAIN", "nothing can be replied");
        test_reply(&unread, ns_r_formerr, NULL, 512, "FORMERR",
                   "a question that cannot be repeated is replied to");
        a->ttl_sec = 60;
        a->n_addresses = 1;
        a->addresses[0] = 0x09080706;
        test_reply(&q, ns_r_noerror, a, 512, "NOERROR " NAME " 60 A 9.8.7.6",
                   "an address is the name's, in its case");
        a->n_links = 2;
        a->links[0] = name_of("a.test");
        a->links[1] = name_of("b.test");
        test_reply(&q, ns_r_noerror, a, 512,
                   "NOERROR " NAME " 60 CNAME a.test, a.test 60 CNAME b.test, b.test 60 A 9.8.7.6",
                   "a chain is repeated");
        for (size_t i = 62; i < 250; i += 63)
                longest[i] = '.';
        a->n_links = ANSWER_LINKS_MAX;
        for (unsigned i = 0; i < ANSWER_LINKS_MAX; i++)
                a->links[i] = name_of(longest);
        a->n_addresses = RESOLVER_ADDRESSES_MAX;
        test_reply(&q, ns_r_noerror, a, 512, "NOERROR truncated",
                   "what does not fit is left out, and said to be");
        uint8_t packet[REPLY_MAX];
        size_t size = reply_build(&q, ns_r_noerror, a, REPLY_NOTE_NONE, REPLY_MAX, packet);
        ns_msg m;
        tap_ok(ns_initparse(packet, (int) size, &m) == 0 && ns_msg_count(m, ns_s_an) == 24 &&
                       !ns_msg_getflag(m, ns_f_tc),
               "the longest reply fits over TCP");
}

static void test_notes(void)
{
        g_autoptr(DnsPacket) p = ask();
        uint8_t packet[REPLY_MAX];
        Question q;
        ns_msg m;
        ns_rr rr;

        dns_put_edns(p, 1232, 0);
        g_assert(parse(p, &q) == 0);
        size_t size = reply_build(&q, ns_r_nxdomain, NULL, REPLY_NOTE_NAME, 512, packet);
        tap_ok(ns_initparse(packet, (int) size, &m) == 0 && ns_parserr(&m, ns_s_ar, 0, &rr) == 0 &&
                       ns_rr_type(rr) == ns_t_opt && ns_get16(ns_rr_rdata(rr)) == 15 &&
                       ns_get16(ns_rr_rdata(rr) + 4) == 15 && memmem(packet, size, "profile", 7),
               "a guest that speaks EDNS is told why");
        size = reply_build(&q, ns_r_badvers, NULL, REPLY_NOTE_NONE, 512, packet);
        tap_ok(ns_initparse(packet, (int) size, &m) == 0 && ns_msg_getflag(m, ns_f_rcode) == 0 &&
                       ns_parserr(&m, ns_s_ar, 0, &rr) == 0 && ns_rr_ttl(rr) >> 24 == 1,
               "an extended code goes where it belongs");
        q.has_edns = false;
        size = reply_build(&q, ns_r_nxdomain, NULL, REPLY_NOTE_NAME, 512, packet);
        tap_ok(ns_initparse(packet, (int) size, &m) == 0 && ns_msg_count(m, ns_s_ar) == 0,
               "a guest that does not is not");
}

static void test_flags(void)
{
        g_autoptr(DnsPacket) p = ask();
        uint8_t packet[REPLY_MAX];
        Question q;
        ns_msg m;

        p->data[3] = 0x30; /* authentic data, checking disabled */
        g_assert(parse(p, &q) == 0);
        size_t size = reply_build(&q, ns_r_noerror, NULL, REPLY_NOTE_NONE, 512, packet);
        tap_ok(ns_initparse(packet, (int) size, &m) == 0 && ns_msg_getflag(m, ns_f_rd) &&
                       ns_msg_getflag(m, ns_f_ra) && ns_msg_getflag(m, ns_f_cd) &&
                       !ns_msg_getflag(m, ns_f_ad) && !ns_msg_getflag(m, ns_f_aa),
               "flags are repeated, and nothing is vouched for");
}

int main(void)
{
        test_good();
        test_headers();
        test_sections();
        test_cuts();
        test_replies();
        test_notes();
        test_flags();
        return tap_done();
}
