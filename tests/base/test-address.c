/* SPDX-License-Identifier: MIT */
#include "base/address.h"
#include "tests/tap.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

static void test_addresses(void)
{
        static const char *const good[] = {"0.0.0.0", "10.0.0.1", "192.0.2.255", "255.255.255.255"};
        static const char *const bad[] = {"",           "10",        "10.0.0",
                                          "10.0.0.256", "10.0.0.1 ", "010.0.0.1",
                                          "10.0.0.1/8", "::1",       "a.b.c.d"};

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                uint32_t address = 0;
                char text[ADDRESS_TEXT_MAX] = "";
                int r = address_parse(good[i], &address, NULL);
                address_format(address, text);
                tap_ok(r == 0 && g_str_equal(text, good[i]), "'%s' is an address", good[i]);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                uint32_t address = 7;
                tap_ok(address_parse(bad[i], &address, NULL) == -EINVAL && address == 7,
                       "'%s' is none", bad[i]);
        }
}

static void test_ranges(void)
{
        static const struct {
                const char *text;
                uint32_t address, last;
                unsigned prefix_length;
        } good[] = {{"10.213.0.0/16", 0x0ad50000, 0x0ad5ffff, 16},
                    {"0.0.0.0/0", 0, UINT32_MAX, 0},
                    {"192.0.2.7", 0xc0000207, 0xc0000207, 32},
                    {"128.0.0.0/1", 0x80000000, 0xffffffff, 1}};
        static const char *const bad[] = {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "/8",
                                          "10.0.0.0/8/8"};
        Fault f = {0};
        AddressRange range;

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
                tap_ok(address_range_parse(good[i].text, &range, NULL) == 0 &&
                               range.address == good[i].address &&
                               range.prefix_length == good[i].prefix_length &&
                               address_range_last(&range) == good[i].last,
                       "'%s' is a range", good[i].text);
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                tap_ok(address_range_parse(bad[i], &range, NULL) == -EINVAL, "'%s' is none",
                       bad[i]);
        tap_ok(address_range_parse("10.0.0.1/8", &range, &f) == -EINVAL &&
                       strstr(f.message, "10.0.0.0/8"),
               "one with a host part is told what was meant");
}

static void test_overlaps(void)
{
        static const struct {
                const char *a, *b;
                bool overlap;
        } cases[] = {{"10.0.0.0/8", "10.213.0.0/16", true},
                     {"10.213.0.0/16", "10.0.0.0/8", true},
                     {"10.212.0.0/16", "10.213.0.0/16", false},
                     {"0.0.0.0/0", "192.0.2.1", true},
                     {"192.0.2.0/25", "192.0.2.128/25", false}};

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                AddressRange a, b;
                bool good = address_range_parse(cases[i].a, &a, NULL) == 0 &&
                            address_range_parse(cases[i].b, &b, NULL) == 0;
                tap_ok(good && address_ranges_overlap(&a, &b) == cases[i].overlap, "%s and %s %s",
                       cases[i].a, cases[i].b, cases[i].overlap ? "overlap" : "do not");
        }
}

static void test_macs(void)
{
        static const char *const bad[] = {"",
                                          "02:fd:0a:d5:00",
                                          "02:fd:0a:d5:00:0",
                                          "02:fd:0a:d5:00:0g",
                                          "02-fd-0a-d5-00-02",
                                          "02:fd:0a:d5:00:02:"};
        uint8_t mac[MAC_SIZE];
        char text[MAC_TEXT_MAX];

        int r = mac_parse("02:FD:0a:d5:00:02", mac, NULL);
        mac_format(mac, text);
        tap_ok(r == 0 && g_str_equal(text, "02:fd:0a:d5:00:02"), "a MAC is read and written");
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                tap_ok(mac_parse(bad[i], mac, NULL) == -EINVAL, "'%s' is none", bad[i]);
}

static void test_protocols(void)
{
        static const char *const names[] = {"tcp", "udp", "icmp"};

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                tap_is_str(protocol_to_string(protocol_from_string(names[i])), names[i],
                           "'%s' is a protocol", names[i]);
        tap_ok(protocol_from_string("TCP") == 0 && protocol_from_string("") == 0,
               "'TCP' is none, nor is ''");
        tap_ok(!protocol_to_string(0) && !protocol_to_string(47), "others have no name");
}

int main(void)
{
        test_addresses();
        test_ranges();
        test_overlaps();
        test_protocols();
        test_macs();
        return tap_done();
}
