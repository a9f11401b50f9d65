/* SPDX-License-Identifier: MIT */
#include "diff/meaning-parts.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "diff/accounts.h"

#include <string.h>

#define DATABASE_SIZE_MAX (8 << 20)

typedef struct Accounts {
        Meaning *m;
        GHashTable *users[2], *groups[2];
        GHashTable *memberships[2]; /* user → groups that are new, or gone */
        GPtrArray *none;
} Accounts;

/* The keys of both, each once, sorted. */
static GPtrArray *all_names(GHashTable *const tables[2])
{
        GPtrArray *names = g_ptr_array_new();
        GHashTableIter iter;
        void *name;

        for (int side = SIDE_OLD; side <= SIDE_NEW; side++) {
                g_hash_table_iter_init(&iter, tables[side]);
                while (g_hash_table_iter_next(&iter, &name, NULL))
                        if (side == SIDE_OLD || !g_hash_table_contains(tables[SIDE_OLD], name))
                                g_ptr_array_add(names, name);
        }
        g_ptr_array_sort(names, compare_strings);
        return names;
}

static void write_names(GString *out, const char *key, const GPtrArray *names)
{
        json_text_key(out, key);
        g_string_append_c(out, '[');
        for (unsigned i = 0; i < names->len; i++) {
                json_text_comma(out);
                json_text_printable(out, names->pdata[i], strlen(names->pdata[i]));
        }
        g_string_append_c(out, ']');
}

/* -- groups ----------------------------------------------------------------------------------- */

/* Members of `a` that are not in `b`. Borrowed. */
static GPtrArray *members_without(const Group *a, const Group *b)
{
        GPtrArray *names = g_ptr_array_new();

        for (unsigned i = 0; a && i < a->members->len; i++)
                if (!group_has_member(b, a->members->pdata[i]))
                        g_ptr_array_add(names, a->members->pdata[i]);
        return names;
}

static void write_group(Meaning *m, const char *name, const Group *old, const Group *new)
{
        g_autoptr(GPtrArray) added = members_without(new, old), removed = members_without(old, new);
        GString *out;

        if (old && new && old->gid == new->gid && added->len == 0 && removed->len == 0)
                return;
        out = section_open(m, SECTION_GROUPS);
        if (!out)
                return;
        json_text_member(out, "name", name);
        json_text_member(out, "change", !old ? "added" : !new ? "removed" : "changed");
        if (old)
                json_text_member_uint(out, "old_gid", old->gid);
        else
                json_text_member(out, "old_gid", NULL);
        if (new)
                json_text_member_uint(out, "new_gid", new->gid);
        else
                json_text_member(out, "new_gid", NULL);
        write_names(out, "members_added", added);
        write_names(out, "members_removed", removed);
        section_close(m, SECTION_GROUPS);
}

/* -- users ------------------------------------------------------------------------------------ */

static void unref_array(void *data)
{
        g_ptr_array_unref(data);
}

/* User → groups that name it on this side only, sorted. All is borrowed. */
static GHashTable *memberships(const Accounts *a, int side)
{
        GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, unref_array);
        int other = side == SIDE_NEW ? SIDE_OLD : SIDE_NEW;
        g_autoptr(GPtrArray) names = all_names(a->groups);

        for (unsigned i = 0; i < names->len; i++) {
                const Group *group = g_hash_table_lookup(a->groups[side], names->pdata[i]);
                const Group *was = g_hash_table_lookup(a->groups[other], names->pdata[i]);
                g_autoptr(GPtrArray) members = members_without(group, was);

                for (unsigned j = 0; j < members->len; j++) {
                        GPtrArray *list = g_hash_table_lookup(table, members->pdata[j]);

                        if (!list) {
                                list = g_ptr_array_new();
                                g_hash_table_insert(table, members->pdata[j], list);
                        }
                        g_ptr_array_add(list, group->name);
                }
        }
        return table;
}

static const GPtrArray *groups_of(const Accounts *a, int side, const char *name)
{
        const GPtrArray *groups = g_hash_table_lookup(a->memberships[side], name);

        return groups ? groups : a->none;
}

static void write_days(GString *out, const char *key, int64_t days)
{
        if (days == DAYS_NONE)
                json_text_member(out, key, NULL);
        else
                json_text_member_uint(out, key, (uint64_t) days);
}

static void write_user_side(GString *out, const char *key, const User *user)
{
        json_text_key(out, key);
        if (!user) {
                g_string_append(out, "null");
                return;
        }
        g_string_append_c(out, '{');
        json_text_member_uint(out, "uid", user->uid);
        json_text_member_uint(out, "gid", user->gid);
        json_text_member(out, "comment", user->comment);
        json_text_member(out, "home", user->home);
        json_text_member(out, "shell", user->shell);
        json_text_member(out, "password", password_state_to_string(user->password_state));
        for (int i = 0; i < N_USER_DAYS; i++)
                write_days(out, user_days_to_string(i), user->days[i]);
        json_text_member_bool(out, "password_must_change", user->must_change);
        g_string_append_c(out, '}');
}

