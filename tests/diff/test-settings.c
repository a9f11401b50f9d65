/* SPDX-License-Identifier: MIT */
#include "diff/line-changes.h"
#include "diff/settings.h"
#include "tests/tap.h"

static void test_sysctl(void)
{
        static const char *const cases[][3] = {
                {"net.ipv4.ip_forward=1", "net.ipv4.ip_forward", "1"},
                {" -kernel.sysrq = 0 ", "kernel.sysrq", "0"},
                {"net/ipv4/conf/eth0.1/rp_filter = 2", "net.ipv4.conf.eth0/1.rp_filter", "2"},
                {"net.ipv4.conf.eth0/1.rp_filter=2", "net.ipv4.conf.eth0/1.rp_filter", "2"},
                {"kernel.core_pattern=|/bin/x a=b", "kernel.core_pattern", "|/bin/x a=b"},
                {"vm.x =", "vm.x", ""},
                {"# a=b", NULL, NULL},
                {"; a=b", NULL, NULL},
                {"-net.ipv4", NULL, NULL},
                {"=1", NULL, NULL},
                {"", NULL, NULL},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *key = NULL, *text = NULL;
                Span value = {NULL, 0};

                if (sysctl_parse_line(span_of(cases[i][0]), &key, &value))
                        text = span_dup(value);
                tap_is_str(key, cases[i][1], "the key of '%s'", cases[i][0]);
                tap_is_str(text, cases[i][2], "and its value");
        }
}

static void test_cron(void)
{
        static const struct {
                const char *line;
                bool with_user;
                const char *schedule, *user, *command; /* NULL: no entry */
        } cases[] = {
                {"0 3 * * * root /bin/x y", true, "0 3 * * *", "root", "/bin/x y"},
                {"*/5  1-3 1,2 jan\tmon cmd", false, "*/5  1-3 1,2 jan\tmon", "", "cmd"},
                {"@reboot root x", true, "@reboot", "root", "x"},
                {"@daily x y", false, "@daily", "", "x y"},
                {"# 0 3 * * * root x", true, NULL, NULL, NULL},
                {"SHELL=/bin/sh", true, NULL, NULL, NULL},
                {"PATH = /a:/b and more words here", true, NULL, NULL, NULL},
                {"0 3 * * *", false, NULL, NULL, NULL},
                {"0 3 * * * root", true, NULL, NULL, NULL},
                {"0 3 * *", true, NULL, NULL, NULL},
                {"@daily", false, NULL, NULL, NULL},
                {"", true, NULL, NULL, NULL},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *schedule = NULL, *user = NULL, *command = NULL;
                CronEntry entry;

                if (cron_parse_line(span_of(cases[i].line), cases[i].with_user, &entry)) {
                        schedule = span_dup(entry.schedule);
                        user = span_dup(entry.user);
                        command = span_dup(entry.command);
                }
                tap_is_str(schedule, cases[i].schedule, "when '%s' runs", cases[i].line);
                tap_is_str(user, cases[i].user, "as whom");
                tap_is_str(command, cases[i].command, "and what");
        }
}

static void test_sudoers(void)
{
        static const struct {
                const char *line;
                bool counts, without_password;
        } lines[] = {
                {"a ALL=(ALL) ALL", true, false},
                {"a ALL=(ALL) NOPASSWD: ALL", true, true},
                {"Defaults !authenticate", true, true},
                {"#1000 ALL=(ALL) NOPASSWD: ALL", true, true},
                {"# a ALL=(ALL) NOPASSWD: ALL", false, false},
                {"#includedir /etc/sudoers.d", true, false},
                {"@include x", true, false},
                {"#", false, false},
                {"", false, false},
        };
        static const struct {
                const char *name;
                bool read;
        } names[] = {
                {"admins", true}, {"README", true}, {"a.b", false}, {"a~", false}, {"", false}};

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
                tap_ok(sudoers_line_counts(span_of(lines[i].line)) == lines[i].counts &&
                               sudoers_is_without_password(span_of(lines[i].line)) ==
                                       lines[i].without_password,
                       "sudoers: '%s'", lines[i].line);
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                tap_ok(sudoers_is_read(span_of(names[i].name)) == names[i].read, "sudoers.d/%s",
                       names[i].name);
}

static void test_assignments(void)
{
        static const char *const cases[][3] = {
                {"GRUB_CMDLINE_LINUX=\"quiet a=b\"", "GRUB_CMDLINE_LINUX", "quiet a=b"},
                {" X='y'", "X", "y"},
                {"X=\"y'", "X", "\"y'"},
                {"X=", "X", ""},
                {"1X=y", NULL, NULL},
                {"X Y=z", NULL, NULL},
                {"# X=y", NULL, NULL},
                {"X", NULL, NULL},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *name = NULL, *value = NULL;
                Span a, b;

                if (assignment_parse_line(span_of(cases[i][0]), &a, &b)) {
                        name = span_dup(a);
                        value = span_dup(b);
                }
                tap_is_str(name, cases[i][1], "the name in '%s'", cases[i][0]);
                tap_is_str(value, cases[i][2], "and its value");
        }
}

static void test_lines(void)
{
        static const struct {
                const char *old, *new, *expected;
        } cases[] = {
                {"a\nb\n", "a\nb\n", ""},
                {"a\nb\n", "b\na\n", ""},
                {"a\n", "a\nb\n", "+2b "},
                {"a\nb\n", "a", "-2b "},
                {"", "x\n\n# c\n  y  \n", "+1x +4y "},
                {"a\na\n", "a\na\na\n", "+3a "},
                {"a\na\n", "a\n", "-2a "},
                {"b\na\n", "d\nc\n", "-1b -2a +1d +2c "},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GArray) changes = line_changes(span_of(cases[i].old),
                                                         span_of(cases[i].new), line_is_no_comment);
                g_autoptr(GString) got = g_string_new(NULL);

                for (unsigned j = 0; j < changes->len; j++) {
                        const LineChange *line = &g_array_index(changes, LineChange, j);

                        g_string_append_printf(got, "%c%u%.*s ", line->added ? '+' : '-',
                                               line->number, (int) line->text.size,
                                               line->text.bytes);
                }
                tap_is_str(got->str, cases[i].expected, "lines of texts %zu", i);
        }
}

int main(void)
{
        test_sysctl();
        test_cron();
        test_sudoers();
        test_assignments();
        test_lines();
        return tap_done();
}
