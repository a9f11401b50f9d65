/* SPDX-License-Identifier: MIT */
#include "diff/noise.h"
#include "tests/tap.h"

static void test_patterns(void)
{
        static const struct {
                const char *pattern, *path;
                bool matches;
        } cases[] = {
                {"/a", "/a", true},           {"/a", "/ab", false},
                {"/a", "/", false},           {"/a/*", "/a/b", true},
                {"/a/*", "/a/b/c", false},    {"/a/**", "/a/b/c", true},
                {"/a/**", "/a", false},       {"/a/*.c", "/a/x.c", true},
                {"/a/*.c", "/a/x.cc", false}, {"/a?c", "/abc", true},
                {"/a?c", "/a/c", false},      {"/**/x/**", "/a/b/x/c", true},
                {"/**/x/**", "/x/c", false},  {"/**", "/", true},
                {"/*/b", "/a/b", true},       {"/a*b*c", "/aXbYbc", true},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                tap_ok(noise_pattern_match(span_of(cases[i].pattern), span_of(cases[i].path)) ==
                               cases[i].matches,
                       "'%s' %s '%s'", cases[i].pattern,
                       cases[i].matches ? "matches" : "does not match", cases[i].path);
}

static void test_syntax(void)
{
        static const struct {
                const char *text, *words; /* NULL: good */
        } cases[] = {
                {"# x\n\n[a] why\n/x\n directory only-time /y z\n", NULL},
                {"", NULL},
                {"/x\n", "before the first rule"},
                {"[a] why\nx\n", "line 2"},
                {"[a] why\ndirectory\n", "line 2"},
                {"[a] why\ndirectori /x\n", "neither a path nor"},
                {"[a\n", "[NAME] REASON"},
                {"[] why\n", "[NAME] REASON"},
                {"[a] why\n/*/*/*/*/*/*/*/*/*\n", "too many"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(NoiseRules) rules = NULL;
                Fault f = {0};
                int r = noise_rules_parse(span_of(cases[i].text), &rules, &f);

                if (cases[i].words)
                        tap_ok(r < 0 && strstr(f.message, cases[i].words) && !rules,
                               "rules %zu are refused: %s", i, f.message);
                else
                        tap_ok(r == 0 && rules, "rules %zu are read", i);
        }
}

/* Paths, and the rules of the tree's own file that they match. */
static void test_own(void)
{
        static const struct {
                const char *path;
                ChangeKind change;
                FileKind kind;
                bool only_time;
                const char *rule; /* NULL: no noise */
        } cases[] = {
                {"/var/log/syslog", CHANGE_MODIFIED, KIND_FILE, false, "logs"},
                {"/var/log/journal/x/system.journal", CHANGE_MODIFIED, KIND_FILE, false, "journal"},
                {"/var/lib/dpkg/status", CHANGE_MODIFIED, KIND_FILE, false, "dpkg"},
                {"/var/lib/dpkg/status-old", CHANGE_ADDED, KIND_FILE, false, "dpkg"},
                {"/var/cache/apt/pkgcache.bin", CHANGE_ADDED, KIND_FILE, false, "caches"},
                {"/etc/machine-id", CHANGE_MODIFIED, KIND_FILE, false, "identity"},
                {"/etc/passwd-", CHANGE_MODIFIED, KIND_FILE, false, "old-copies"},
                {"/etc", CHANGE_METADATA, KIND_DIRECTORY, true, "directory-times"},
                {"/etc", CHANGE_METADATA, KIND_DIRECTORY, false, NULL},
                {"/etc/hosts", CHANGE_METADATA, KIND_FILE, true, NULL},
                {"/etc/passwd", CHANGE_MODIFIED, KIND_FILE, false, NULL},
                {"/usr/lib/python3/__pycache__/a.pyc", CHANGE_ADDED, KIND_FILE, false, "bytecode"},
                {"/usr/lib/python3/__pycache__", CHANGE_ADDED, KIND_DIRECTORY, false, "bytecode"},
                {"/var/lib/mysql/data", CHANGE_MODIFIED, KIND_FILE, false, NULL},
                {"/usr/bin/x", CHANGE_ADDED, KIND_FILE, false, NULL},
        };
        g_autoptr(NoiseRules) rules = NULL;
        Fault f = {0};

        tap_ok(noise_rules_parse(span_of(noise_rules_text), &rules, &f) == 0,
               "the tree's own rules are read: %s", f.message);
        for (size_t i = 0; rules && i < G_N_ELEMENTS(cases); i++) {
                Change change = {.change = cases[i].change,
                                 .kind = cases[i].kind,
                                 .only_time = cases[i].only_time};
                int rule = noise_rules_match(rules, span_of(cases[i].path), &change);

                tap_is_str(rule < 0 ? NULL : noise_rule_name(rules, (unsigned) rule), cases[i].rule,
                           "the rule of '%s'", cases[i].path);
        }
}

int main(void)
{
        test_patterns();
        test_syntax();
        test_own();
        return tap_done();
}
