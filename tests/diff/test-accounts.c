/* SPDX-License-Identifier: MIT */
#include "diff/accounts.h"
#include "tests/tap.h"

static void test_users(void)
{
        static const struct {
                const char *passwd, *shadow, *name;
                uint64_t uid;
                PasswordState state;
        } good[] = {
                {"root:x:0:0:root:/root:/bin/bash\n", "root:*:1::::::\n", "root", 0, PASSWORD_NONE},
                {"a:x:1:1:::\n", "a:$y$x:1:\n", "a", 1, PASSWORD_SET},
                {"a:x:1:1:::\n", "a:!$y$x:1:\n", "a", 1, PASSWORD_LOCKED},
                {"a:x:1:1:::\n", "a:!!$y$x:1:\n", "a", 1, PASSWORD_LOCKED},
                {"a:x:1:1:::\n", "a:!:1:\n", "a", 1, PASSWORD_NONE},
                {"a:x:1:1:::\n", "a:!!:1:\n", "a", 1, PASSWORD_NONE},
                {"a:x:1:1:::\n", "a:!*:1:\n", "a", 1, PASSWORD_NONE},
                {"a:x:1:1:::\n", "a::1:\n", "a", 1, PASSWORD_EMPTY},
                {"a:x:1:1:::\n", "", "a", 1, PASSWORD_NONE},
                {"a::1:1:::\n", "a:$y$x:1:\n", "a", 1, PASSWORD_EMPTY},
                {"a:$1$h:1:1:::\n", "", "a", 1, PASSWORD_SET},
                {"a:x:1:1:::\na:x:0:0:::\n", "", "a", 1, PASSWORD_NONE},
                {"bad\na:x:1:1:::\n", "a:*:\na:$y$x:\n", "a", 1, PASSWORD_NONE},
                {"a:x:4294967295:1:::", "", "a", 4294967295, PASSWORD_NONE},
                {"a:x:1:1:Full Name,,,:/home/a:/bin/sh\n", "", "a", 1, PASSWORD_NONE},
        };
        static const char *const bad[] = {"",
                                          "a\n",
                                          "a:x:1:1::\n",
                                          "a:x:1:1::::\n",
                                          "a:x:-1:1:::\n",
                                          "a:x:4294967296:1:::\n",
                                          "a:x:x:1:::\n",
                                          ":x:1:1:::\n",
                                          "+a:x:1:1:::\n",
                                          "-a:x:1:1:::\n",
                                          "#a:x:1:1:::\n",
                                          "a:x::1:::\n"};

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                g_autoptr(GHashTable) users =
                        users_parse(span_of(good[i].passwd), span_of(good[i].shadow));
                const User *user = g_hash_table_lookup(users, good[i].name);

                tap_ok(user && g_hash_table_size(users) == 1, "user %zu is read", i);
                tap_is_int((int64_t) user->uid, (int64_t) good[i].uid, "with the uid");
                tap_is_str(password_state_to_string(user->password_state),
                           password_state_to_string(good[i].state), "and the password's state");
        }
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autoptr(GHashTable) users = users_parse(span_of(bad[i]), span_of(""));

                tap_is_int(g_hash_table_size(users), 0, "line %zu is no user", i);
        }
}

static void test_days(void)
{
        static const struct {
                const char *shadow;
                int64_t days[N_USER_DAYS];
        } cases[] = {
                {"a:!:19000:0:99999:7:::", {0, 99999, 7, -1, -1}},
                {"a:!:19000:1:2:3:4:5:", {1, 2, 3, 4, 5}},
                {"a:!:19000::::::", {-1, -1, -1, -1, -1}},
                {"a:!:19000:-1:x: 7:2147483647:2147483648:", {-1, -1, -1, INT32_MAX, -1}},
                {"a:!:19000:0:99999:7", {-1, -1, -1, -1, -1}},
                {"a:!:19000:0:99999:7:::\na:!:19000:1:1:1:::", {0, 99999, 7, -1, -1}},
                {"", {-1, -1, -1, -1, -1}},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GHashTable) users =
                        users_parse(span_of("a:x:1:1:::\n"), span_of(cases[i].shadow));
                const User *user = g_hash_table_lookup(users, "a");

                for (int k = 0; k < N_USER_DAYS; k++)
                        tap_is_int(user->days[k], cases[i].days[k], "%s of line %zu",
                                   user_days_to_string(k), i);
        }
        g_autoptr(GHashTable) users =
                users_parse(span_of("a:x:1:1:::\nb:x:2:2:::\nc:x:3:3:::\n"),
                            span_of("a:!:0::::::\nb:!:1::::::\nc:!:::::::\n"));
        tap_ok(((const User *) g_hash_table_lookup(users, "a"))->must_change,
               "who has to change the password at once is told");
        tap_ok(!((const User *) g_hash_table_lookup(users, "b"))->must_change &&
                       !((const User *) g_hash_table_lookup(users, "c"))->must_change,
               "and nobody else");
}

static void test_passwords(void)
{
        static const struct {
                const char *old, *new;
                bool other;
        } cases[] = {
                {"$y$a", "$y$a", false}, {"$y$a", "$y$b", true},   {"$y$a", "!$y$a", false},
                {"$y$a", "!$y$b", true}, {"*", "$y$a", false},     {"$y$a", "*", false},
                {"", "$y$a", false},     {"!$y$a", "!$y$b", true},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                User a = {.password = (char *) cases[i].old,
                          .password_state = password_state_of(span_of(cases[i].old))};
                User b = {.password = (char *) cases[i].new,
                          .password_state = password_state_of(span_of(cases[i].new))};

                tap_ok(password_is_other(&a, &b) == cases[i].other, "passwords '%s' and '%s'",
                       cases[i].old, cases[i].new);
        }
}

static void test_groups(void)
{
        g_autoptr(GHashTable) groups = groups_parse(
                span_of("root:x:0:\nsudo:x:27:b,a,b, c ,,\nsudo:x:28:z\nbad:x:1\n+:::\nx:x:y:\n"));
        const Group *sudo = g_hash_table_lookup(groups, "sudo");

        tap_is_int(g_hash_table_size(groups), 2, "two groups are read, and what is none is not");
        tap_ok(sudo && sudo->gid == 27, "the first of a name counts");
        tap_is_int(sudo->members->len, 3, "members are there once");
        tap_ok(group_has_member(sudo, "a") && group_has_member(sudo, "b") &&
                       group_has_member(sudo, "c") && !group_has_member(sudo, "z"),
               "and can be asked for");
        tap_ok(!group_has_member(NULL, "a"), "no group has no members");
}

int main(void)
{
        test_users();
        test_days();
        test_passwords();
        test_groups();
        return tap_done();
}
