/* SPDX-License-Identifier: MIT */
#include "base/domain-pattern.h"

#include "tests/tap.h"

#include <errno.h>
#include <glib.h>

/* 63 characters. */
#define LONG_LABEL "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-012345678"

static void test_parsing(void)
{
        static const struct {
                const char *text, *pattern;
        } good[] = {
                {"example.com", "example.com"},
                {"Example.COM", "example.com"},
                {"example.com.", "example.com"},
                {"*.example.com", "*.example.com"},
                {"*.com", "*.com"},
                {"localhost", "localhost"},
                {"xn--bcher-kva.example", "xn--bcher-kva.example"},
                {"_dmarc.example.com", "_dmarc.example.com"},
                {"3com.com", "3com.com"},
                {"1.2.3.4.nip.io", "1.2.3.4.nip.io"},
                {LONG_LABEL ".com", LONG_LABEL ".com"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                char pattern[DOMAIN_NAME_MAX] = "";

                tap_ok(domain_pattern_parse(good[i].text, pattern, NULL) == 0 &&
                               g_str_equal(pattern, good[i].pattern),
                       "'%s' is a pattern", good[i].text);
        }
}

static void test_refusals(void)
{
        static const struct {
                const char *text, *why;
        } bad[] = {
                {"", "nothing before a dot"},
                {".", "nothing before a dot"},
                {".example.com", "nothing before a dot"},
                {"example..com", "nothing before a dot"},
                {"example.com..", "nothing before a dot"},
                {"*", "have the internet"},
                {"*.", "have the internet"},
                {"*.*.com", "only the whole first part"},
                {"a.*.com", "only the whole first part"},
                {"*a.com", "only the whole first part"},
                {"a*.com", "only the whole first part"},
                {"-a.com", "a hyphen"},
                {"a-.com", "a hyphen"},
                {"b\303\274cher.example", "xn-- form"},
                {"exa mple.com", "other characters"},
                {"example.com:443", "other characters"},
                {"https://example.com", "other characters"},
                {"example.com\n", "other characters"},
                {"192.0.2.1", "ends in a number"},
                {"*.0.2.1", "ends in a number"},
                {"10", "ends in a number"},
                {LONG_LABEL "x.com", "more than 63"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                char pattern[DOMAIN_NAME_MAX] = "as before";
                Fault fault = {0};
                int r = domain_pattern_parse(bad[i].text, pattern, &fault);

                if (!tap_ok(r == -EINVAL && g_str_equal(pattern, "as before") &&
                                    strstr(fault.message, bad[i].why),
                            "case %zu is no pattern: %s", i, bad[i].why))
                        tap_note("%d, %s", r, fault.message);
        }
}

static void test_length(void)
{
        g_autofree char *longest =
                g_strdup(LONG_LABEL "." LONG_LABEL "." LONG_LABEL "." LONG_LABEL);
        g_autofree char *longer = NULL;
        char pattern[DOMAIN_NAME_MAX] = "";

        longest[253] = '\0';
        longer = g_strconcat(longest, "x", NULL);
        tap_ok(domain_pattern_parse(longest, pattern, NULL) == 0 && strlen(pattern) == 253,
               "253 characters are a pattern");
        tap_is_int(domain_pattern_parse(longer, pattern, NULL), -EINVAL, "254 characters are none");
}

static void test_matching(void)
{
        static const struct {
                const char *pattern, *name;
                bool matches;
        } cases[] = {
                {"example.com", "example.com", true},
                {"example.com", "www.example.com", false},
                {"example.com", "xexample.com", false},
                {"example.com", "example.co", false},
                {"example.com", "", false},
                {"*.example.com", "www.example.com", true},
                {"*.example.com", "a.b.c.example.com", true},
                {"*.example.com", "example.com", false},
                {"*.example.com", ".example.com", false},
                {"*.example.com", "badexample.com", false},
                {"*.example.com", "www.example.com.evil.test", false},
                {"*.example.com", "*.example.com", true},
                {"*.com", "example.com", true},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                tap_ok(domain_pattern_matches(cases[i].pattern, cases[i].name) == cases[i].matches,
                       "'%s' %s '%s'", cases[i].pattern,
                       cases[i].matches ? "matches" : "does not match", cases[i].name);
}

static void test_plain_names(void)
{
        static const char *const good[] = {"example.com", "-odd-.example.com", "_a.b", "com",
                                           "1.2"};
        static const char *const bad[] = {"",        ".",       ".com",    "com.",
                                          "a..b",    "A.com",   "*.com",   "a b.com",
                                          "a\n.com", "a\\.com", "\xff.com"};

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
                tap_ok(domain_name_is_plain(good[i]), "'%s' is a plain name", good[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                tap_ok(!domain_name_is_plain(bad[i]), "case %zu is no plain name", i);
}

int main(void)
{
        test_parsing();
        test_refusals();
        test_length();
        test_matching();
        test_plain_names();
        return tap_done();
}
