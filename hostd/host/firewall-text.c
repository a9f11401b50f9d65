/* SPDX-License-Identifier: MIT */
#include "host/firewall-text.h"

#include <inttypes.h>
#include <net/if.h>
#include <string.h>

#define DIGITS "0123456789"
#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

bool hole_name_is_valid(const char *text)
{
        size_t length = strlen(text);

        return length >= 1 && length <= 31 && strchr(LOWER, text[0]) &&
               strspn(text, LOWER DIGITS "-") == length;
}

bool hole_interface_is_valid(const char *text)
{
        size_t length = strlen(text);

        return length >= 1 && length < IFNAMSIZ && strchr(LOWER UPPER DIGITS, text[0]) &&
               strspn(text, LOWER UPPER DIGITS "._-") == length;
}

static void put_value(const Hole *hole, GString *out)
{
        char address[ADDRESS_TEXT_MAX], mac[MAC_TEXT_MAX];

        switch (hole->kind) {
        case HOLE_NAME:
                g_assert(hole_name_is_valid(hole->text));
                g_string_append(out, hole->text);
                break;
        case HOLE_INTERFACE:
                g_assert(hole_interface_is_valid(hole->text));
                g_string_append(out, hole->text);
                break;
        case HOLE_ADDRESS:
                address_format(hole->address, address);
                g_string_append(out, address);
                break;
        case HOLE_RANGE:
                address_format(hole->range.address, address);
                g_string_append_printf(out, "%s/%u", address, hole->range.prefix_length);
                break;
        case HOLE_MAC:
                mac_format(hole->mac, mac);
                g_string_append(out, mac);
                break;
        case HOLE_MAC_HEX:
                for (size_t i = 0; i < MAC_SIZE; i++)
                        g_string_append_printf(out, "%02x", hole->mac[i]);
                break;
        case HOLE_ADDRESS_HEX:
                g_string_append_printf(out, "%08" PRIx32, hole->address);
                break;
        case HOLE_NUMBER:
                g_string_append_printf(out, "%" PRIu64, hole->number);
                break;
        case HOLE_COUNT:
                g_string_append_printf(out, "packets %" PRIu64 " bytes %" PRIu64,
                                       hole->count.packets, hole->count.bytes);
                break;
        case HOLE_RULES:
                g_string_append(out, hole->text);
                break;
        }
}

static const Hole *find_hole(const Hole *holes, size_t n, const char *name, size_t length)
{
        for (size_t i = 0; i < n; i++)
                if (strlen(holes[i].name) == length && memcmp(holes[i].name, name, length) == 0)
                        return &holes[i];
        return NULL;
}

/* Sets of nftables have an @ before their names, too: those are in lower case. */
void holes_fill(const char *text, const Hole *holes, size_t n, GString *out)
{
        for (const char *at; (at = strchr(text, '@')); text = at) {
                size_t length = strspn(at + 1, UPPER "_");

                g_string_append_len(out, text, at - text);
                if (length == 0 || at[1 + length] != '@') {
                        g_string_append_c(out, *at++);
                        continue;
                }
                const Hole *hole = find_hole(holes, n, at + 1, length);
                g_assert(hole);
                put_value(hole, out);
                at += length + 2;
        }
        g_string_append(out, text);
}
