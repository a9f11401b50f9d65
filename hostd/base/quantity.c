/* SPDX-License-Identifier: MIT */
#include "base/quantity.h"

#include <glib.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define LAST_DAY 2932896 /* 9999-12-31: what dates end at */

typedef struct Unit {
        const char *name;
        uint64_t factor;
} Unit;

/* The first of a factor is the one that is written. */
static const Unit duration_units[] = {
        {"w", 604800 * USEC_PER_SEC},
        {"weeks", 604800 * USEC_PER_SEC},
        {"week", 604800 * USEC_PER_SEC},
        {"d", 86400 * USEC_PER_SEC},
        {"days", 86400 * USEC_PER_SEC},
        {"day", 86400 * USEC_PER_SEC},
        {"h", 3600 * USEC_PER_SEC},
        {"hours", 3600 * USEC_PER_SEC},
        {"hour", 3600 * USEC_PER_SEC},
        {"hr", 3600 * USEC_PER_SEC},
        {"min", 60 * USEC_PER_SEC},
        {"minutes", 60 * USEC_PER_SEC},
        {"minute", 60 * USEC_PER_SEC},
        {"m", 60 * USEC_PER_SEC},
        {"s", USEC_PER_SEC},
        {"seconds", USEC_PER_SEC},
        {"second", USEC_PER_SEC},
        {"sec", USEC_PER_SEC},
        {"", USEC_PER_SEC},
        {"ms", USEC_PER_MSEC},
        {"msec", USEC_PER_MSEC},
        {"us", 1},
        {"usec", 1},
};

static const Unit size_units[] = {
        {"T", UINT64_C(1) << 40},
        {"TiB", UINT64_C(1) << 40},
        {"G", UINT64_C(1) << 30},
        {"GiB", UINT64_C(1) << 30},
        {"M", UINT64_C(1) << 20},
        {"MiB", UINT64_C(1) << 20},
        {"K", UINT64_C(1) << 10},
        {"KiB", UINT64_C(1) << 10},
        {"", 1},
        {"B", 1},
};

static const Unit *find_unit(const Unit *units, size_t n, const char *name, size_t length)
{
        for (size_t i = 0; i < n; i++)
                if (strlen(units[i].name) == length && memcmp(units[i].name, name, length) == 0)
                        return units + i;
        return NULL;
}

/* A sum of "<decimal><unit>" terms; 0, or -1 where the text is not one. */
static int parse_terms(const char *text, const Unit *units, size_t n, uint64_t *ret)
{
        double sum = 0;
        const char *p = text + strspn(text, " ");

        if (!*p)
                return -1;
        while (*p) {
                size_t digits = strspn(p, "0123456789.");
                char *end;
                if (digits == 0 || digits > 24 || *p == '.')
                        return -1;
                double number = g_ascii_strtod(p, &end);
                if (end != p + digits)
                        return -1;
                p = end + strspn(end, " ");
                size_t length = strcspn(p, " 0123456789.");
                const Unit *unit = find_unit(units, n, p, length);
                if (!unit)
                        return -1;
                sum += number * (double) unit->factor;
                p += length;
                p += strspn(p, " ");
        }
        if (sum >= 9.0e18)
                return -1;
        *ret = (uint64_t) llround(sum);
        return 0;
}

int duration_parse(const char *text, uint64_t *ret_usec, Fault *f)
{
        if (g_str_equal(text, "infinity")) {
                *ret_usec = USEC_INFINITY;
                return 0;
        }
        if (parse_terms(text, duration_units, G_N_ELEMENTS(duration_units), ret_usec) < 0)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.80s' is not a duration: write it like 90, 250ms, 5s, 2h or "
                                 "\"1h 30min\"",
                                 text);
        return 0;
}

int size_parse(const char *text, uint64_t *ret_bytes, Fault *f)
{
        if (parse_terms(text, size_units, G_N_ELEMENTS(size_units), ret_bytes) < 0)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.80s' is not a size: write it like 4096, 512M or 2G", text);
        return 0;
}

char *duration_format(uint64_t usec)
{
        if (usec == USEC_INFINITY)
                return g_strdup("infinity");
        if (usec == 0)
                return g_strdup("0s");

        GString *out = g_string_new(NULL);
        unsigned terms = 0;
        uint64_t previous = 0;
        for (size_t i = 0; i < G_N_ELEMENTS(duration_units) && usec > 0 && terms < 2; i++) {
                const Unit *unit = duration_units + i;
                if (unit->factor == previous || usec < unit->factor)
                        continue;
                previous = unit->factor;
                g_string_append_printf(out, "%s%" G_GUINT64_FORMAT "%s", terms++ ? " " : "",
                                       usec / unit->factor, unit->name);
                usec %= unit->factor;
        }
        return g_string_free(out, FALSE);
}

char *day_format(uint64_t days)
{
        g_autoptr(GDateTime) date =
                days <= LAST_DAY ? g_date_time_new_from_unix_utc((gint64) days * 24 * 60 * 60)
                                 : NULL;

        return date ? g_date_time_format(date, "%F") : g_strdup_printf("day %" PRIu64, days);
}

char *size_format(uint64_t bytes)
{
        for (size_t i = 0; i < G_N_ELEMENTS(size_units); i++) {
                const Unit *unit = size_units + i;
                if (bytes < unit->factor || unit->factor == 1)
                        continue;
                if (bytes % unit->factor == 0)
                        return g_strdup_printf("%" G_GUINT64_FORMAT "%s", bytes / unit->factor,
                                               unit->name);
                return g_strdup_printf("%.1f%s", (double) bytes / (double) unit->factor,
                                       unit->name);
        }
        return g_strdup_printf("%" G_GUINT64_FORMAT "B", bytes);
}

static uint64_t now_usec(clockid_t clock)
{
        struct timespec t;

        (void) clock_gettime(clock, &t);
        return (uint64_t) t.tv_sec * USEC_PER_SEC + (uint64_t) t.tv_nsec / 1000;
}

uint64_t now_monotonic_usec(void)
{
        return now_usec(CLOCK_MONOTONIC);
}

uint64_t now_realtime_usec(void)
{
        return now_usec(CLOCK_REALTIME);
}
