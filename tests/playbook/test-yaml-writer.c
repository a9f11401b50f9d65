/* SPDX-License-Identifier: MIT */
#include "diff/playbook-line-edit.h"
#include "diff/playbook-task.h"
#include "tests/tap.h"

static const struct {
        const char *text, *written;
} ours[] = {
        {"present", "present"},
        {"Copy /etc/nginx.conf", "Copy /etc/nginx.conf"},
        {"ansible.builtin.file", "ansible.builtin.file"},
        {"yes", "\"yes\""},
        {"Null", "\"Null\""},
        {"0644", "\"0644\""},
        {"1e3", "\"1e3\""},
        {"", "\"\""},
        {"a: b", "\"a: b\""},
        {"a #b", "\"a #b\""},
        {"a ", "\"a \""},
        {"{{ change_packages }}", "\"{{ change_packages }}\""},
        {"-o", "\"-o\""},
};

static const struct {
        const char *bytes, *written;
} theirs[] = {
        {"plain", "!unsafe \"plain\""},
        {"", "!unsafe \"\""},
        {"{{ x }}", "!unsafe \"{{ x }}\""},
        {"a\nb", "!unsafe \"a\\nb\""},
        {"\"\\", "!unsafe \"\\\"\\\\\""},
        {"\x1b\x7f", "!unsafe \"\\e\\x7F\""},
        {"\xc3\xa9\xf0\x9f\x98\x80", "!unsafe \"\\xE9\\U0001F600\""},
        {" lead and trail ", "!unsafe \" lead and trail \""},
};

static const struct {
        const char *bytes, *name;
} names[] = {
        {"/etc/x", "Copy /etc/x"},
        {"/a b", "Copy /a b"},
        {"/{{ x }}", "Copy /\\x7b\\x7b x \\x7d\\x7d"},
        {"/{%#\n", "Copy /\\x7b\\x25\\x23\\x0a"},
        {"/\xff", "Copy /\\xff"},
};

static const struct {
        const char *line, *pattern;
} patterns[] = {
        {"Port 22", "^Port 22$"},
        {"a.b*c", "^a\\.b\\*c$"},
        {"[x] (y|z) {1} $ ^ \\ + ?", "^\\[x\\] \\(y\\|z\\) \\{1\\} \\$ \\^ \\\\ \\+ \\?$"},
};

static void test_scalars(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(ours) + G_N_ELEMENTS(theirs); i++) {
                bool is_ours = i < G_N_ELEMENTS(ours);
                size_t k = is_ours ? i : i - G_N_ELEMENTS(ours);
                g_autoptr(YamlWriter) writer = yaml_writer_new();
                g_autofree char *text = NULL, *expected = NULL;

                yaml_writer_map(writer);
                yaml_writer_ours(writer, "key");
                if (is_ours)
                        yaml_writer_ours(writer, ours[k].text);
                else
                        yaml_writer_theirs(writer, theirs[k].bytes, strlen(theirs[k].bytes));
                yaml_writer_end_map(writer);
                expected = g_strdup_printf("---\nkey: %s\n",
                                           is_ours ? ours[k].written : theirs[k].written);
                tap_ok(yaml_writer_end(writer, &text, NULL) == 0, "it is written");
                tap_is_str(text, expected, "%s is written as it should be",
                           is_ours ? "a word of ours" : "a text of theirs");
        }
}

static void test_lists(void)
{
        g_autoptr(YamlWriter) writer = yaml_writer_new();
        g_autofree char *text = NULL;

        yaml_writer_list(writer);
        for (int i = 0; i < 2; i++) {
                yaml_writer_map(writer);
                yaml_writer_ours(writer, "first");
                yaml_writer_list(writer);
                yaml_writer_theirs(writer, "a:", 2);
                yaml_writer_map(writer);
                yaml_writer_ours(writer, "inner");
                yaml_writer_list(writer);
                yaml_writer_ours(writer, "b");
                yaml_writer_end_list(writer);
                yaml_writer_end_map(writer);
                yaml_writer_end_list(writer);
                yaml_writer_ours(writer, "last");
                yaml_writer_bool(writer, true);
                yaml_writer_end_map(writer);
        }
        yaml_writer_end_list(writer);
        tap_ok(yaml_writer_end(writer, &text, NULL) == 0, "lists are written");
        tap_is_str(text,
                   "---\n"
                   "- first:\n"
                   "    - !unsafe \"a:\"\n"
                   "    - inner:\n"
                   "        - b\n"
                   "  last: true\n"
                   "\n"
                   "- first:\n"
                   "    - !unsafe \"a:\"\n"
                   "    - inner:\n"
                   "        - b\n"
                   "  last: true\n",
                   "each is indented below its key");
}

