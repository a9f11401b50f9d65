/* SPDX-License-Identifier: MIT */
#include "base/address.h"

#include <arpa/inet.h>
#include <glib.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

int address_parse(const char *text, uint32_t *ret, Fault *f)
{
        struct in_addr address;
        char again[ADDRESS_TEXT_MAX];

        if (inet_pton(AF_INET, text, &address) == 1) {
                /* So that "010.0.0.1", which some read as octal, is none. */
                address_format(ntohl(address.s_addr), again);
                if (g_str_equal(text, again)) {
                        *ret = ntohl(address.s_addr);
                        return 0;
                }
        }
        return fault_set(f, FAULT_INVALID_ARGUMENT,
                         "'%.40s' is not an IPv4 address; write it like 192.0.2.1", text);
}

uint32_t address_mask(unsigned prefix_length)
{
        return prefix_length == 0 ? 0 : UINT32_MAX << (32 - prefix_length);
}

int address_range_parse(const char *text, AddressRange *ret, Fault *f)
{
        const char *slash = strchr(text, '/');
        g_autofree char *first = slash ? g_strndup(text, (gsize) (slash - text)) : g_strdup(text);
        guint64 prefix_length = 32;
        uint32_t address;
        int r = address_parse(first, &address, f);

        if (r < 0)
                return r;
        if (slash && !g_ascii_string_to_unsigned(slash + 1, 10, 0, 32, &prefix_length, NULL))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.40s' is not a range; write it like 192.0.2.0/24", text);

        AddressRange range = {.address = address & address_mask((unsigned) prefix_length),
                              .prefix_length = (unsigned) prefix_length};
        if (range.address != address) {
                g_autofree char *meant = address_range_format(&range);
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.40s' has bits beyond its length; for the whole range write %s",
                                 text, meant);
        }
        *ret = range;
        return 0;
}

void address_format(uint32_t address, char ret[ADDRESS_TEXT_MAX])
{
        (void) snprintf(ret, ADDRESS_TEXT_MAX, "%u.%u.%u.%u", address >> 24, address >> 16 & 0xff,
                        address >> 8 & 0xff, address & 0xff);
}

char *address_range_format(const AddressRange *range)
{
        char first[ADDRESS_TEXT_MAX];

        address_format(range->address, first);
        return g_strdup_printf("%s/%u", first, range->prefix_length);
}

bool address_range_contains(const AddressRange *range, uint32_t address)
{
        return (address & address_mask(range->prefix_length)) == range->address;
}

bool address_ranges_overlap(const AddressRange *a, const AddressRange *b)
{
        return address_range_contains(a, b->address) || address_range_contains(b, a->address);
}

uint32_t address_range_last(const AddressRange *range)
{
        return range->address | ~address_mask(range->prefix_length);
}

static const struct {
        const char *name;
        uint8_t number;
} protocols[] = {{"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {"icmp", IPPROTO_ICMP}};

uint8_t protocol_from_string(const char *text)
{
        for (size_t i = 0; i < G_N_ELEMENTS(protocols); i++)
                if (g_str_equal(protocols[i].name, text))
                        return protocols[i].number;
        return 0;
}

const char *protocol_to_string(uint8_t protocol)
{
        for (size_t i = 0; i < G_N_ELEMENTS(protocols); i++)
                if (protocols[i].number == protocol)
                        return protocols[i].name;
        return NULL;
}

int mac_parse(const char *text, uint8_t ret[MAC_SIZE], Fault *f)
{
        uint8_t mac[MAC_SIZE];
        bool is_good = strlen(text) == MAC_TEXT_MAX - 1;

        for (size_t i = 0; is_good && i < MAC_SIZE; i++) {
                const char *pair = text + 3 * i;
                is_good = g_ascii_isxdigit(pair[0]) && g_ascii_isxdigit(pair[1]) &&
                          pair[2] == (i < MAC_SIZE - 1 ? ':' : '\0');
                mac[i] = (uint8_t) (g_ascii_xdigit_value(pair[0]) << 4 |
                                    g_ascii_xdigit_value(pair[1]));
        }
        if (!is_good)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.40s' is not a MAC; write it like 02:fd:c0:00:02:01", text);
        memcpy(ret, mac, MAC_SIZE);
        return 0;
}

void mac_format(const uint8_t mac[MAC_SIZE], char ret[MAC_TEXT_MAX])
{
        (void) snprintf(ret, MAC_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
                        mac[3], mac[4], mac[5]);
}
