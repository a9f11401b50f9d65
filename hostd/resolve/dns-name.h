/* SPDX-License-Identifier: MIT */
#pragma once

/* Domain names as they are in packets (RFC 1035, 3.1), without compression. */

#include "base/domain-pattern.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_NAME_MAX 255

typedef struct DnsName {
        uint8_t size; /* 0: none; 1: the root */
        uint8_t wire[DNS_NAME_MAX];
} DnsName;

/* Reads the name at `offset`, compressed or not. The number of bytes that it takes there, or
 * -EBADMSG: it goes out of the packet, in circles, or is too long. */
int dns_name_read(const uint8_t *packet, size_t size, size_t offset, DnsName *ret);

/* Byte by byte, and without regard to case. */
bool dns_name_is_identical(const DnsName *a, const DnsName *b);
bool dns_name_is_same(const DnsName *a, const DnsName *b);

/* For people, and for patterns: in lower case, labels separated by dots, none at the end. True
 * where only letters, digits, '-' and '_' are in it; else it is no host's name, and its text, in
 * which dots and escapes are not told from labels', is good to be shown only. */
bool dns_name_to_text(const DnsName *name, char ret[static DOMAIN_NAME_MAX]);

/* Chooses the case of every letter anew; an answer that repeats it comes from somebody who has seen
 * the question. */
void dns_name_mix_case(DnsName *name);
