/* SPDX-License-Identifier: MIT */
#include "guestfs/plan.h"

#include <stdio.h>
#include <string.h>

#define PLACE_MAX 65535
#define LINE_END  "end\n"

void plan_name(const PlanPlace *place, char *ret)
{
        (void) g_snprintf(ret, PLAN_NAME_SIZE, "%s-%u", place->of_new ? "new" : "old",
                          place->place);
}

char *plan_to_string(const PlanPlace *places, unsigned n)
{
        GString *text = g_string_new(NULL);

        for (unsigned i = 0; i < n; i++)
                g_string_append_printf(text, "%s %u %s %" G_GUINT64_FORMAT "\n",
                                       places[i].of_new ? "new" : "old", places[i].place,
                                       places[i].is_btrfs ? "btrfs" : "xfs", places[i].size);
        g_string_append(text, LINE_END);
        return g_string_free(text, FALSE);
}

static bool parse_number(const char *word, uint64_t max, uint64_t *ret)
{
        return g_ascii_string_to_unsigned(word, 10, 0, max, ret, NULL);
}

static bool parse_line(const char *line, PlanPlace *ret)
{
        g_auto(GStrv) words = g_strsplit(line, " ", -1);
        uint64_t place = 0, size = 0;

        if (g_strv_length(words) != 4 || !parse_number(words[1], PLACE_MAX, &place) ||
            !parse_number(words[3], INT64_MAX / 4, &size) ||
            (strcmp(words[0], "old") != 0 && strcmp(words[0], "new") != 0) ||
            (strcmp(words[2], "xfs") != 0 && strcmp(words[2], "btrfs") != 0))
                return false;
        *ret = (PlanPlace){size, (unsigned) place, words[0][0] == 'n', words[2][0] == 'b'};
        return true;
}

int plan_parse(const char *text, GArray **ret, Fault *f)
{
        g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(PlanPlace));
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        unsigned n = g_strv_length(lines);

        if (n < 2 || n > PLAN_MAX + 2 || !g_str_has_suffix(text, LINE_END))
                return fault_set(f, FAULT_DIFF_FAILED, "the disks could not be read to their end");
        for (unsigned i = 0; i + 2 < n; i++) {
                PlanPlace place;

                if (!parse_line(lines[i], &place))
                        return fault_set(f, FAULT_DIFF_FAILED, "what reads the disks misbehaved");
                g_array_append_val(places, place);
        }
        *ret = g_steal_pointer(&places);
        return 0;
}
