/* SPDX-License-Identifier: MIT */

/* The programs of dbus/ctl are no library: what is tested is taken in as source. */
#include "dbus/ctl/tree.c"

#include "tests/tap.h"

static void add_line(const char *prefix, Json *snapshot, void *userdata)
{
        g_string_append_printf(userdata, "%s%s\n", prefix, text_of(snapshot, "name"));
}

/* `pairs`: "name parent" words. */
static GString *draw_pairs(const char *pairs)
{
        g_autoptr(Json) snapshots = json_object_new_array();
        GString *drawn = g_string_new(NULL);
        g_auto(GStrv) words = g_strsplit(pairs, " ", -1);

        for (size_t i = 0; words[i] && words[i + 1]; i += 2) {
                Json *snapshot = json_object_new_object();
                (void) json_object_object_add(snapshot, "name", json_object_new_string(words[i]));
                (void) json_object_object_add(snapshot, "parent",
                                              json_object_new_string(words[i + 1]));
                (void) json_object_array_add(snapshots, snapshot);
        }
        tree_draw(snapshots, add_line, drawn);
        return drawn;
}

static void draws(const char *pairs, const char *expected, const char *sentence)
{
        g_autoptr(GString) drawn = draw_pairs(pairs);

        tap_is_str(drawn->str, expected, "%s", sentence);
}

static void test_long(void)
{
        g_autoptr(GString) pairs = g_string_new("s0 template");
        size_t lines = 0;

        for (int i = 1; i < 1000; i++)
                g_string_append_printf(pairs, " s%d s%d", i, i - 1);
        g_autoptr(GString) drawn = draw_pairs(pairs->str);
        for (const char *p = drawn->str; *p; p++)
                lines += *p == '\n';
        tap_is_int((int64_t) lines, 1000, "a chain as long as a host allows is drawn");
}

int main(void)
{
        draws("", "", "no snapshot is drawn as nothing");
        draws("a template", "└─ a\n", "one is the last");
        draws("a template b template", "├─ a\n└─ b\n", "two stand side by side");
        draws("a template b a c b", "└─ a\n   └─ b\n      └─ c\n", "a chain goes down");
        draws("a template b a c a d b e template",
              "├─ a\n"
              "│  ├─ b\n"
              "│  │  └─ d\n"
              "│  └─ c\n"
              "└─ e\n",
              "branches keep their order, and lines pass those below");
        draws("b a a template", "└─ a\n   └─ b\n", "one that is older than what it stands on");
        draws("b gone a template", "├─ b\n└─ a\n", "one whose parent is gone is drawn at the top");
        draws("a b b a", "└─ a\n   └─ b\n", "two that stand on each other are drawn once");
        draws("a a", "└─ a\n", "and so is one that stands on itself");
        draws("a template a template", "├─ a\n└─ a\n", "names that are there twice, too");
        test_long();
        return tap_done();
}
