/* SPDX-License-Identifier: MIT */

/* Whatever fluid-resolver sends, what passes the check keeps its bounds. */

#include "base/address-scope.h"
#include "base/resolver-message.h"

#include <glib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        g_autofree ResolverMessage *m = g_malloc0(sizeof *m);
        char pattern[DOMAIN_NAME_MAX];

        memcpy(m, bytes, MIN(size, sizeof *m));
        if (resolver_message_check(m, MAX(size, sizeof *m), false, NULL) < 0)
                return 0;
        if (m->type == RESOLVER_FOUND) {
                g_assert(m->found.n > 0 && m->found.n <= RESOLVER_ADDRESSES_MAX);
                for (uint32_t i = 0; i < m->found.n; i++)
                        g_assert(address_scope(m->found.addresses[i]) != ADDRESS_SPECIAL);
                g_assert(strlen(m->found.name) < DOMAIN_NAME_MAX);
                if (domain_pattern_parse(m->found.name, pattern, NULL) == 0)
                        g_assert(domain_name_is_plain(pattern) || pattern[0] == '*');
        } else if (m->type == RESOLVER_REFUSED) {
                g_assert(strlen(m->refused.name) < DOMAIN_NAME_MAX);
        }
        return 0;
}
