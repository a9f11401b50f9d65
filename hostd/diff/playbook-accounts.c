/* SPDX-License-Identifier: MIT */

/* Groups and users. What a package makes when it is installed is left to it, but where others came
 * beside that without a number of their own: which one gets which depends on who came first. */

#include "base/cleanup.h"
#include "diff/playbook-days.h"

#include <string.h>

#define ACCOUNT_NAME_MAX   32
#define SCRIPT_SIZE_MAX    (256u << 10)
#define SYSTEM_ID_MAX      999u
#define GROUPS_OF_USER_MAX 1000u

static bool is_account_name(const char *name)
{
        return name && is_word(name, "._-", ACCOUNT_NAME_MAX) && !g_ascii_isdigit(name[0]);
}

static bool holds_word(const char *text, const char *word)
{
        size_t n = strlen(word);

        for (const char *p = text; (p = strstr(p, word)); p += n) {
                bool begins =
                        p == text || (!g_ascii_isalnum(p[-1]) && p[-1] != '_' && p[-1] != '-');
                bool ends = !g_ascii_isalnum(p[n]) && p[n] != '_' && p[n] != '-';
                if (begins && ends)
                        return true;
        }
        return false;
}

static bool script_names(const Plan *plan, const char *path, const char *account)
{
        g_autofree char *text = NULL;
        size_t size;

        return plan->source->read(plan->source->data, true, path, SCRIPT_SIZE_MAX, &text, &size,
                                  NULL) == 0 &&
               holds_word(text, account);
}

/* Whether some package that is new here has the account in what it runs when it is installed. */
static bool is_made_by_package(const Plan *plan, const char *account)
{
        static const char *const scripts[] = {
                "/var/lib/dpkg/info/%s.postinst",
                "/var/lib/dpkg/info/%s.preinst",
                "/usr/lib/sysusers.d/%s.conf",
        };
        Json *packages = plan->document->packages;

        for (size_t i = 0; i < json_object_array_length(packages); i++) {
                Json *package = json_object_array_get_idx(packages, i);
                g_autofree char *name = playbook_member(package, "name");

                if (!name || !playbook_member_is(package, "change", "added") ||
                    !is_word(name, "+-._", 128))
                        continue;
                for (size_t k = 0; k < G_N_ELEMENTS(scripts); k++) {
                        g_auto(GStrv) parts = g_strsplit(scripts[k], "%s", 2);
                        g_autofree char *path = g_strconcat(parts[0], name, parts[1], NULL);
                        if (script_names(plan, path, account))
                                return true;
                }
        }
        return false;
}

static bool is_made_by_other(const Plan *plan, Json *element, const char *name, uint64_t id)
{
        return !plan->pins_ids && playbook_member_is(element, "change", "added") &&
               id <= SYSTEM_ID_MAX && is_made_by_package(plan, name);
}

static TaskFile file_of(const Plan *plan, uint64_t id)
{
        return plan->pins_ids && id <= SYSTEM_ID_MAX ? TASKS_SYSTEM_ACCOUNTS : TASKS_ACCOUNTS;
}

/* A group that was removed, whose number another one has now. */
static bool is_renamed_group(const Plan *plan, uint64_t id, const char *key, const char *change)
{
        Json *groups = plan->document->groups;

        for (size_t i = 0; i < json_object_array_length(groups); i++) {
                Json *group = json_object_array_get_idx(groups, i);
                uint64_t other;

                if (playbook_member_is(group, "change", change) &&
                    json_find_uint(group, key, &other) && other == id)
                        return true;
        }
        return false;
}

static const char renamed_group[] = "Ansible's modules do not rename groups";

/* Whether somebody else has the number, or had it and is removed later. */
static bool is_shared_uid(const Plan *plan, uint64_t id, const char *name)
{
        const char *first = g_hash_table_lookup(plan->users, GUINT_TO_POINTER((guint) id));
        Json *users = plan->document->users;

        if (first && strcmp(first, name) != 0)
                return true;
        for (size_t i = 0; i < json_object_array_length(users); i++) {
                Json *user = json_object_array_get_idx(users, i), *old;
                uint64_t other;

                if (!playbook_member_is(user, "name", name) &&
                    json_find_object(user, "old", &old) && json_find_uint(old, "uid", &other) &&
                    other == id)
                        return true;
        }
        return false;
}

