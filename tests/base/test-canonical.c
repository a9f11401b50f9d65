/* SPDX-License-Identifier: MIT */
#include "base/canonical.h"
#include "tests/tap.h"

#include "base/cleanup.h"

#include <string.h>

static void test_format(void)
{
        static const struct {
                const char *given, *written;
        } table[] = {
                {"{ \"b\" : 1, \"a\" : [ true , null ] }", "{\"a\":[true,null],\"b\":1}"},
                {"\"a\\u000a\\u0007\\u00e9\\/\\\\\\\"\"", "\"a\\n\\u0007\xc3\xa9/\\\\\\\"\""},
                {"18446744073709551615", "18446744073709551615"},
                {"-9223372036854775808", "-9223372036854775808"},
                {"{\"aa\":1,\"a\":2,\"B\":3}", "{\"B\":3,\"a\":2,\"aa\":1}"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(Json) value = NULL, again = NULL;
                g_autofree char *text = NULL;

                if (json_parse(table[i].given, strlen(table[i].given), 9, &value, NULL) < 0 ||
                    canonical_format(value, &text, NULL) < 0)
                        text = g_strdup("refused");
                tap_is_str(text, table[i].written, "there is one way to write %s", table[i].given);
                tap_ok(canonical_parse(text, strlen(text), &again, NULL) == 0,
                       "and only that is read");
        }
}

static void test_refusals(void)
{
        static const char *const bad[] = {
                "",
                "{\"b\":1,\"a\":2}",
                "{\"a\":1,\"a\":1}",
                "{\"a\": 1}",
                "{}\n",
                " {}",
                "\"\\u0041\"",
                "\"\\/\"",
                "\"\\u000A\"",
                "\"\\u0000\"",
                "\"\xff\"",
                "1.5",
                "1e3",
                "01",
                "-0",
                "18446744073709551616",
                "[[[[[[[[[1]]]]]]]]]",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autoptr(Json) value = NULL;
                Fault f = {0};

                tap_ok(canonical_parse(bad[i], strlen(bad[i]), &value, &f) < 0 && !value &&
                               f.code == FAULT_INVALID_ARGUMENT,
                       "%s is refused", bad[i]);
        }
}

int main(void)
{
        test_format();
        test_refusals();
        return tap_done();
}
