/* SPDX-License-Identifier: MIT */
#include "diff/secret.h"
#include "tests/tap.h"

/* Put together here, so that the tree holds none. */
#define TEXT20 "abcdefghij0123456789"
#define TEXT36 TEXT20 "abcdefghij012345"
#define TEXT60 TEXT20 TEXT20 TEXT20
#define KEY    "-----BEGIN "

static void test_find(void)
{
        static const struct {
                const char *text, *kind; /* NULL: none */
                unsigned line;
        } cases[] = {
                {KEY "PRIVATE KEY-----\nx\n", "private key", 1},
                {"x\n" KEY "OPENSSH PRIVATE KEY-----\n", "private key", 2},
                {KEY "RSA PRIVATE KEY-----", "private key", 1},
                {KEY "ENCRYPTED PRIVATE KEY-----\r\n", "private key", 1},
                {KEY "PGP PRIVATE KEY BLOCK-----\n", "private key", 1},
                {KEY "PUBLIC KEY-----\n", NULL, 0},
                {KEY "CERTIFICATE-----\n", NULL, 0},
                {KEY "x PRIVATE KEY-----\n", NULL, 0},
                {"key = AKIA"
                 "ABCDEFGHIJ012345\n",
                 "AWS access key", 1},
                {"AKIA"
                 "ABCDEFGHIJ01234\n",
                 NULL, 0},
                {"xAKIA"
                 "ABCDEFGHIJ012345\n",
                 NULL, 0},
                {"\n\nexport T=ghp_" TEXT36 "\n", "GitHub token", 3},
                {"ghp_short\n", NULL, 0},
                {"'glpat-" TEXT20 "'", "GitLab token", 1},
                {"eyJ" TEXT20 ".eyJ" TEXT36 "." TEXT20, "JSON web token", 1},
                {"eyJ" TEXT20 "." TEXT36 "." TEXT20, NULL, 0},
                {"eyJ" TEXT60, NULL, 0},
                {"nothing at all\n", NULL, 0},
                {"", NULL, 0},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GArray) found = secrets_find(span_of(cases[i].text));

                tap_is_int(found->len, cases[i].kind != NULL, "secrets of text %zu", i);
                if (found->len != 1 || !cases[i].kind)
                        continue;
                const Secret *secret = &g_array_index(found, Secret, 0);
                tap_is_str(secret->kind, cases[i].kind, "its kind is known");
                tap_is_int(secret->line, cases[i].line, "and its line");
        }
}

static void test_many(void)
{
        g_autoptr(GString) text = g_string_new(NULL);

        for (unsigned i = 0; i < 2 * SECRETS_MAX; i++)
                g_string_append(text, "ghp_" TEXT36 "\n");
        g_autoptr(GArray) found = secrets_find((Span){text->str, text->len});
        tap_is_int(found->len, SECRETS_MAX, "so many are found, and no more");
        tap_is_int(g_array_index(found, Secret, 9).line, 10, "each in its line");
}

static void test_redact(void)
{
        static const char *const cases[][2] = {
                {"curl -H ghp_" TEXT36 " x", "curl -H (GitHub token) x"},
                {"deb https://u:p@h/ x", "deb https://***@h/ x"},
                {"deb https://h/a@b x", "deb https://h/a@b x"},
                {"a://b://c@d", "a://b://***@d"},
                {"no secret", "no secret"},
                {"", ""},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *text = secret_redact(span_of(cases[i][0]));

                tap_is_str(text, cases[i][1], "'%s' can be shown", cases[i][1]);
        }
        tap_ok(secret_is_text(span_of("x")) && !secret_is_text((Span){"a\0b", 3}),
               "text has no NUL in its beginning");
}

int main(void)
{
        test_find();
        test_many();
        test_redact();
        return tap_done();
}
