/* SPDX-License-Identifier: MIT */

/* What a replay did not reproduce, in words. */

#include "core/playbook-private.h"

#include "base/escape.h"

#include <string.h>

/* Lines of each list. */
#define LINES_MAX 100

void playbook_add_line(GString *text, const char *line)
{
        size_t capacity = strlen(line) * 4 + 1;
        g_autofree char *printable = g_malloc(capacity);

        (void) escape_print_into(printable, capacity, line, strlen(line));
        g_string_append_printf(text, "%s%s", text->len > 0 ? "\n" : "", printable);
}

static void append_item(GString *text, Json *item)
{
        const char *what = "?", *name = "?", *change = "", *reason;

        (void) json_find_string(item, "what", &what);
        (void) (json_find_string(item, "path", &name) || json_find_string(item, "name", &name));
        (void) json_find_string(item, "change", &change);
        g_string_append_printf(text, "%s %s%s%s", what, name, *change ? ": " : "", change);
        if (json_find_string(item, "reason", &reason))
                g_string_append_printf(text, " (left out: %s)", reason);
}

static void append_list(GString *text, Json *document, const char *key, const char *count)
{
        Json *list;
        uint64_t n = 0;
        size_t shown;

        if (!json_find_array(document, key, &list))
                return;
        (void) json_find_uint(document, count, &n);
        shown = MIN(json_object_array_length(list), LINES_MAX);
        for (size_t i = 0; i < shown; i++) {
                g_autoptr(GString) line = g_string_new(NULL);
                append_item(line, json_object_array_get_idx(list, i));
                playbook_add_line(text, line->str);
        }
        if (n > shown)
                g_string_append_printf(text, "%s… and %" G_GUINT64_FORMAT " more",
                                       text->len > 0 ? "\n" : "", n - shown);
}

char *playbook_residual_text(const Playbook *p)
{
        GString *text = g_string_new(NULL);
        g_autoptr(Json) document = NULL;

        if (*p->row->residual &&
            json_parse(p->row->residual, strlen(p->row->residual), 4, &document, NULL) >= 0) {
                append_list(text, document, "residual", "residual_count");
                append_list(text, document, "left_out", "left_out_count");
        }
        return g_string_free(text, FALSE);
}

static const char *verdict_text(const char *verified)
{
        static const struct {
                const char *verified, *text;
        } texts[] = {
                {"no", "not verified"},
                {"verifying", "not verified yet"},
                {"exact",
                 "exact: a fresh sandbox became the same, and a second run changed nothing"},
                {"exact-but-left-out",
                 "exact but for what the playbook says that it leaves out; a second run changed "
                 "nothing"},
                {"residual", "not exact: a fresh sandbox became another one"},
                {"failed", "failed"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                if (g_str_equal(texts[i].verified, verified))
                        return texts[i].text;
        g_assert_not_reached();
}

char *playbook_replay_text(const Playbook *p)
{
        const PlaybookRow *row = p->row;
        g_autofree char *residual = playbook_residual_text(p);
        bool is_failed = g_str_equal(row->verified, "failed");

        return g_strdup_printf("%s%s%s%s%s", verdict_text(row->verified), is_failed ? ": " : "",
                               is_failed ? row->verified_reason : "", *residual ? "\n" : "",
                               residual);
}
