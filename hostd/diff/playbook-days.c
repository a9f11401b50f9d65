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

/* The argument of ansible.builtin.user, or why there is none; and where useradd reads what it
 * gives. */
static const struct {
        const char *argument, *reason, *defaults, *variable;
} all_days[N_USER_DAYS] = {
        [DAYS_MIN] = {"password_expire_min", NULL, "/etc/login.defs", "PASS_MIN_DAYS"},
        [DAYS_MAX] = {"password_expire_max", NULL, "/etc/login.defs", "PASS_MAX_DAYS"},
        [DAYS_WARN] = {NULL, warn, "/etc/login.defs", "PASS_WARN_AGE"},
        [DAYS_INACTIVE] = {NULL, inactive, "/etc/default/useradd", "INACTIVE"},
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

static int64_t read_default(const Plan *plan, bool of_new, UserDays which)
{
        g_autofree char *text = NULL;
        Fault ignored = {0};
        size_t size;

        if (!all_days[which].defaults)
                return DAYS_NONE;
        int r = plan->source->read(plan->source->data, of_new, all_days[which].defaults,
                                   DEFAULTS_SIZE_MAX, &text, &size, &ignored);
        fault_clear(&ignored);
        return r < 0 ? DAYS_NONE : parse_default(text, all_days[which].variable);
}

void plan_read_days(Plan *plan)
{
        for (int i = 0; i < N_USER_DAYS; i++) {
                int64_t old = read_default(plan, false, i), new = read_default(plan, true, i);
                /* Which of them it is when the user is made depends on the order of tasks. */
                plan->default_days[i] = old == new ? new : DAYS_UNKNOWN;
        }
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
