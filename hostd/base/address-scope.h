/* SPDX-License-Identifier: MIT */
#pragma once

/* How far an IPv4 address reaches: RFC 6890, 5771, 8190, IANA's registry of special-purpose
 * addresses, and what clouds keep for themselves. The one list of them: what the kernel's rules say
 * is made of it, too. */

#include "base/address.h"

#include <stddef.h>
#include <stdint.h>

typedef enum AddressScope {
        ADDRESS_PUBLIC,  /* on the internet */
        ADDRESS_PRIVATE, /* in somebody's network: RFC 1918, 6598, documentation, anycast, … */
        ADDRESS_SPECIAL, /* this host, link-local and metadata services, multicast, reserved */
} AddressScope;

/* In host byte order. */
AddressScope address_scope(uint32_t address);

/* All ranges that are not public, in their order, of which none has a part of another. */
const AddressRange *address_scope_ranges(size_t *ret_n);