static Task *add_task(Plan *plan, TaskFile file, const char *what, const char *account,
                      const char *module)
{
        g_autofree char *name = task_name(what, account, strlen(account));
        Task *task = plan_add(plan, file, task_new(name, module));

        task_theirs(task, "name", account);
        return task;
}

static void set_number(Task *task, const char *key, uint64_t number)
{
        g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, number);

        task_plain(task, key, text);
}

static void take_group(Plan *plan, Json *group)
{
        g_autofree char *name = playbook_member(group, "name");
        uint64_t id = 0;

        if (!is_account_name(name)) {
                plan_leave_out_named(plan, "group", name ? name : "?", "accounts",
                                     "its name is not one that groupadd takes");
                return;
        }
        uint64_t old_id = UINT64_MAX;
        (void) json_find_uint(group, "old_gid", &old_id);
        if (!json_find_uint(group, "new_gid", &id) || id == old_id ||
            is_made_by_other(plan, group, name, id))
                return;
        if (playbook_member_is(group, "change", "added") &&
            is_renamed_group(plan, id, "old_gid", "removed")) {
                plan_leave_out_named(plan, "group", name, "accounts", renamed_group);
                (void) g_hash_table_remove(plan->groups, GUINT_TO_POINTER((guint) id));
                return;
        }
        Task *task =
                add_task(plan, file_of(plan, id), "Make the group", name, "ansible.builtin.group");
        set_number(task, "gid", id);
        if (id > 0 && id <= SYSTEM_ID_MAX)
                task_bool(task, "system", true);
}

static void remove_group(Plan *plan, Json *group)
{
        g_autofree char *name = playbook_member(group, "name");
        uint64_t id;

        if (is_account_name(name) && json_find_uint(group, "old_gid", &id) &&
            is_renamed_group(plan, id, "new_gid", "added"))
                plan_leave_out_named(plan, "group", name, "accounts", renamed_group);
        else if (is_account_name(name))
                task_ours(add_task(plan, TASKS_REMOVE, "Remove the group", name,
                                   "ansible.builtin.group"),
                          "state", "absent");
}

/* A field of the new side, if it is not what it was. NULL; g_free() it. */
static char *changed_field(Json *old, Json *new, const char *key)
{
        g_autofree char *was = old ? playbook_member(old, key) : NULL;
        g_autofree char *is = playbook_member(new, key);

        return is && (!was || strcmp(was, is) != 0) ? TAKE_PTR(is) : NULL;
}

static bool changed_number(Json *old, Json *new, const char *key, uint64_t *ret)
{
        uint64_t was;

        return json_find_uint(new, key, ret) &&
               !(old && json_find_uint(old, key, &was) && was == *ret);
}

/* Arguments of the user's own; false where nothing of them changed. */
static bool set_fields(Plan *plan, Task *task, const char *name, Json *old, Json *new)
{
        g_autofree char *comment = changed_field(old, new, "comment"),
                        *home = changed_field(old, new, "home"),
                        *shell = changed_field(old, new, "shell");
        uint64_t id;
        bool any = false;

        if (changed_number(old, new, "uid", &id)) {
                set_number(task, "uid", id);
                if (is_shared_uid(plan, id, name))
                        task_bool(task, "non_unique", true);
                any = true;
        }
        if (changed_number(old, new, "gid", &id)) {
                g_autofree char *group = plan_group(plan, (uint32_t) id);
                task_theirs(task, "group", group);
                any = true;
        }
        /* A new user has none. */
        if (comment && !*comment && !old) {
                g_clear_pointer(&comment, g_free);
        } else if (comment && yaml_writer_can_hold(comment, strlen(comment))) {
                task_theirs(task, "comment", comment);
                any = true;
        } else if (comment) {
                plan_leave_out_named(plan, "user", name, "comment", "its comment is not UTF-8");
        }
        const char *const keys[] = {"home", "shell"}, *const values[] = {home, shell};
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
                if (!values[i] || !*values[i])
                        continue;
                any = true;
                if (plan_can_say(values[i]))
                        task_theirs(task, keys[i], values[i]);
                else
                        plan_leave_out_named(plan, "user", name, "accounts",
                                             "its home or shell cannot be said exactly");
        }
        return any;
}

