/* SPDX-License-Identifier: MIT */
#include "base/name.h"
#include "tests/tap.h"

#include <errno.h>
#include <glib.h>

static void test_names(void)
{
        static const char longest[] =
                "a23456789012345678901234567890123456789012345678901234567890123";
        static const char too_long[] =
                "a234567890123456789012345678901234567890123456789012345678901234";
        static const char *const good[] = {"a", "Z", "0", "web-1", "a.b_c-D", "9lives", longest};
        static const char *const bad[] = {
                "",    too_long, ".hidden", "-rf", "_x",          "a b",  "a/b", "..",
                "a\n", "a\x1b",  "a%s",     "a'b", "caf\xc3\xa9", "a\\b", "a:b", "a,b"};

        tap_is_int((int64_t) strlen(longest), NAME_MAX_LENGTH,
                   "the longest name is as long as documented");
        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                tap_ok(name_is_valid(good[i]), "'%s' is a name", good[i]);
                tap_is_int(name_check("sandbox", good[i], NULL), 0, "and passes");
        }
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *shown = g_strescape(bad[i], NULL);
                Fault f = {0};

                tap_is_int(name_check("snapshot", bad[i], &f), -EINVAL, "\"%s\" is not a name",
                           shown);
                tap_ok(f.code == FAULT_INVALID_ARGUMENT && strstr(f.message, "valid snapshot name"),
                       "and the reason says of what");
        }
}

static void test_ids(void)
{
        static const char *const bad[] = {"",
                                          "0123456789a",
                                          "0123456789abc",
                                          "0123456789AB",
                                          "0123456789ag",
                                          "../../../../etc",
                                          "0123456789a\n"};
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        bool are_valid = true;

        for (unsigned i = 0; i < 2000; i++) {
                Id id = id_new();

                are_valid &= id_is_valid(id.text) && strlen(id.text) == ID_LENGTH;
                (void) g_hash_table_add(seen, g_strdup(id.text));
        }
        tap_ok(are_valid, "new ids are 12 lower-case hexadecimal digits");
        tap_is_int(g_hash_table_size(seen), 2000, "no two are the same");
        tap_ok(id_is_valid("0123456789ab"), "such a text is an id");
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *shown = g_strescape(bad[i], NULL);

                tap_ok(!id_is_valid(bad[i]), "\"%s\" is not", shown);
        }
}

int main(void)
{
        test_names();
        test_ids();
        return tap_done();
}
