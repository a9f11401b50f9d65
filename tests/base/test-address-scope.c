/* SPDX-License-Identifier: MIT */
#include "base/address-scope.h"

#include "base/address.h"
#include "tests/tap.h"

#include <glib.h>

int main(void)
{
        static const char *const names[] = {"public", "private", "special"};
        static const struct {
                const char *first, *last;
                AddressScope scope;
        } ranges[] = {
                {"0.0.0.0", "0.255.255.255", ADDRESS_SPECIAL},
                {"1.0.0.0", "9.255.255.255", ADDRESS_PUBLIC},
                {"10.0.0.0", "10.255.255.255", ADDRESS_PRIVATE},
                {"11.0.0.0", "100.63.255.255", ADDRESS_PUBLIC},
                {"100.64.0.0", "100.127.255.255", ADDRESS_PRIVATE},
                {"100.128.0.0", "126.255.255.255", ADDRESS_PUBLIC},
                {"127.0.0.0", "127.255.255.255", ADDRESS_SPECIAL},
                {"128.0.0.0", "168.63.129.15", ADDRESS_PUBLIC},
                {"168.63.129.16", "168.63.129.16", ADDRESS_SPECIAL},
                {"168.63.129.17", "169.253.255.255", ADDRESS_PUBLIC},
                {"169.254.0.0", "169.254.255.255", ADDRESS_SPECIAL},
                {"169.255.0.0", "172.15.255.255", ADDRESS_PUBLIC},
                {"172.16.0.0", "172.31.255.255", ADDRESS_PRIVATE},
                {"172.32.0.0", "191.255.255.255", ADDRESS_PUBLIC},
                {"192.0.0.0", "192.0.0.255", ADDRESS_PRIVATE},
                {"192.0.1.0", "192.0.1.255", ADDRESS_PUBLIC},
                {"192.0.2.0", "192.0.2.255", ADDRESS_PRIVATE},
                {"192.0.3.0", "192.31.195.255", ADDRESS_PUBLIC},
                {"192.31.196.0", "192.31.196.255", ADDRESS_PRIVATE},
                {"192.31.197.0", "192.52.192.255", ADDRESS_PUBLIC},
                {"192.52.193.0", "192.52.193.255", ADDRESS_PRIVATE},
                {"192.52.194.0", "192.88.98.255", ADDRESS_PUBLIC},
                {"192.88.99.0", "192.88.99.255", ADDRESS_PRIVATE},
                {"192.88.100.0", "192.167.255.255", ADDRESS_PUBLIC},
                {"192.168.0.0", "192.168.255.255", ADDRESS_PRIVATE},
                {"192.169.0.0", "192.175.47.255", ADDRESS_PUBLIC},
                {"192.175.48.0", "192.175.48.255", ADDRESS_PRIVATE},
                {"192.175.49.0", "198.17.255.255", ADDRESS_PUBLIC},
                {"198.18.0.0", "198.19.255.255", ADDRESS_PRIVATE},
                {"198.20.0.0", "198.51.99.255", ADDRESS_PUBLIC},
                {"198.51.100.0", "198.51.100.255", ADDRESS_PRIVATE},
                {"198.51.101.0", "203.0.112.255", ADDRESS_PUBLIC},
                {"203.0.113.0", "203.0.113.255", ADDRESS_PRIVATE},
                {"203.0.114.0", "223.255.255.255", ADDRESS_PUBLIC},
                {"224.0.0.0", "255.255.255.255", ADDRESS_SPECIAL},
        };
        uint32_t expected = 0, first, last;

        for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
                bool is_next = address_parse(ranges[i].first, &first, NULL) == 0 &&
                               address_parse(ranges[i].last, &last, NULL) == 0 && first == expected;

                tap_ok(is_next && address_scope(first) == ranges[i].scope &&
                               address_scope(first + (last - first) / 2) == ranges[i].scope &&
                               address_scope(last) == ranges[i].scope,
                       "%s to %s is %s", ranges[i].first, ranges[i].last, names[ranges[i].scope]);
                expected = last + 1;
        }
        tap_is_int(expected, 0, "that is all of them");
        return tap_done();
}
