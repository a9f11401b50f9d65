/* SPDX-License-Identifier: MIT */

/* Whatever bytes are approved: what passes is within its bounds, has no other form, and reads the
 * same as it is hashed. */

#include "core/approval-content.h"

#include "base/name.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool good)
{
        if (!good)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        g_auto(ApprovalContent) c = {0};
        g_autofree char *again = NULL;
        size_t n = 0;

        if (approval_content_parse((const char *) data, size, &c, NULL) < 0) {
                need(!c.json);
                return 0;
        }
        need(size <= APPROVAL_CONTENT_MAX && strlen(c.summary) <= APPROVAL_SUMMARY_MAX &&
             *c.summary && !strchr(c.summary, '\n') && strlen(c.text) <= APPROVAL_TEXT_MAX);
        need(!*c.sandbox || id_is_valid(c.sandbox));
        while (c.alternatives[n])
                need(strlen(c.alternatives[n++]) <= APPROVAL_ALTERNATIVE_MAX);
        need(n <= APPROVAL_ALTERNATIVES_MAX);
        need(g_str_equal(c.action, "network") == (c.profile && c.rules));
        need(approval_content_format(&c, &again, NULL) == 0 && strlen(again) == size &&
             memcmp(again, data, size) == 0);
        return 0;
}
