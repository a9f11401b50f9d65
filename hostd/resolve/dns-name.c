/* SPDX-License-Identifier: MIT */
#include "resolve/dns-name.h"

#include "base/escape.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/random.h>

int dns_name_read(const uint8_t *packet, size_t size, size_t offset, DnsName *ret)
{
        DnsName name;
        int n;

        if (offset >= size)
                return -EBADMSG;
        n = ns_name_unpack(packet, packet + size, packet + offset, name.wire, sizeof name.wire);
        if (n < 0)
                return -EBADMSG;
        name.size = 1;
        for (size_t i = 0; name.wire[i] != 0; i += name.wire[i] + 1u)
                name.size = (uint8_t) (name.size + name.wire[i] + 1u);
        memset(name.wire + name.size, 0, sizeof name.wire - name.size);
        *ret = name;
        return n;
}

bool dns_name_is_identical(const DnsName *a, const DnsName *b)
{
        return a->size == b->size && memcmp(a->wire, b->wire, a->size) == 0;
}

bool dns_name_is_same(const DnsName *a, const DnsName *b)
{
        if (a->size != b->size)
                return false;
        /* The lengths of labels, below 64, are no letters. A label may have a NUL in it. */
        for (size_t i = 0; i < a->size; i++)
                if (g_ascii_tolower((char) a->wire[i]) != g_ascii_tolower((char) b->wire[i]))
                        return false;
        return true;
}

bool dns_name_to_text(const DnsName *name, char ret[static DOMAIN_NAME_MAX])
{
        char text[DNS_NAME_MAX] = "";
        bool is_plain = name->size > 1;
        size_t n = 0;

        for (size_t i = 0; i + 1 < name->size; i += name->wire[i] + 1u) {
                if (n > 0)
                        text[n++] = '.';
                for (size_t j = 1; j <= name->wire[i]; j++) {
                        char c = g_ascii_tolower((char) name->wire[i + j]);

                        is_plain = is_plain && (g_ascii_isalnum(c) || c == '-' || c == '_');
                        text[n++] = c;
                }
        }
        if (n == 0)
                text[n++] = '.';
        (void) escape_print_into(ret, DOMAIN_NAME_MAX, text, n);
        return is_plain;
}

void dns_name_mix_case(DnsName *name)
{
        uint8_t random[DNS_NAME_MAX];

        /* Where there is no randomness the case stays: it is one measure of several. */
        if (getrandom(random, name->size, 0) != name->size)
                return;
        for (size_t i = 0; i < name->size; i++)
                if (g_ascii_isalpha(name->wire[i]) && (random[i] & 1))
                        name->wire[i] ^= 0x20;
}
