/* SPDX-License-Identifier: MIT */

/* What an upstream's packet is taken for. */

#include "resolve/answer.h"

#include "tests/fake/dns-packet.h"
#include "tests/tap.h"

#define NAME "wWw.Example.com"

static Query query;

static DnsName name_of(const char *text)
{
        g_autoptr(DnsPacket) p = g_byte_array_new();
        DnsName name;

        dns_put_name(p, text);
        g_assert(dns_name_read(p->data, p->len, 0, &name) == (int) p->len);
        return name;
}

/* "good", or why not; then what is in it. */
static char *describe(AnswerKind kind, const Answer *a)
{
        static const char *const kinds[] = {"good",      "foreign", "other case",
                                            "truncated", "no EDNS", "failed"};
        GString *text = g_string_new(kinds[kind]);

        if (kind != ANSWER_GOOD)
                return g_string_free(text, FALSE);
        if (a->rcode != ns_r_noerror)
                g_string_append_printf(text, " rcode %u", a->rcode);
        for (unsigned i = 0; i < a->n_links; i++) {
                char link[DOMAIN_NAME_MAX];

                (void) dns_name_to_text(&a->links[i], link);
                g_string_append_printf(text, " > %s", link);
        }
        for (unsigned i = 0; i < a->n_addresses; i++)
                g_string_append_printf(text, " %u.%u.%u.%u", a->addresses[i] >> 24,
                                       a->addresses[i] >> 16 & 0xff, a->addresses[i] >> 8 & 0xff,
                                       a->addresses[i] & 0xff);
        if (a->n_addresses + a->n_links > 0)
                g_string_append_printf(text, " for %u", a->ttl_sec);
        return g_string_free(text, FALSE);
}

static void test_packet(const DnsPacket *p, const char *expected, const char *sentence)
{
        g_autofree uint8_t *exact = g_memdup2(p->data, p->len); /* for those who look beyond it */
        g_autofree Answer *a = g_new0(Answer, 1);
        g_autofree char *got = NULL;
        AnswerKind kind;

        a->rcode = 4711;
        kind = answer_parse(exact, p->len, &query, a);
        got = describe(kind, a);
        if (kind != ANSWER_GOOD && a->rcode != 4711)
                tap_note("it was written");
        tap_is_str(kind == ANSWER_GOOD || a->rcode == 4711 ? got : "written", expected, "%s",
                   sentence);
}

static DnsPacket *reply(void)
{
        DnsPacket *p = dns_packet(0x1234, DNS_REPLY);

        dns_put_question(p, NAME, query.type);
        return p;
}

static void begin(uint16_t type)
{
        query = (Query){.id = 0x1234, .type = type, .name = name_of(NAME), .has_edns = true};
}

/* -- good ones ------------------------------------------------------------------------------ */

static void test_addresses(void)
{
        g_autoptr(DnsPacket) one = reply(), two = reply(), other = reply(), none = reply();
        g_autoptr(DnsPacket) case_differs = reply(), many = reply(), unordered = reply();

        dns_put_a(one, NAME, 60, "9.9.9.9");
        test_packet(one, "good 9.9.9.9 for 60", "an address is read");
        dns_put_a(two, NAME, 60, "9.9.9.9");
        dns_put_a(two, NAME, 50, "9.9.9.8");
        test_packet(two, "good 9.9.9.9 9.9.9.8 for 50", "two have the shorter time");
        dns_put_a(other, "other.example.com", 60, "9.9.9.9");
        test_packet(other, "good", "an address of another name is none");
        test_packet(none, "good", "no address is an answer");
        dns_put_a(case_differs, "WWW.EXAMPLE.COM", 60, "9.9.9.9");
        test_packet(case_differs, "good 9.9.9.9 for 60", "an owner may be in other case");
        for (unsigned i = 0; i < 200; i++)
                dns_put_a(many, NAME, 60, "9.9.9.9");
        test_packet(many,
                    "good 9.9.9.9 9.9.9.9 9.9.9.9 9.9.9.9 9.9.9.9 9.9.9.9 9.9.9.9 9.9.9.9 9.9.9.9 "
                    "9.9.9.9 9.9.9.9 9.9.9.9 9.9.9.9 9.9.9.9 9.9.9.9 9.9.9.9 for 60",
                    "of many addresses 16 are read");
        dns_put_a(unordered, "b.test", 60, "9.9.9.9");
        dns_put_cname(unordered, "a.test", 60, "b.test");
        dns_put_cname(unordered, NAME, 60, "a.test");
        test_packet(unordered, "good > a.test > b.test 9.9.9.9 for 60",
                    "the links of a chain may come in any order");
}

