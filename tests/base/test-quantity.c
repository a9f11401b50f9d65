/* SPDX-License-Identifier: MIT */
#include "base/quantity.h"
#include "tests/tap.h"

#include <errno.h>
#include <glib.h>

#define MINUTE (60 * USEC_PER_SEC)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define KIB    UINT64_C(1024)

typedef struct Case {
        const char *text;
        uint64_t value;
} Case;

static void test_durations(void)
{
        static const Case good[] = {
                {"90", 90 * USEC_PER_SEC},
                {"0", 0},
                {"0s", 0},
                {"1us", 1},
                {"250ms", 250 * USEC_PER_MSEC},
                {"250 ms", 250 * USEC_PER_MSEC},
                {"1.5s", 1500 * USEC_PER_MSEC},
                {"0.25h", 15 * MINUTE},
                {"1h 30min", 90 * MINUTE},
                {"1h30min", 90 * MINUTE},
                {"  5m  ", 5 * MINUTE},
                {"2 hours 3 minutes 4 seconds", 2 * HOUR + 3 * MINUTE + 4 * USEC_PER_SEC},
                {"1d", DAY},
                {"2w", 14 * DAY},
                {"24h", DAY},
                {"infinity", USEC_INFINITY},
        };
        static const char *const bad[] = {
                "",
                " ",
                "s",
                "-1",
                "+1",
                "1x",
                "1S",
                "1 hourz",
                "1e3",
                "0x10",
                ".5s",
                "1..5s",
                "1.2.3s",
                "nan",
                "inf",
                "infinity ",
                "Infinity",
                "1h infinity",
                "1,5s",
                "1s\n",
                "1\xc2\xb5s",
                "99999999999999999999",
                "1000000000000w",
                "0000000000000000000000001s",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                uint64_t usec = 12345;

                tap_is_int(duration_parse(good[i].text, &usec, NULL), 0, "'%s' is a duration",
                           good[i].text);
                tap_ok(usec == good[i].value, "and %" PRIu64 " microseconds long", good[i].value);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *shown = g_strescape(bad[i], NULL);
                uint64_t usec = 12345;
                Fault f = {0};

                tap_is_int(duration_parse(bad[i], &usec, &f), -EINVAL, "\"%s\" is no duration",
                           shown);
                tap_ok(usec == 12345 && f.code == FAULT_INVALID_ARGUMENT &&
                               strstr(f.message, "250ms"),
                       "nothing is written, and the reason shows how to write one");
        }
}

static void test_sizes(void)
{
        static const Case good[] = {
                {"0", 0},
                {"4096", 4096},
                {"1B", 1},
                {"1K", KIB},
                {"1KiB", KIB},
                {"512M", 512 * KIB * KIB},
                {"2G", 2 * KIB * KIB * KIB},
                {"1.5G", 1536 * KIB * KIB},
                {"4T", 4 * KIB * KIB * KIB * KIB},
                {"1G 512M", 1536 * KIB * KIB},
                {" 10 M ", 10 * KIB * KIB},
        };
        static const char *const bad[] = {"",       "G",           "-1G", "1g",       "1kB",
                                          "1 GB",   "1P",          "1e9", "infinity", "0x1000",
                                          "1.5.5M", "9999999999T", "1M\t"};

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                uint64_t bytes = 12345;

                tap_is_int(size_parse(good[i].text, &bytes, NULL), 0, "'%s' is a size",
                           good[i].text);
                tap_ok(bytes == good[i].value, "of %" PRIu64 " bytes", good[i].value);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *shown = g_strescape(bad[i], NULL);
                uint64_t bytes = 12345;
                Fault f = {0};

                tap_is_int(size_parse(bad[i], &bytes, &f), -EINVAL, "\"%s\" is no size", shown);
                tap_ok(bytes == 12345 && f.code == FAULT_INVALID_ARGUMENT &&
                               strstr(f.message, "512M"),
                       "nothing is written, and the reason shows how to write one");
        }
}

static void test_formats(void)
{
        static const Case durations[] = {
                {"0s", 0},
                {"1us", 1},
                {"250ms", 250 * USEC_PER_MSEC},
                {"1s 500ms", 1500 * USEC_PER_MSEC},
                {"1min", MINUTE},
                {"1h 30min", 90 * MINUTE},
                {"1d 2h", 26 * HOUR + 5},
                {"3w", 21 * DAY},
                {"infinity", USEC_INFINITY},
        };
        static const Case sizes[] = {
                {"0B", 0},
                {"1023B", 1023},
                {"1K", KIB},
                {"1.5K", 1536},
                {"512M", 512 * KIB * KIB},
                {"1.5G", 1536 * KIB * KIB},
                {"2G", 2 * KIB * KIB * KIB},
                {"4T", 4 * KIB * KIB * KIB * KIB},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(durations); i++) {
                g_autofree char *text = duration_format(durations[i].value);

                tap_is_str(text, durations[i].text,
                           "%" PRIu64 " microseconds are written as people do", durations[i].value);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autofree char *text = size_format(sizes[i].value);

                tap_is_str(text, sizes[i].text, "%" PRIu64 " bytes are written as people do",
                           sizes[i].value);
        }
}

/* Of any duration only its two largest units are written: those are read back exactly. */
static void test_round_trip(void)
{
        static const uint64_t units[] = {1,    USEC_PER_MSEC, USEC_PER_SEC, MINUTE,
                                         HOUR, DAY,           7 * DAY};
        bool durations = true, rounded = true, sizes = true;

        for (size_t i = 1; i < G_N_ELEMENTS(units); i++) {
                for (uint64_t n = 1; n < units[i] / units[i - 1] && n < 60; n++) {
                        uint64_t usec = units[i] + n * units[i - 1], again = 0;
                        g_autofree char *text = duration_format(usec);

                        durations &= duration_parse(text, &again, NULL) == 0 && again == usec;
                }
        }
        for (uint64_t usec = 1; usec < UINT64_MAX / 7; usec = usec * 7 + 3) {
                g_autofree char *text = duration_format(usec);
                uint64_t again = 0;

                if (usec > UINT64_C(9000000000000000000))
                        break;
                rounded &= duration_parse(text, &again, NULL) == 0 && again <= usec;
        }
        for (unsigned bits = 0; bits < 43; bits++) {
                uint64_t bytes = UINT64_C(1) << bits, again = 0;
                g_autofree char *text = size_format(bytes);

                sizes &= size_parse(text, &again, NULL) == 0 && again == bytes;
        }
        tap_ok(durations, "a duration of two units is read back as it was");
        tap_ok(rounded, "any other is read back rounded down");
        tap_ok(sizes, "a power of two is read back as it was");
}

static void test_days(void)
{
        static const struct {
                uint64_t days;
                const char *text;
        } all[] = {{0, "1970-01-01"},
                   {21915, "2030-01-01"},
                   {2932896, "9999-12-31"},
                   {2932897, "day 2932897"},
                   {UINT64_MAX, "day 18446744073709551615"}};

        for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
                g_autofree char *text = day_format(all[i].days);

                tap_is_str(text, all[i].text, "a day is said as a date while there is one");
        }
}

static void test_clocks(void)
{
        uint64_t before = now_monotonic_usec();

        tap_ok(now_monotonic_usec() >= before, "the monotonic clock does not go back");
        tap_ok(now_realtime_usec() > UINT64_C(1600000000) * USEC_PER_SEC,
               "the real-time clock counts from 1970");
}

int main(void)
{
        test_durations();
        test_sizes();
        test_formats();
        test_round_trip();
        test_days();
        test_clocks();
        return tap_done();
}