/* Supplementary groups at the newer point: "NAME:x:ID:member,member". */
static GPtrArray *groups_of(const Plan *plan, const char *user)
{
        GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
        g_auto(GStrv) lines = g_strsplit(plan->groups_text ? plan->groups_text : "", "\n", -1);

        for (char **line = lines; *line && names->len < GROUPS_OF_USER_MAX; line++) {
                g_auto(GStrv) fields = g_strsplit(*line, ":", 5);
                g_auto(GStrv) members = NULL;

                if (g_strv_length(fields) < 4 || !is_account_name(fields[0]))
                        continue;
                members = g_strsplit(fields[3], ",", -1);
                if (g_strv_contains((const char *const *) members, user))
                        g_ptr_array_add(names, g_strdup(fields[0]));
        }
        return names;
}

static size_t length(Json *object, const char *key)
{
        Json *array;

        return json_find_array(object, key, &array) ? json_object_array_length(array) : 0;
}

static void add_names(Json *object, const char *key, GPtrArray *names)
{
        Json *array;

        if (!json_find_array(object, key, &array))
                return;
        for (size_t i = 0; i < json_object_array_length(array); i++) {
                Json *item = json_object_array_get_idx(array, i);
                const char *name = json_object_is_type(item, json_type_string)
                                           ? json_object_get_string(item)
                                           : "";
                if (is_account_name(name) &&
                    !g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
                        g_ptr_array_add(names, g_strdup(name));
        }
}

/* Where a group was taken from it, all that are left are said; else what came is added. */
static bool set_groups(Plan *plan, Task *task, const char *name, Json *user)
{
        g_autoptr(GPtrArray) names = NULL;
        bool is_whole = length(user, "groups_removed") > 0;

        if (is_whole) {
                names = groups_of(plan, name);
        } else {
                names = g_ptr_array_new_with_free_func(g_free);
                add_names(user, "groups_added", names);
        }
        if (names->len == 0 && !is_whole)
                return false;
        for (unsigned i = 0; i < names->len; i++)
                task_list_theirs(task, "groups", names->pdata[i]);
        if (names->len == 0)
                task_ours(task, "groups", "");
        task_bool(task, "append", !is_whole);
        return true;
}

static void note_password(Plan *plan, Json *user, Json *new, const char *name)
{
        bool changed = false;

        (void) json_find_bool(user, "password_changed", &changed);
        if (changed || playbook_member_is(new, "password", "set"))
                plan_leave_out_named(plan, "user", name, "passwords", "passwords are not set");
        else if (playbook_member_is(new, "password", "empty"))
                plan_leave_out_named(plan, "user", name, "passwords",
                                     "an empty password is not set: the account is locked");
}

static void remove_user(Plan *plan, const char *name)
{
        Task *task = add_task(plan, TASKS_REMOVE, "Remove the user", name, "ansible.builtin.user");

        task_ours(task, "state", "absent");
}

static AccountMaker maker_of(const Plan *plan, Json *user, const char *name, Json *new)
{
        uint64_t uid = UINT64_MAX;

        (void) json_find_uint(new, "uid", &uid);
        if (is_made_by_other(plan, user, name, uid))
                return MAKER_PACKAGE;
        return playbook_member_is(user, "change", "added") && uid <= SYSTEM_ID_MAX &&
                               !user_has_days(new)
                       ? MAKER_USERADD_SYSTEM
                       : MAKER_USERADD;
}

/* The module takes it for an account that is there only. */
static void limit_system_user(Plan *plan, TaskFile file, const char *name, Json *new)
{
        g_autofree char *title = task_name("Limit the user", name, strlen(name));
        g_autoptr(Task) task = task_new(title, "ansible.builtin.user");

        task_theirs(task, "name", name);
        if (!plan_user_days(plan, task, name, NULL, new, MAKER_USERADD_SYSTEM))
                return;
        task_bool(task, "create_home", false);
        (void) plan_add(plan, file, TAKE_PTR(task));
}

static void take_user(Plan *plan, Json *user)
{
        g_autofree char *name = playbook_member(user, "name");
        bool added = playbook_member_is(user, "change", "added");
        Json *old = NULL, *new = NULL;
        g_autoptr(Task) task = NULL;
        uint64_t uid = UINT64_MAX, gid;

        if (!is_account_name(name)) {
                plan_leave_out_named(plan, "user", name ? name : "?", "accounts",
                                     "its name is not one that useradd takes");
                return;
        }
        (void) json_find_object(user, "old", &old);
        if (!json_find_object(user, "new", &new)) {
                remove_user(plan, name);
                return;
        }
        (void) json_find_uint(new, "uid", &uid);
        note_password(plan, user, new, name);
        g_autofree char *title =
                task_name(added ? "Make the user" : "Change the user", name, strlen(name));
        task = task_new(title, "ansible.builtin.user");
        task_theirs(task, "name", name);
        AccountMaker maker = maker_of(plan, user, name, new);
        bool any = maker != MAKER_PACKAGE && set_fields(plan, task, name, old, new);
        if (maker == MAKER_USERADD_SYSTEM)
                task_bool(task, "system", true);
        else
                any |= plan_user_days(plan, task, name, old, new, maker);
        bool has_groups = set_groups(plan, task, name, user);
        /* Groups that it is in may come from packages, or be made after them. */
        TaskFile file =
                added && !has_groups && json_find_uint(new, "gid", &gid) && gid <= SYSTEM_ID_MAX
                        ? file_of(plan, uid)
                        : TASKS_ACCOUNTS;
        /* What is in the home is said by tasks of its own. */
        task_bool(task, "create_home", false);
        if (any || has_groups)
                (void) plan_add(plan, file, TAKE_PTR(task));
        if (maker == MAKER_USERADD_SYSTEM)
                limit_system_user(plan, file, name, new);
}

/* A member that "users" does not tell of. */
static void take_members(Plan *plan, Json *group)
{
        g_autofree char *name = playbook_member(group, "name");
        g_autoptr(GPtrArray) members = g_ptr_array_new_with_free_func(g_free);

        if (!is_account_name(name))
                return;
        add_names(group, "members_added", members);
        for (unsigned i = 0; i < members->len; i++) {
                const char *member = members->pdata[i];
                bool is_told = false;

                for (size_t k = 0; k < json_object_array_length(plan->document->users); k++)
                        is_told |= playbook_member_is(
                                json_object_array_get_idx(plan->document->users, k), "name",
                                member);
                if (is_told)
                        continue;
                if (!g_hash_table_contains(plan->user_names, member)) {
                        plan_leave_out_named(plan, "group", name, "accounts",
                                             "a member of it is no user");
                        continue;
                }
                Task *task = add_task(plan, TASKS_ACCOUNTS, "Add to a group the user", member,
                                      "ansible.builtin.user");
                task_list_theirs(task, "groups", name);
                task_bool(task, "append", true);
                task_bool(task, "create_home", false);
        }
}

/* Notes of one new account of the system's whether a package makes it. */
static void note_maker(const Plan *plan, Json *element, const char *key, bool *by_package,
                       bool *by_others)
{
        g_autofree char *name = playbook_member(element, "name");
        Json *new = element;
        uint64_t id;

        (void) json_find_object(element, "new", &new);
        if (!name || !playbook_member_is(element, "change", "added") ||
            !json_find_uint(new, key, &id) || id > SYSTEM_ID_MAX)
                return;
        if (is_made_by_package(plan, name))
                *by_package = true;
        else
                *by_others = true;
}

static bool has_both_makers(const Plan *plan)
{
        Json *users = plan->document->users, *groups = plan->document->groups;
        bool by_package = false, by_others = false;

        for (size_t i = 0; i < json_object_array_length(groups); i++)
                note_maker(plan, json_object_array_get_idx(groups, i), "new_gid", &by_package,
                           &by_others);
        for (size_t i = 0; i < json_object_array_length(users); i++)
                note_maker(plan, json_object_array_get_idx(users, i), "uid", &by_package,
                           &by_others);
        return by_package && by_others;
}

void plan_accounts(Plan *plan)
{
        Json *users = plan->document->users, *groups = plan->document->groups;

        plan->pins_ids = has_both_makers(plan);
        plan_read_days(plan);
        for (size_t i = 0; i < json_object_array_length(groups); i++)
                take_group(plan, json_object_array_get_idx(groups, i));
        for (size_t i = 0; i < json_object_array_length(users); i++)
                take_user(plan, json_object_array_get_idx(users, i));
        for (size_t i = 0; i < json_object_array_length(groups); i++)
                take_members(plan, json_object_array_get_idx(groups, i));
        /* A group of a user's own goes with the user. */
        for (size_t i = 0; i < json_object_array_length(groups); i++) {
                Json *group = json_object_array_get_idx(groups, i);
                if (playbook_member_is(group, "change", "removed"))
                        remove_group(plan, group);
        }
}
