/* SPDX-License-Identifier: MIT */
#include "diff/accounts.h"

#include "base/cleanup.h"

#include <string.h>

#define FIELD_SIZE_MAX 1024
#define MEMBERS_MAX    10000
#define SHADOW_FIELDS  9
#define CHANGED_AT     2
#define DAYS_AT        3 /* of these, the first of UserDays */

static void free_user(void *data)
{
        User *user = data;

        g_free(user->name);
        g_free(user->comment);
        g_free(user->home);
        g_free(user->shell);
        g_free(user->password);
        g_free(user);
}

static void free_group(void *data)
{
        Group *group = data;

        g_free(group->name);
        g_ptr_array_unref(group->members);
        g_free(group);
}

/* Exactly `n` fields with ':' between; `at_least`: more are allowed. */
static bool split(Span line, Span *fields, unsigned n, bool at_least)
{
        Span rest = line;

        for (unsigned i = 0; i < n; i++)
                if (!span_next_part(&rest, ':', &fields[i]) || fields[i].size > FIELD_SIZE_MAX * 64)
                        return false;
        return at_least || !rest.bytes;
}

static bool is_name(Span name)
{
        return name.size > 0 && name.size <= 256 && !strchr("+-#", name.bytes[0]) &&
               !span_has(name, '\0');
}

const char *password_state_to_string(PasswordState state)
{
        switch (state) {
        case PASSWORD_NONE:
                return "none";
        case PASSWORD_EMPTY:
                return "empty";
        case PASSWORD_LOCKED:
                return "locked";
        case PASSWORD_SET:
                return "set";
        }
        g_assert_not_reached();
}

const char *user_days_to_string(UserDays days)
{
        switch (days) {
        case DAYS_MIN:
                return "password_days_min";
        case DAYS_MAX:
                return "password_days_max";
        case DAYS_WARN:
                return "password_days_warn";
        case DAYS_INACTIVE:
                return "password_days_inactive";
        case DAYS_EXPIRES:
                return "expires_day";
        case N_USER_DAYS:
                break;
        }
        g_assert_not_reached();
}

static Span without_locks(Span field)
{
        while (field.size > 0 && field.bytes[0] == '!')
                field = span_skip(field, 1);
        return field;
}

PasswordState password_state_of(Span field)
{
        Span hash = without_locks(field);

        if (field.size == 0)
                return PASSWORD_EMPTY;
        if (hash.size == 0 || span_starts_with(hash, "*") || span_is(hash, "x"))
                return PASSWORD_NONE;
        return hash.size < field.size ? PASSWORD_LOCKED : PASSWORD_SET;
}

bool password_is_other(const User *a, const User *b)
{
        Span x = without_locks(span_of(a->password)), y = without_locks(span_of(b->password));

        return a->password_state >= PASSWORD_LOCKED && b->password_state >= PASSWORD_LOCKED &&
               !span_equal(x, y);
}

static User *parse_user(Span line)
{
        Span fields[7];
        uint64_t uid, gid;

        if (!split(line, fields, 7, false) || !is_name(fields[0]) ||
            !span_to_uint(fields[2], UINT32_MAX, &uid) ||
            !span_to_uint(fields[3], UINT32_MAX, &gid))
                return NULL;
        for (unsigned i = 0; i < 7; i++)
                if (fields[i].size > FIELD_SIZE_MAX)
                        return NULL;
        User *user = g_new0(User, 1);
        user->name = span_dup(fields[0]);
        user->password = span_dup(fields[1]);
        user->uid = uid;
        user->gid = gid;
        user->comment = span_dup(fields[4]);
        user->home = span_dup(fields[5]);
        user->shell = span_dup(fields[6]);
        user->password_state = password_state_of(fields[1]);
        for (int i = 0; i < N_USER_DAYS; i++)
                user->days[i] = DAYS_NONE;
        return user;
}

static void set_days(User *user, Span line)
{
        Span fields[SHADOW_FIELDS];
        uint64_t days;

        if (!split(line, fields, SHADOW_FIELDS, false))
                return;
        user->must_change = span_is(fields[CHANGED_AT], "0");
        for (int i = 0; i < N_USER_DAYS; i++)
                if (span_to_uint(fields[DAYS_AT + i], INT32_MAX, &days))
                        user->days[i] = (int64_t) days;
}

static void add_shadow(GHashTable *users, Span shadow)
{
        g_autoptr(GHashTable) seen = g_hash_table_new(g_direct_hash, g_direct_equal);
        Span line, fields[2];

        while (span_next_line(&shadow, &line)) {
                if (!split(line, fields, 2, true) || !is_name(fields[0]) ||
                    fields[1].size > FIELD_SIZE_MAX)
                        continue;
                g_autofree char *name = span_dup(fields[0]);
                User *user = g_hash_table_lookup(users, name);
                if (!user || strcmp(user->password, "x") != 0 || !g_hash_table_add(seen, user))
                        continue;
                g_free(user->password);
                user->password = span_dup(fields[1]);
                user->password_state = password_state_of(fields[1]);
                set_days(user, line);
        }
}

GHashTable *users_parse(Span passwd, Span shadow)
{
        GHashTable *users = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_user);
        Span line;

        while (g_hash_table_size(users) < ACCOUNTS_MAX && span_next_line(&passwd, &line)) {
                User *user = parse_user(line);

                if (user && !g_hash_table_contains(users, user->name))
                        g_hash_table_insert(users, user->name, user);
                else if (user)
                        free_user(user);
        }
        add_shadow(users, shadow);
        return users;
}

static GPtrArray *parse_members(Span text)
{
        GPtrArray *members = g_ptr_array_new_with_free_func(g_free);
        Span name;

        while (members->len < MEMBERS_MAX && span_next_part(&text, ',', &name))
                if (is_name(span_trim(name)))
                        g_ptr_array_add(members, span_dup(span_trim(name)));
        g_ptr_array_sort(members, compare_strings);
        for (unsigned i = members->len; i > 1; i--)
                if (strcmp(members->pdata[i - 1], members->pdata[i - 2]) == 0)
                        g_ptr_array_remove_index(members, i - 1);
        return members;
}

GHashTable *groups_parse(Span text)
{
        GHashTable *groups = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_group);
        Span line, fields[4];
        uint64_t gid;

        while (g_hash_table_size(groups) < ACCOUNTS_MAX && span_next_line(&text, &line)) {
                if (!split(line, fields, 4, false) || !is_name(fields[0]) ||
                    !span_to_uint(fields[2], UINT32_MAX, &gid))
                        continue;
                Group *group = g_new0(Group, 1);
                group->name = span_dup(fields[0]);
                group->gid = gid;
                group->members = parse_members(fields[3]);
                if (g_hash_table_contains(groups, group->name))
                        free_group(group);
                else
                        g_hash_table_insert(groups, group->name, group);
        }
        return groups;
}

bool group_has_member(const Group *group, const char *name)
{
        unsigned low = 0, high = group ? group->members->len : 0;

        while (low < high) {
                unsigned middle = low + (high - low) / 2;
                int order = strcmp(group->members->pdata[middle], name);

                if (order == 0)
                        return true;
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return false;
}