static void test_exceptions(void)
{
        static const struct {
                const char *value, *noted;
        } cases[] = {
                {"/etc/plain", ""},
                {"/etc/tab\t", "  # noqa: no-tabs\n"},
                {"/etc/\\t", ""},
                {"/etc/\\\t", "  # noqa: no-tabs\n"},
                {"{{ x }}", "  # noqa: jinja\n"},
                {"{%\t", "  # noqa: no-tabs jinja\n"},
        };
        g_autofree char *longest = g_strnfill(160 - strlen("  path: !unsafe \"\""), 'x');
        g_autofree char *longer = g_strconcat(longest, "x", NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(cases) + 2; i++) {
                const char *value = i < G_N_ELEMENTS(cases)    ? cases[i].value
                                    : i == G_N_ELEMENTS(cases) ? longest
                                                               : longer;
                const char *noted = i < G_N_ELEMENTS(cases)    ? cases[i].noted
                                    : i == G_N_ELEMENTS(cases) ? ""
                                                               : "  # noqa: yaml[line-length]\n";
                g_autoptr(YamlWriter) writer = yaml_writer_new();
                g_autofree char *text = NULL, *expected = NULL;

                yaml_writer_list(writer);
                for (int k = 0; k < 2; k++) {
                        yaml_writer_map(writer);
                        yaml_writer_ours(writer, "name");
                        yaml_writer_ours(writer, "{{ ours }}");
                        yaml_writer_ours(writer, "path");
                        if (k == 0)
                                yaml_writer_ours(writer, "other");
                        else
                                yaml_writer_theirs(writer, value, strlen(value));
                        yaml_writer_end_map(writer);
                }
                yaml_writer_end_list(writer);
                tap_ok(yaml_writer_end(writer, &text, NULL) == 0, "tasks are written");
                expected = g_strdup_printf("---\n- name: \"{{ ours }}\"\n  path: other\n\n"
                                           "- name: \"{{ ours }}\"\n%s  path: !unsafe ",
                                           noted);
                tap_ok(g_str_has_prefix(text, expected),
                       "and say what the linter has to let pass, case %zu", i);
        }
}

static void test_refused(void)
{
        static const struct {
                const char *bytes;
                size_t size;
                const char *what;
        } cases[] = {{"a\xff", 2, "a byte that is no UTF-8"},
                     {"a\0b", 3, "a NUL"},
                     {"\xed\xa0\x80", 3, "a surrogate"},
                     {"\xc0\x80", 2, "an overlong character"}};

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(YamlWriter) writer = yaml_writer_new();
                g_autofree char *text = NULL;
                Fault fault = {0};

                tap_ok(!yaml_writer_can_hold(cases[i].bytes, cases[i].size), "%s cannot be held",
                       cases[i].what);
                yaml_writer_theirs(writer, cases[i].bytes, cases[i].size);
                tap_ok(yaml_writer_end(writer, &text, &fault) < 0 && !text &&
                               fault.code == FAULT_INTERNAL,
                       "and is never written as something else");
        }
        g_autoptr(YamlWriter) unfinished = yaml_writer_new();
        g_autofree char *text = NULL;
        yaml_writer_map(unfinished);
        tap_ok(yaml_writer_end(unfinished, &text, NULL) < 0 && !text,
               "what is not complete is no document");
}

static void test_names(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *name = task_name("Copy", names[i].bytes, strlen(names[i].bytes));
                tap_is_str(name, names[i].name, "a task is named harmlessly");
        }
        g_autofree char *long_text = g_strnfill(5000, '{');
        g_autofree char *name = task_name("Copy", long_text, 5000);
        tap_ok(strlen(name) < 140, "and never at great length");
        for (size_t i = 0; i < G_N_ELEMENTS(patterns); i++) {
                g_autofree char *pattern = line_edit_pattern(patterns[i].line);
                tap_is_str(pattern, patterns[i].pattern, "a pattern matches its line alone");
        }
}

int main(void)
{
        test_scalars();
        test_lists();
        test_exceptions();
        test_refused();
        test_names();
        return tap_done();
}
