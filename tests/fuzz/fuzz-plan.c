/* SPDX-License-Identifier: MIT */

/* Any text as a plan: what is accepted says the same again. */

#include "guestfs/plan.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        g_autofree char *text = g_strndup((const char *) data, size);
        g_autoptr(GArray) places = NULL, again = NULL;

        if (plan_parse(text, &places, NULL) < 0)
                return 0;
        g_assert(places->len <= PLAN_MAX);
        const PlanPlace *list = (const PlanPlace *) (const void *) places->data;
        g_autofree char *said = plan_to_string(list, places->len);
        g_assert(plan_parse(said, &again, NULL) == 0 && again->len == places->len);
        for (unsigned i = 0; i < places->len; i++) {
                const PlanPlace *other = &g_array_index(again, PlanPlace, i);

                g_assert(list[i].of_new == other->of_new && list[i].place == other->place &&
                         list[i].is_btrfs == other->is_btrfs && list[i].size == other->size);
        }
        return 0;
}
