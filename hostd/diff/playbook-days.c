/* SPDX-License-Identifier: MIT */
#include "diff/playbook-days.h"

#include "base/cleanup.h"

#define DEFAULTS_SIZE_MAX (256u << 10)
#define EXPIRES_DAY_MAX   2932896 /* 9999-12-31, the last that strftime(3) writes so */
#define SECONDS_OF_DAY    (24 * 60 * 60)
#define DAYS_UNKNOWN      (-2)

static const char warn[] = "for how long it is warned of its password's age is not set",
                  inactive[] = "when it is locked for its password's age is not set",
                  must_change[] = "whether its password has to be changed at once is not said",
                  late[] = "it expires later than can be said";

static const char login_defs[] = "/etc/login.defs", useradd_defaults[] = "/etc/default/useradd";

/* The argument of ansible.builtin.user, or why there is none; and where useradd reads what it
 * gives. */
static const struct {
        const char *argument, *reason, *defaults, *variable;
} all_days[N_USER_DAYS] = {
        [DAYS_MIN] = {"password_expire_min", NULL, login_defs, "PASS_MIN_DAYS"},
        [DAYS_MAX] = {"password_expire_max", NULL, login_defs, "PASS_MAX_DAYS"},
        [DAYS_WARN] = {NULL, warn, login_defs, "PASS_WARN_AGE"},
        [DAYS_INACTIVE] = {NULL, inactive, useradd_defaults, "INACTIVE"},
        [DAYS_EXPIRES] = {"expires", NULL, NULL, NULL},
};

/* False where the document does not say. */
static bool find_days(Json *user, UserDays which, int64_t *ret)
{
        const char *key = user_days_to_string(which);
        uint64_t number;
        Json *value;

        if (!json_object_object_get_ex(user, key, &value))
                return false;
        if (value && (!json_find_uint(user, key, &number) || number > INT32_MAX))
                return false;
        *ret = value ? (int64_t) number : DAYS_NONE;
        return true;
}

/* "KEY value" or "KEY=value"; the last one counts. */
static int64_t parse_default(const char *text, const char *variable)
{
        Span rest = span_of(text), line, key, value;
        int64_t days = DAYS_NONE;
        uint64_t number;

        while (span_next_line(&rest, &line)) {
                g_autofree char *copy = span_dup(line);
                Span words = span_of(g_strdelimit(copy, "=\"", ' '));

                if (!span_next_word(&words, &key) || !span_is(key, variable))
                        continue;
                days = span_next_word(&words, &value) && span_to_uint(value, INT32_MAX, &number)
                               ? (int64_t) number
                               : DAYS_NONE;
        }
        return days;
}

static void read_defaults(const Plan *plan, bool of_new, const char *path, int64_t *days)
{
        g_autofree char *text = NULL;
        size_t size;

        if (plan->source->read(plan->source->data, of_new, path, DEFAULTS_SIZE_MAX, &text, &size,
                               NULL) < 0)
                return;
        for (int i = 0; i < N_USER_DAYS; i++)
                if (all_days[i].defaults == path)
                        days[i] = parse_default(text, all_days[i].variable);
}

void plan_read_days(Plan *plan)
{
        int64_t days[2][N_USER_DAYS]; /* of the older point, of the newer one */

        for (int side = 0; side < 2; side++) {
                for (int i = 0; i < N_USER_DAYS; i++)
                        days[side][i] = DAYS_NONE;
                read_defaults(plan, side, login_defs, days[side]);
                read_defaults(plan, side, useradd_defaults, days[side]);
        }
        /* Which of them it is when the user is made depends on the order of tasks. */
        for (int i = 0; i < N_USER_DAYS; i++)
                plan->default_days[i] = days[0][i] == days[1][i] ? days[1][i] : DAYS_UNKNOWN;
}

static bool needs_days(const Plan *plan, UserDays which, Json *old, AccountMaker maker,
                       int64_t days)
{
        int64_t was;

        if (old)
                return find_days(old, which, &was) && was != days;
        switch (maker) {
        case MAKER_USERADD:
                return days != plan->default_days[which];
        case MAKER_USERADD_SYSTEM:
                return days != DAYS_NONE;
        case MAKER_PACKAGE:
                return days != DAYS_NONE && days != plan->default_days[which];
        }
        g_assert_not_reached();
}

static bool has_to_change(Json *user)
{
        bool value = false;

        (void) json_find_bool(user, "password_must_change", &value);
        return value;
}

static void set_days(Task *task, UserDays which, int64_t days)
{
        int64_t factor = which == DAYS_EXPIRES && days != DAYS_NONE ? SECONDS_OF_DAY : 1;
        g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, days * factor);

        task_plain(task, all_days[which].argument, text);
}

bool plan_user_days(Plan *plan, Task *task, const char *name, Json *old, Json *new,
                    AccountMaker maker)
{
        bool any = false;

        if (has_to_change(new) != (old && has_to_change(old)))
                plan_leave_out_named(plan, "user", name, "password-days", must_change);
        for (int i = 0; i < N_USER_DAYS; i++) {
                const char *reason = all_days[i].reason;
                int64_t days;

                if (!find_days(new, i, &days) || !needs_days(plan, i, old, maker, days))
                        continue;
                if (i == DAYS_EXPIRES && days > EXPIRES_DAY_MAX)
                        reason = late;
                if (reason) {
                        plan_leave_out_named(plan, "user", name, "password-days", reason);
                        continue;
                }
                set_days(task, i, days);
                any = true;
        }
        return any;
}

bool user_has_days(Json *user)
{
        int64_t days;

        return find_days(user, DAYS_MAX, &days) && days != DAYS_NONE;
}
