/* SPDX-License-Identifier: MIT */

/* What a playbook has; whole archives are in test-playbook-import and test-fluid-ansible. */
#include "base/playbook-archive.c"

#include "tests/tap.h"

static const struct {
        const char *name;
        bool is_directory, good;
} names[] = {
        {"playbook.yml", false, true},
        {"README.md", false, true},
        {"left-out.json", false, true},
        {"roles", true, true},
        {"roles/change", true, true},
        {"roles/change/tasks", true, true},
        {"roles/change/tasks/main.yml", false, true},
        {"roles/change/files/0a1b", false, true},
        {"roles/web.site-1_x/templates/a.j2", false, true},
        {"playbook.yml", true, false},
        {"ansible.cfg", false, false},
        {"playbook", false, false},
        {"inventory", false, false},
        {"script.py", false, false},
        {".yml", false, false},
        {"-i.yml", false, false},
        {"a b.yml", false, false},
        {"a\nb.yml", false, false},
        {"", false, false},
        {"", true, false},
        {".", true, false},
        {"..", true, false},
        {"library", true, false},
        {"callback_plugins", true, false},
        {"group_vars", true, false},
        {"group_vars/all.yml", false, false},
        {"roles", false, false},
        {"roles/", true, false},
        {"roles//tasks", true, false},
        {"roles/change", false, false},
        {"roles/..", true, false},
        {"roles/.x", true, false},
        {"roles/change/library", true, false},
        {"roles/change/filter_plugins", true, false},
        {"roles/change/tasks", false, false},
        {"roles/change/tasks/..", false, false},
        {"roles/change/tasks/../x.yml", false, false},
        {"roles/change/tasks/sub/x.yml", false, false},
        {"roles/change/tasks/main.yml", true, false},
        {"roles/change/files/.hidden", false, false},
        {"/playbook.yml", false, false},
        {"./playbook.yml", false, false},
        {"other/change/tasks/main.yml", false, false},
};

static void check_length(void)
{
        g_autofree char *longest = g_strnfill(PLAYBOOK_NAME_MAX, 'x');
        g_autofree char *longer = g_strnfill(PLAYBOOK_NAME_MAX + 1, 'x');
        char roles[] = "roles", files[] = "files", role[] = "r";
        char *good[] = {roles, role, files, longest, NULL};
        char *bad[] = {roles, role, files, longer, NULL};

        tap_ok(is_known(good, false), "a name may be as long as a directory can hold");
        tap_ok(!is_known(bad, false), "a longer one may not");
}

int main(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_auto(GStrv) parts = g_strsplit(names[i].name, "/", -1);
                g_autofree char *shown = escape_print(names[i].name, strlen(names[i].name));

                tap_ok(is_known(parts, names[i].is_directory) == names[i].good, "the %s '%s' is %s",
                       names[i].is_directory ? "directory" : "file", shown,
                       names[i].good ? "taken" : "refused");
        }
        check_length();
        return tap_done();
}
