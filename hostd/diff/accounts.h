/* SPDX-License-Identifier: MIT */
#pragma once

/* Users and groups, from /etc/passwd, shadow and group (passwd(5), shadow(5), group(5)). Pure;
 * lines that are none are passed over, of entries with one name the first counts. */

#include "diff/span.h"

#define ACCOUNTS_MAX 65536

/* What can be said of a password without showing it. */
typedef enum PasswordState {
        PASSWORD_NONE, /* none can be right */
        PASSWORD_EMPTY,
        PASSWORD_LOCKED, /* one is set, and put out of use */
        PASSWORD_SET,
} PasswordState;

/* How long the account and its password are good, in days (shadow(5)). */
typedef enum UserDays {
        DAYS_MIN, /* of a password, before it may be changed */
        DAYS_MAX, /* until it has to be changed */
        DAYS_WARN,
        DAYS_INACTIVE,
        DAYS_EXPIRES, /* of the account, since 1970 */
        N_USER_DAYS,
} UserDays;

#define DAYS_NONE (-1)

typedef struct User {
        char *name, *comment, *home, *shell;
        uint64_t uid, gid;
        char *password; /* never shown; from shadow where passwd refers to it */
        PasswordState password_state;
        int64_t days[N_USER_DAYS]; /* or DAYS_NONE */
        bool must_change;          /* the password, at the next login */
} User;

typedef struct Group {
        char *name;
        uint64_t gid;
        GPtrArray *members; /* names, sorted, each once */
} Group;

/* Name → User. `shadow` may be empty. */
GHashTable *users_parse(Span passwd, Span shadow);

/* Name → Group. */
GHashTable *groups_parse(Span text);

const char *password_state_to_string(PasswordState state);

/* As the diff document calls them. */
const char *user_days_to_string(UserDays days);

/* "!" and "*" alone are no password, "!" before a hash locks it. */
PasswordState password_state_of(Span field);

/* Whether it is another password, locked or not. */
bool password_is_other(const User *a, const User *b);

bool group_has_member(const Group *group, const char *name);
