/* SPDX-License-Identifier: MIT */
#include "base/address-scope.h"

#include <glib.h>

#define IP(a, b, c, d) ((uint32_t) (a) << 24 | (b) << 16 | (c) << 8 | (d))

static const AddressRange ranges[] = {
        {IP(0, 0, 0, 0), 8},
        {IP(10, 0, 0, 0), 8},
        {IP(100, 64, 0, 0), 10},
        {IP(127, 0, 0, 0), 8},
        /* What a virtual machine of Azure's knows its host by. */
        {IP(168, 63, 129, 16), 32},
        {IP(169, 254, 0, 0), 16},
        {IP(172, 16, 0, 0), 12},
        {IP(192, 0, 0, 0), 24},
        {IP(192, 0, 2, 0), 24},
        /* AS112 and AMT: whoever is near. */
        {IP(192, 31, 196, 0), 24},
        {IP(192, 52, 193, 0), 24},
        {IP(192, 88, 99, 0), 24},
        {IP(192, 168, 0, 0), 16},
        {IP(192, 175, 48, 0), 24},
        {IP(198, 18, 0, 0), 15},
        {IP(198, 51, 100, 0), 24},
        {IP(203, 0, 113, 0), 24},
        {IP(224, 0, 0, 0), 3},
};

static bool is_special(const AddressRange *range)
{
        static const uint32_t special[] = {IP(0, 0, 0, 0), IP(127, 0, 0, 0), IP(168, 63, 129, 16),
                                           IP(169, 254, 0, 0), IP(224, 0, 0, 0)};

        for (size_t i = 0; i < G_N_ELEMENTS(special); i++)
                if (special[i] == range->address)
                        return true;
        return false;
}

AddressScope address_scope(uint32_t address)
{
        for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++)
                if (address_range_contains(&ranges[i], address))
                        return is_special(&ranges[i]) ? ADDRESS_SPECIAL : ADDRESS_PRIVATE;
        return ADDRESS_PUBLIC;
}

const AddressRange *address_scope_ranges(size_t *ret_n)
{
        *ret_n = G_N_ELEMENTS(ranges);
        return ranges;
}