static bool is_same_days(const User *a, const User *b)
{
        return memcmp(a->days, b->days, sizeof(a->days)) == 0 && a->must_change == b->must_change;
}

static bool is_same_user(const User *a, const User *b)
{
        return a->uid == b->uid && a->gid == b->gid && strcmp(a->comment, b->comment) == 0 &&
               strcmp(a->home, b->home) == 0 && strcmp(a->shell, b->shell) == 0 &&
               a->password_state == b->password_state && !password_is_other(a, b) &&
               is_same_days(a, b);
}

static char *join(const GPtrArray *names)
{
        GString *out = g_string_new(NULL);

        for (unsigned i = 0; i < names->len && i < 6; i++)
                g_string_append_printf(out, "%s%s", i > 0 ? ", " : "",
                                       (const char *) names->pdata[i]);
        if (names->len > 6)
                g_string_append_printf(out, " and %u more", names->len - 6);
        return g_string_free(out, FALSE);
}

static void say_password(Meaning *m, const User *old, const User *new)
{
        if (old->password_state == new->password_state) {
                if (password_is_other(old, new))
                        meaning_say(m, "the password of user %s was changed", new->name);
                return;
        }
        switch (new->password_state) {
        case PASSWORD_NONE:
                meaning_say(m, "the password of user %s was removed: none is accepted", new->name);
                break;
        case PASSWORD_EMPTY:
                meaning_say(m, "user %s has an empty password", new->name);
                break;
        case PASSWORD_LOCKED:
                meaning_say(m, "the password of user %s was locked", new->name);
                break;
        case PASSWORD_SET:
                meaning_say(m, "a password was set for user %s", new->name);
                break;
        }
}

static void say_fields(Meaning *m, const User *old, const User *new)
{
        if (old->uid != new->uid)
                meaning_say(m,
                            "user %s has uid %" G_GUINT64_FORMAT " instead of %" G_GUINT64_FORMAT,
                            new->name, new->uid, old->uid);
        if (old->gid != new->gid)
                meaning_say(m,
                            "user %s has gid %" G_GUINT64_FORMAT " instead of %" G_GUINT64_FORMAT,
                            new->name, new->gid, old->gid);
        if (strcmp(old->shell, new->shell) != 0)
                meaning_say(m, "the shell of user %s is %s instead of %s", new->name, new->shell,
                            old->shell);
        if (strcmp(old->home, new->home) != 0)
                meaning_say(m, "the home of user %s is %s instead of %s", new->name, new->home,
                            old->home);
        if (strcmp(old->comment, new->comment) != 0)
                meaning_say(m, "the comment of user %s was changed", new->name);
}

static void say_days(Meaning *m, const User *old, const User *new)
{
        int64_t day = new->days[DAYS_EXPIRES];
        g_autofree char *date = day == DAYS_NONE ? NULL : day_format((uint64_t) day);

        if (old->days[DAYS_EXPIRES] != day && date)
                meaning_say(m, "user %s expires on %s", new->name, date);
        else if (old->days[DAYS_EXPIRES] != day)
                meaning_say(m, "user %s no longer expires", new->name);
        if (memcmp(old->days, new->days, DAYS_EXPIRES * sizeof(*old->days)) != 0)
                meaning_say(m, "how long a password of user %s is good was changed", new->name);
        if (new->must_change && !old->must_change)
                meaning_say(m, "user %s has to change the password at the next login", new->name);
}

static void say_added(Meaning *m, const User *user, const GPtrArray *groups)
{
        g_autofree char *in = join(groups);
        const char *password = "";

        if (user->password_state == PASSWORD_SET)
                password = ", with a password";
        else if (user->password_state == PASSWORD_EMPTY)
                password = ", with an empty password";
        meaning_say(m, "user %s (uid %" G_GUINT64_FORMAT ") was added%s%s%s", user->name, user->uid,
                    groups->len > 0 ? ", member of " : "", in, password);
}

static void say_changed(Meaning *m, const User *old, const User *new, const GPtrArray *added,
                        const GPtrArray *removed)
{
        g_autofree char *in = join(added), *out_of = join(removed);

        say_fields(m, old, new);
        say_password(m, old, new);
        say_days(m, old, new);
        if (added->len > 0)
                meaning_say(m, "user %s is now a member of %s", new->name, in);
        if (removed->len > 0)
                meaning_say(m, "user %s is no longer a member of %s", new->name, out_of);
}

static void find_user(Meaning *m, const User *old, const User *new)
{
        g_autofree char *text = NULL;

        if (new->uid == 0 && strcmp(new->name, "root") != 0 && (!old || old->uid != 0)) {
                text = g_strdup_printf("user %s has uid 0: it is root", new->name);
                meaning_find(m, &(Finding){.kind = "root-account",
                                           .severity = SEVERITY_WARNING,
                                           .path = span_of("/etc/passwd"),
                                           .change = -1,
                                           .text = text});
        }
        if (new->password_state == PASSWORD_EMPTY &&
            (!old || old->password_state != PASSWORD_EMPTY)) {
                g_free(text);
                text = g_strdup_printf("user %s has an empty password", new->name);
                meaning_find(m, &(Finding){.kind = "empty-password",
                                           .severity = SEVERITY_WARNING,
                                           .path = span_of("/etc/shadow"),
                                           .change = -1,
                                           .text = text});
        }
}

