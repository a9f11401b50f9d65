/* SPDX-License-Identifier: MIT */
#include "diff/unit.h"
#include "tests/tap.h"

static void test_paths(void)
{
        static const struct {
                const char *path, *name; /* NULL: nothing of a unit */
                UnitRole role;
                UnitScope scope;
                bool in_etc;
        } cases[] = {
                {"/etc/systemd/system/a.service", "a.service", UNIT_FILE, SCOPE_SYSTEM, true},
                {"/usr/lib/systemd/system/a@.service", "a@.service", UNIT_FILE, SCOPE_SYSTEM,
                 false},
                {"/lib/systemd/system/a.timer", "a.timer", UNIT_FILE, SCOPE_SYSTEM, false},
                {"/etc/systemd/user/a.socket", "a.socket", UNIT_FILE, SCOPE_USER, true},
                {"/etc/systemd/system/multi-user.target.wants/a.service", "a.service", UNIT_WANTED,
                 SCOPE_SYSTEM, true},
                {"/etc/systemd/system/x.service.requires/a.mount", "a.mount", UNIT_WANTED,
                 SCOPE_SYSTEM, true},
                {"/etc/systemd/system/a.service.d/x.conf", "a.service", UNIT_DROP_IN, SCOPE_SYSTEM,
                 true},
                {"/etc/init.d/ssh", "ssh.service", UNIT_SYSV, SCOPE_SYSTEM, true},
                {"/etc/rc2.d/S01ssh", "ssh.service", UNIT_SYSV_LINK, SCOPE_SYSTEM, true},
                {"/etc/rcS.d/K09x", "x.service", UNIT_SYSV_LINK, SCOPE_SYSTEM, true},
                {"/etc/systemd/system", NULL, 0, 0, false},
                {"/etc/systemd/system/", NULL, 0, 0, false},
                {"/etc/systemd/systemx/a.service", NULL, 0, 0, false},
                {"/etc/systemd/system/a.conf", NULL, 0, 0, false},
                {"/etc/systemd/system/a.service.d/x", NULL, 0, 0, false},
                {"/etc/systemd/system/a.service.d/b/x.conf", NULL, 0, 0, false},
                {"/etc/systemd/system/x.wants/no", NULL, 0, 0, false},
                {"/etc/systemd/system/a b.service", NULL, 0, 0, false},
                {"/etc/init.d/README", NULL, 0, 0, false},
                {"/etc/init.d/a/b", NULL, 0, 0, false},
                {"/etc/rc2.d/S01", NULL, 0, 0, false},
                {"/etc/rc.local", NULL, 0, 0, false},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                UnitPath path = {0};
                bool found = unit_path_parse(span_of(cases[i].path), &path);

                tap_is_str(path.name, cases[i].name, "'%s' is of the unit", cases[i].path);
                tap_ok(found == (cases[i].name != NULL) &&
                               (!found ||
                                (path.role == cases[i].role && path.scope == cases[i].scope &&
                                 path.in_etc == cases[i].in_etc)),
                       "in its role");
                g_free(path.name);
        }
}

static void test_names(void)
{
        static const char *const templates[][2] = {{"getty@tty1.service", "getty@.service"},
                                                   {"a@b@c.socket", "a@.socket"},
                                                   {"getty@.service", NULL},
                                                   {"a.service", NULL},
                                                   {"@", NULL}};

        for (size_t i = 0; i < G_N_ELEMENTS(templates); i++) {
                g_autofree char *name = unit_name_template(templates[i][0]);

                tap_is_str(name, templates[i][1], "the template of '%s'", templates[i][0]);
        }
        tap_ok(!unit_name_is_valid(span_of(".service")) && !unit_name_is_valid(span_of("a")) &&
                       !unit_name_is_valid((Span){"a\0.service", 10}),
               "what is no name of a unit is none");
}

static void test_text(void)
{
        static const char text[] = "[Unit]\nWantedBy=no\n# [Install]\n[Timer]\nOnCalendar=daily\n"
                                   "OnCalendar = weekly\nOnBootSec=\n";
        Span value;

        tap_ok(!unit_has_install(span_of(text)), "a key in another section enables nothing");
        tap_ok(unit_has_install(span_of("[Install]\n WantedBy = a.target\n")),
               "one in [Install] does");
        tap_ok(!unit_has_install(span_of("[Install]\nWantedBy=\n")), "unless it is empty");
        tap_ok(unit_find(span_of(text), "Timer", "OnCalendar", &value) && span_is(value, "weekly"),
               "the last value counts");
        tap_ok(!unit_find(span_of(text), "Timer", "OnBootSec", &value), "an empty one is none");
}

int main(void)
{
        test_paths();
        test_names();
        test_text();
        return tap_done();
}
