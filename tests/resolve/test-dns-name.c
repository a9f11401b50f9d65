/* SPDX-License-Identifier: MIT */
#include "resolve/dns-name.h"

#include "tests/tap.h"

#include <errno.h>
#include <glib.h>

static int read_name(const char *bytes, size_t size, size_t offset, DnsName *ret)
{
        g_autofree uint8_t *exact = g_memdup2(bytes, size); /* for those who look beyond it */

        return dns_name_read(exact, size, offset, ret);
}

static DnsName name_of(const char *bytes, size_t size)
{
        DnsName name = {0};

        g_assert(read_name(bytes, size, 0, &name) > 0);
        return name;
}

#define NAME(bytes) name_of(bytes, sizeof(bytes))

static void test_reading(void)
{
        static const struct {
                const char *bytes;
                size_t size, offset;
                int taken;
                const char *text, *sentence;
        } cases[] = {
                {"\3www\4test", 10, 0, 10, "www.test", "a name is read"},
                {"", 1, 0, 1, ".", "the root is read"},
                {"\4test\0\3www\xc0\0", 12, 6, 6, "www.test", "a compressed name is read"},
                {"\4test\0\xc0\0\1a\xc0\6", 12, 8, 4, "a.test", "a pointer may point to one"},
                {"\4test", 6, 6, -EBADMSG, NULL, "a name after the end is not"},
                {"\4test", 5, 0, -EBADMSG, NULL, "a name without an end is not"},
                {"\4te", 3, 0, -EBADMSG, NULL, "half a label is not"},
                {"\xc0\0", 2, 0, -EBADMSG, NULL, "a pointer to itself is not"},
                {"\xc0\2\xc0\0", 4, 0, -EBADMSG, NULL, "pointers to each other are not"},
                {"\1a\xc0\0", 4, 0, -EBADMSG, NULL, "a name that contains itself is not"},
                {"\xc0\7", 2, 0, -EBADMSG, NULL, "a pointer to nowhere is not"},
                {"\xc0", 1, 0, -EBADMSG, NULL, "half a pointer is not"},
                {"\x80"
                 "a\0",
                 3, 0, -EBADMSG, NULL, "a label of a reserved kind is not"},
                {"\x40"
                 "a\0",
                 3, 0, -EBADMSG, NULL, "a label of another reserved kind is not"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                char text[DOMAIN_NAME_MAX] = "";
                DnsName name = {.size = 99};
                int r = read_name(cases[i].bytes, cases[i].size, cases[i].offset, &name);

                if (r > 0)
                        (void) dns_name_to_text(&name, text);
                tap_ok(r == cases[i].taken &&
                               (r > 0 ? g_str_equal(text, cases[i].text) : name.size == 99),
                       "%s", cases[i].sentence);
        }
}

/* Four labels of 63 are 257 bytes; with the last one of 61, 255. */
static void test_length(void)
{
        g_autoptr(GByteArray) p = g_byte_array_new();
        static const uint8_t lengths[] = {63, 63, 63, 61};
        char text[DOMAIN_NAME_MAX];
        DnsName name;

        for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
                g_autofree char *label = g_strnfill(lengths[i], 'x');
                g_byte_array_append(p, &lengths[i], 1);
                g_byte_array_append(p, (const uint8_t *) label, lengths[i]);
        }
        g_byte_array_append(p, (const uint8_t *) "", 1);
        tap_ok(read_name((const char *) p->data, p->len, 0, &name) == 255 && name.size == 255 &&
                       dns_name_to_text(&name, text) && strlen(text) == 253,
               "a name of 255 bytes is read");
        p->data[192] = 62;
        g_byte_array_append(p, (const uint8_t *) "", 1);
        p->data[p->len - 2] = 'x';
        tap_is_int(read_name((const char *) p->data, p->len, 0, &name), -EBADMSG,
                   "a name of 256 bytes is not");
}

static void test_comparing(void)
{
        DnsName a = NAME("\3www\4test"), b = NAME("\3WWW\4tesT"), c = NAME("\3wwx\4test");
        DnsName nul = NAME("\3a\0b\4test"), other_nul = NAME("\3a\0c\4test");
        DnsName dotted = NAME("\10www.test"), at = NAME("\1@"), quote = NAME("\1`");

        tap_ok(dns_name_is_same(&a, &b) && !dns_name_is_identical(&a, &b),
               "names in other case are the same, not identical");
        tap_ok(dns_name_is_identical(&a, &a), "a name is identical to itself");
        tap_ok(!dns_name_is_same(&a, &c), "other names are not the same");
        tap_ok(!dns_name_is_same(&nul, &other_nul), "what comes after a NUL counts");
        tap_ok(!dns_name_is_same(&a, &dotted), "a dot in a label separates nothing");
        tap_ok(!dns_name_is_same(&at, &quote), "only letters have a case");
}

static void test_texts(void)
{
        static const struct {
                const char *bytes;
                size_t size;
                const char *text;
                bool is_plain;
        } cases[] = {
                {"\3WwW\4test", 10, "www.test", true},
                {"\2a-\2_b", 7, "a-._b", true},
                {"\2xn", 4, "xn", true},
                {"", 1, ".", false},
                {"\3a.b\4test", 10, "a.b.test", false},
                {"\3a\0b", 5, "a\\x00b", false},
                {"\1*\4test", 8, "*.test", false},
                {"\4\xc3\xbcxx", 6, "\303\274xx", false},
                {"\2\xff\n", 4, "\\xff\\x0a", false},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                DnsName name = name_of(cases[i].bytes, cases[i].size);
                char text[DOMAIN_NAME_MAX];
                bool is_plain = dns_name_to_text(&name, text);

                tap_ok(is_plain == cases[i].is_plain && g_str_equal(text, cases[i].text),
                       "'%s' is %s name of a host", cases[i].text, cases[i].is_plain ? "a" : "no");
        }
}

static void test_case(void)
{
        DnsName name = NAME("\20abcdefghijklmnop\4test"), mixed = name,
                digits = NAME("\3"
                              "123");
        DnsName same = digits;
        unsigned n_different = 0;

        for (unsigned i = 0; i < 64; i++) {
                DnsName before = mixed;
                dns_name_mix_case(&mixed);
                n_different += !dns_name_is_identical(&before, &mixed);
        }
        tap_ok(n_different > 32 && dns_name_is_same(&name, &mixed),
               "the case is another each time, and the name the same");
        dns_name_mix_case(&same);
        tap_ok(dns_name_is_identical(&digits, &same), "what has no case stays as it is");
}

int main(void)
{
        test_reading();
        test_length();
        test_comparing();
        test_texts();
        test_case();
        return tap_done();
}
