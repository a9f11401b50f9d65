/* SPDX-License-Identifier: MIT */

/* Which address and MAC a sandbox has. */

#include "host/hypervisor.h"

#include <string.h>

uint32_t network_address(const AddressRange *range, unsigned number)
{
        return range->address + 1 + number;
}

void network_mac(uint32_t address, uint8_t ret[MAC_SIZE])
{
        const uint8_t mac[MAC_SIZE] = {
                0x02,
                0xfd,
                (uint8_t) (address >> 24),
                (uint8_t) (address >> 16),
                (uint8_t) (address >> 8),
                (uint8_t) address,
        };

        memcpy(ret, mac, MAC_SIZE);
}