static void write_user(Accounts *a, const char *name, const User *old, const User *new)
{
        const GPtrArray *added = groups_of(a, SIDE_NEW, name);
        const GPtrArray *removed = groups_of(a, SIDE_OLD, name);
        Meaning *m = a->m;

        if (old && new &&is_same_user(old, new) && added->len == 0 && removed->len == 0)
                return;
        if (!old && new)
                say_added(m, new, added);
        else if (old && !new)
                meaning_say(m, "user %s (uid %" G_GUINT64_FORMAT ") was removed", name, old->uid);
        else if (old && new)
                say_changed(m, old, new, added, removed);
        if (new)
                find_user(m, old, new);
        GString *out = section_open(m, SECTION_USERS);
        if (!out)
                return;
        json_text_member(out, "name", name);
        json_text_member(out, "change", !old ? "added" : !new ? "removed" : "changed");
        write_user_side(out, "old", old);
        write_user_side(out, "new", new);
        json_text_member_bool(out, "password_changed", old && new &&password_is_other(old, new));
        write_names(out, "groups_added", added);
        write_names(out, "groups_removed", removed);
        section_close(m, SECTION_USERS);
}

/* Groups that are named for a user that came or went with them go without saying. */
static void say_groups(Accounts *a, const GPtrArray *names)
{
        for (unsigned i = 0; i < names->len; i++) {
                const char *name = names->pdata[i];
                const Group *old = g_hash_table_lookup(a->groups[SIDE_OLD], name);
                const Group *new = g_hash_table_lookup(a->groups[SIDE_NEW], name);
                bool had = g_hash_table_contains(a->users[SIDE_OLD], name);
                bool has = g_hash_table_contains(a->users[SIDE_NEW], name);

                if (!old && !(has && !had))
                        meaning_say(a->m, "group %s (gid %" G_GUINT64_FORMAT ") was added", name,
                                    new->gid);
                else if (!new && !(had && !has))
                        meaning_say(a->m, "group %s was removed", name);
        }
}

static void compare_accounts(Accounts *a)
{
        g_autoptr(GPtrArray) users = all_names(a->users), groups = all_names(a->groups);

        for (unsigned i = 0; i < users->len; i++)
                write_user(a, users->pdata[i],
                           g_hash_table_lookup(a->users[SIDE_OLD], users->pdata[i]),
                           g_hash_table_lookup(a->users[SIDE_NEW], users->pdata[i]));
        for (unsigned i = 0; i < groups->len; i++)
                write_group(a->m, groups->pdata[i],
                            g_hash_table_lookup(a->groups[SIDE_OLD], groups->pdata[i]),
                            g_hash_table_lookup(a->groups[SIDE_NEW], groups->pdata[i]));
        say_groups(a, groups);
}

static void load(Accounts *a, int side)
{
        g_autofree char *passwd_bytes = NULL, *shadow_bytes = NULL, *group_bytes = NULL;
        Span passwd, shadow, group;

        (void) meaning_read(a->m, side, "/etc/passwd", DATABASE_SIZE_MAX, &passwd_bytes, &passwd);
        (void) meaning_read(a->m, side, "/etc/shadow", DATABASE_SIZE_MAX, &shadow_bytes, &shadow);
        (void) meaning_read(a->m, side, "/etc/group", DATABASE_SIZE_MAX, &group_bytes, &group);
        a->users[side] = users_parse(passwd, shadow);
        a->groups[side] = groups_parse(group);
}

void meaning_accounts(Meaning *m)
{
        static const char *const files[] = {"/etc/passwd",  "/etc/shadow", "/etc/group",
                                            "/etc/gshadow", "/etc/subuid", "/etc/subgid"};
        Accounts a = {.m = m};
        unsigned n_unreadable = m->n_unreadable;

        if (!meaning_changed(m, files[0]) && !meaning_changed(m, files[1]) &&
            !meaning_changed(m, files[2]))
                return;
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
                meaning_tell_path(m, files[i]);
        load(&a, SIDE_OLD);
        load(&a, SIDE_NEW);
        a.none = g_ptr_array_new();
        a.memberships[SIDE_OLD] = memberships(&a, SIDE_OLD);
        a.memberships[SIDE_NEW] = memberships(&a, SIDE_NEW);
        if (m->n_unreadable == n_unreadable)
                compare_accounts(&a);
        for (unsigned i = 0; i < 2; i++) {
                g_hash_table_unref(a.memberships[i]);
                g_hash_table_unref(a.users[i]);
                g_hash_table_unref(a.groups[i]);
        }
        g_ptr_array_unref(a.none);
}