static void test_times(void)
{
        static const struct {
                uint32_t ttl_sec, expected;
        } cases[] = {{0, 30},        {29, 30},        {30, 30},     {31, 31},
                     {3599, 3599},   {3600, 3600},    {3601, 3600}, {INT32_MAX, 3600},
                     {1u << 31, 30}, {UINT32_MAX, 30}};

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(DnsPacket) p = reply(), q = reply();
                g_autofree char *expected =
                        g_strdup_printf("good 9.9.9.9 for %u", cases[i].expected);
                g_autofree char *of_link =
                        g_strdup_printf("good > a.test 9.9.9.9 for %u", cases[i].expected);
                g_autofree char *sentence =
                        g_strdup_printf("%u seconds are %u", cases[i].ttl_sec, cases[i].expected);

                dns_put_a(p, NAME, cases[i].ttl_sec, "9.9.9.9");
                test_packet(p, expected, sentence);
                dns_put_cname(q, NAME, cases[i].ttl_sec, "a.test");
                dns_put_a(q, "a.test", 3600, "9.9.9.9");
                test_packet(q, of_link, "also of a link");
        }
}

static void put_chain(DnsPacket *p, unsigned links)
{
        g_autofree char *from = g_strdup(NAME);

        for (unsigned i = 0; i < links; i++) {
                char *to = g_strdup_printf("%u.test", i);

                dns_put_cname(p, from, 60, to);
                g_free(from);
                from = to;
        }
        dns_put_a(p, from, 60, "9.9.9.9");
}

static void test_chains(void)
{
        g_autoptr(DnsPacket) longest = reply(), longer = reply(), loop = reply(), self = reply();
        g_autoptr(DnsPacket) open = reply(), beside = reply(), two = reply(), cname = NULL;

        put_chain(longest, ANSWER_LINKS_MAX);
        test_packet(longest,
                    "good > 0.test > 1.test > 2.test > 3.test > 4.test > 5.test > 6.test > 7.test"
                    " 9.9.9.9 for 60",
                    "a chain of eight links is followed");
        put_chain(longer, ANSWER_LINKS_MAX + 1);
        test_packet(longer, "failed", "a chain of nine links is not");
        dns_put_cname(loop, NAME, 60, "a.test");
        dns_put_cname(loop, "a.test", 60, NAME);
        dns_put_a(loop, NAME, 60, "9.9.9.9");
        test_packet(loop, "failed", "a chain in a circle is not");
        dns_put_cname(self, NAME, 60, NAME);
        test_packet(self, "failed", "a name that is its own alias is not");
        dns_put_cname(open, NAME, 60, "a.test");
        test_packet(open, "good > a.test for 60", "a chain that ends nowhere has no address");
        dns_put_cname(beside, NAME, 60, "a.test");
        dns_put_a(beside, NAME, 60, "9.9.9.8");
        dns_put_a(beside, "a.test", 60, "9.9.9.9");
        dns_put_a(beside, "b.test", 60, "9.9.9.7");
        test_packet(beside, "good > a.test 9.9.9.9 for 60",
                    "only addresses at the end of the chain are read");
        dns_put_cname(two, NAME, 60, "a.test");
        dns_put_cname(two, NAME, 60, "b.test");
        dns_put_a(two, "a.test", 60, "9.9.9.9");
        dns_put_a(two, "b.test", 60, "9.9.9.8");
        test_packet(two, "good > a.test 9.9.9.9 for 60", "of two aliases the first is followed");

        begin(ns_t_cname);
        cname = reply();
        dns_put_cname(cname, NAME, 60, "a.test");
        dns_put_cname(cname, "a.test", 60, "b.test");
        dns_put_a(cname, "a.test", 60, "9.9.9.9");
        test_packet(cname, "good > a.test for 60", "who asks for an alias gets one link");
        begin(ns_t_a);
}

