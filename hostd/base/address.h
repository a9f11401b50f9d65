/* SPDX-License-Identifier: MIT */
#pragma once

/* IPv4 addresses, ranges of them, protocols, and MACs, as people write them. Addresses are in host
 * byte order.
 */

#include "base/fault.h"

#include <stdbool.h>
#include <stdint.h>

#define MAC_SIZE         6
#define ADDRESS_TEXT_MAX 16 /* with the NUL */
#define MAC_TEXT_MAX     18

typedef struct AddressRange {
        uint32_t address; /* the host part is 0 */
        unsigned prefix_length;
} AddressRange;

/* Four decimal numbers without leading zeros; FAULT_INVALID_ARGUMENT. */
int address_parse(const char *text, uint32_t *ret, Fault *f);
/* "10.0.0.0/8", or one address, which is a range of /32; FAULT_INVALID_ARGUMENT where the host part
 * is not 0, with what was probably meant. */
int address_range_parse(const char *text, AddressRange *ret, Fault *f);

void address_format(uint32_t address, char ret[ADDRESS_TEXT_MAX]);
/* The caller frees it. */
char *address_range_format(const AddressRange *range);

/* The bits of the network. */
uint32_t address_mask(unsigned prefix_length);

bool address_range_contains(const AddressRange *range, uint32_t address);
bool address_ranges_overlap(const AddressRange *a, const AddressRange *b);
uint32_t address_range_last(const AddressRange *range);

/* IPPROTO_TCP, IPPROTO_UDP or IPPROTO_ICMP as "tcp", "udp", "icmp"; 0 and NULL for any other. */
uint8_t protocol_from_string(const char *text);
const char *protocol_to_string(uint8_t protocol);

/* Six pairs of hexadecimal digits with colons; FAULT_INVALID_ARGUMENT. */
int mac_parse(const char *text, uint8_t ret[MAC_SIZE], Fault *f);
/* In lower case. */
void mac_format(const uint8_t mac[MAC_SIZE], char ret[MAC_TEXT_MAX]);