static void test_other_records(void)
{
        g_autoptr(DnsPacket) p = reply(), short_a = reply(), sections = reply(), class = reply();
        g_autoptr(DnsPacket) data = g_byte_array_new();

        dns_put32(data, 0x09090909);
        dns_put_record(p, 1, NAME, ns_t_txt, 1, data);
        dns_put_record(p, 1, NAME, 65, 1, data);
        dns_put_a(p, NAME, 60, "9.9.9.9");
        test_packet(p, "good 9.9.9.9 for 60", "records of other types are passed over");
        dns_put_record(sections, 2, NAME, ns_t_a, 60, data);
        dns_put_record(sections, 3, NAME, ns_t_a, 60, data);
        test_packet(sections, "good", "addresses of other sections are none");
        dns_put16(data, 0);
        dns_put_record(short_a, 1, NAME, ns_t_a, 60, data);
        test_packet(short_a, "good", "an address of six bytes is none");
        dns_put_a(class, NAME, 60, "9.9.9.9");
        class->data[class->len - 11] = ns_c_chaos;
        test_packet(class, "good", "an address of another class is none");
}

/* -- bad ones ------------------------------------------------------------------------------- */

static void test_foreign(void)
{
        static const struct {
                const char *sentence;
                size_t at;
                uint8_t value;
                const char *expected;
        } headers[] = {
                {"another id is foreign", 1, 0x35, "foreign"},
                {"a question is foreign", 2, 0x01, "foreign"},
                {"a notification is foreign", 2, 0xa1, "foreign"},
                {"no question is foreign", 5, 0, "foreign"},
                {"two questions are foreign", 5, 2, "foreign"},
                {"65,000 questions are foreign", 4, 255, "foreign"},
                {"65,000 answers are foreign", 6, 255, "foreign"},
                {"65,000 authorities are foreign", 8, 255, "foreign"},
                {"65,000 additional records are foreign", 10, 255, "foreign"},
                {"fewer answers than there are are foreign", 7, 0, "foreign"},
                {"a truncated one is asked for again", 2, 0x83, "truncated"},
                {"NXDOMAIN is an answer, and nothing else is in it", 3, 0x83, "good rcode 3"},
                {"SERVFAIL is a failure", 3, 0x82, "failed"},
                {"REFUSED is a failure", 3, 0x85, "failed"},
                {"FORMERR is asked again", 3, 0x81, "no EDNS"},
                {"NOTIMP is asked again", 3, 0x84, "no EDNS"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(headers); i++) {
                g_autoptr(DnsPacket) p = reply();

                dns_put_a(p, NAME, 60, "9.9.9.9");
                p->data[headers[i].at] = headers[i].value;
                test_packet(p, headers[i].expected, headers[i].sentence);
        }
        g_autoptr(DnsPacket) formerr = reply();
        formerr->data[3] |= ns_r_formerr;
        query.has_edns = false;
        test_packet(formerr, "failed", "FORMERR without EDNS is a failure");
        begin(ns_t_a);
}

static void test_questions(void)
{
        static const struct {
                const char *name;
                unsigned type;
                const char *expected, *sentence;
        } cases[] = {
                {NAME, ns_t_aaaa, "foreign", "another type is foreign"},
                {"other.example.com", ns_t_a, "foreign", "another name is foreign"},
                {"www.example.com", ns_t_a, "other case", "another case is suspicious"},
                {"example.com", ns_t_a, "foreign", "a name above is foreign"},
        };
        g_autoptr(DnsPacket) class = reply(),
                             headed = dns_packet(0x1234, DNS_REPLY | ns_r_servfail);
        g_autoptr(DnsPacket) nothing = dns_packet(0x1234, DNS_REPLY | ns_r_nxdomain);

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(DnsPacket) p = dns_packet(0x1234, DNS_REPLY);

                dns_put_question(p, cases[i].name, cases[i].type);
                dns_put_a(p, cases[i].name, 60, "9.9.9.9");
                test_packet(p, cases[i].expected, cases[i].sentence);
        }
        class->data[class->len - 1] = ns_c_chaos;
        test_packet(class, "foreign", "another class is foreign");
        test_packet(headed, "failed", "a failure needs no question");
        test_packet(nothing, "foreign", "that a name is not there needs one");
}

/* A record with that raw owner and, as a CNAME, that raw target. */
static DnsPacket *raw(const char *owner, size_t owner_size, const char *target, size_t target_size)
{
        DnsPacket *p = reply();

        dns_count(p, 1, 1);
        g_byte_array_append(p, (const uint8_t *) owner, (guint) owner_size);
        dns_put16(p, ns_t_cname);
        dns_put16(p, ns_c_in);
        dns_put32(p, 60);
        dns_put16(p, (unsigned) target_size);
        g_byte_array_append(p, (const uint8_t *) target, (guint) target_size);
        return p;
}

#define RAW(owner, target) raw(owner, sizeof(owner) - 1, target, sizeof(target) - 1)

/* The question's name is at 12, the record begins at 33. */
static void test_compression(void)
{
        g_autoptr(DnsPacket) good = RAW("\xc0\x0c", "\1a\xc0\x10");
        g_autoptr(DnsPacket) owner = RAW("\xc0\x21", "\1a\0");
        g_autoptr(DnsPacket) target = RAW("\xc0\x0c", "\xc0\x2d");
        g_autoptr(DnsPacket) deep = RAW("\xc0\x0c", "\1a\xc0\x2d");
        g_autoptr(DnsPacket) beyond = RAW("\xc0\x0c", "\xff\xff");
        g_autoptr(DnsPacket) cut = RAW("\xc0\x0c", "\xc0");
        g_autoptr(DnsPacket) label = RAW("\xc0\x0c", "\077a");
        g_autoptr(DnsPacket) reserved = RAW("\xc0\x0c", "\x81"
                                                        "a\0");
        g_autoptr(DnsPacket) longer = RAW("\xc0\x0c", "\1a\0\0");
        g_autoptr(DnsPacket) empty = RAW("\xc0\x0c", "");
        g_autoptr(DnsPacket) dots = RAW("\xc0\x0c", "\3a.b\0");

        test_packet(good, "good > a.example.com for 60", "compressed names are read");
        test_packet(owner, "failed", "an owner that points to itself is not");
        test_packet(target, "failed", "a target that points to itself is not");
        test_packet(deep, "failed", "a target that contains itself is not");
        test_packet(beyond, "failed", "a pointer beyond the packet is not");
        test_packet(cut, "failed", "half a pointer is not");
        test_packet(label, "failed", "a label beyond the packet is not");
        test_packet(reserved, "failed", "a label of a reserved kind is not");
        test_packet(longer, "failed", "more than a name is not");
        test_packet(empty, "failed", "less than a name is not");
        test_packet(dots, "good > a.b for 60", "a dot in a label is no reason to fail");
}

/* Every packet that is shorter than a good one. */
static void test_cuts(void)
{
        g_autoptr(DnsPacket) p = reply();
        g_autofree Answer *a = g_new0(Answer, 1);
        bool is_refused = true;

        put_chain(p, 3);
        for (unsigned size = 0; size < p->len; size++) {
                g_autofree uint8_t *cut = g_memdup2(p->data, size);
                is_refused = is_refused && answer_parse(cut, size, &query, a) == ANSWER_FOREIGN;
        }
        tap_ok(is_refused, "no part of an answer is one");
        g_byte_array_append(p, (const uint8_t *) "", 1);
        test_packet(p, "foreign", "with something after it it is none");
}

static void test_building(void)
{
        uint8_t packet[DNS_UDP_MAX];
        size_t size = query_build(&query, packet);
        ns_msg m;
        ns_rr rr;

        tap_ok(ns_initparse(packet, (int) size, &m) == 0 && ns_msg_id(m) == 0x1234 &&
                       ns_msg_getflag(m, ns_f_rd) && !ns_msg_getflag(m, ns_f_qr) &&
                       ns_parserr(&m, ns_s_qd, 0, &rr) == 0 && g_str_equal(ns_rr_name(rr), NAME) &&
                       ns_rr_type(rr) == ns_t_a && ns_parserr(&m, ns_s_ar, 0, &rr) == 0 &&
                       ns_rr_type(rr) == ns_t_opt && ns_rr_class(rr) == DNS_UDP_MAX,
               "a question is built, in its case");
        query.has_edns = false;
        size = query_build(&query, packet);
        tap_ok(ns_initparse(packet, (int) size, &m) == 0 && ns_msg_count(m, ns_s_ar) == 0,
               "a question is built without EDNS");
}

int main(void)
{
        begin(ns_t_a);
        test_addresses();
        test_times();
        test_chains();
        test_other_records();
        test_foreign();
        test_questions();
        test_compression();
        test_cuts();
        test_building();
        return tap_done();
}
