/* SPDX-License-Identifier: MIT */

/* The parsers of headers; whole archives are in test-diff-view. */
#include "base/archive.c"

#include "tests/tap.h"

static const struct {
        const char *text;
        bool good;
        int64_t sec;
        uint32_t nsec;
} times[] = {
        {"0", true, 0, 0},
        {"1700000000.5", true, 1700000000, 500000000},
        {"1.000000001", true, 1, 1},
        {"1.0000000019", true, 1, 1},
        {"-1", true, -1, 0},
        {"-12.5", true, -13, 500000000},
        {"-0.25", true, -1, 750000000},
        {"1.", true, 1, 0},
        {"", false, 0, 0},
        {"x", false, 0, 0},
        {"1x", false, 0, 0},
        {"1.5x", false, 0, 0},
        {"9223372036854775808", false, 0, 0},
};

static const struct {
        const char *name;
        bool good;
} names[] = {
        {"a", true},   {"a/", true},    {"a/b", true},     {"./", true},    {"./a", true},
        {"...", true}, {"a/..b", true}, {"", false},       {"/", false},    {"/a", false},
        {"..", false}, {"../a", false}, {"a/../b", false}, {"a/..", false}, {"a//b", false},
};

static const struct {
        const char *text;
        size_t size;
        bool good;
        uint64_t value;
} numbers[] = {
        {"0000644\0", 8, true, 0644}, {"    17 \0", 8, true, 017},
        {"\0\0\0\0", 4, true, 0},     {"77777777777\0", 12, true, 077777777777},
        {"8\0", 2, false, 0},         {"\x80\0\0\1", 4, false, 0},
        {"1 1", 3, false, 0},         {"-1\0", 3, false, 0},
};

static const struct {
        const char *text;
        size_t size;
        bool good;
} records[] = {
        {"9 path=x\n", 9, true},    {"", 0, true},
        {"6 path\n", 7, false},     {"9 path=x", 8, false},
        {"99 path=x\n", 10, false}, {"0 path=x\n", 9, false},
        {"2 \n", 3, false},         {"9 path=x\n9", 10, false},
        {"10 path=x\n", 10, true},  {"18446744073709551615 a=b\n", 25, false},
        {"-9 path=x\n", 10, false}, {"9 uid=-1\n", 9, false},
        {"9 uid=12\n", 9, true},
};

int main(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(times); i++) {
                uint32_t nsec = 0;
                int64_t sec = 0;
                bool good = parse_time(times[i].text, &sec, &nsec);
                tap_ok(good == times[i].good && sec == times[i].sec && nsec == times[i].nsec,
                       "the time '%s' is %s", times[i].text, times[i].good ? "read" : "refused");
        }
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                tap_ok((archive_name_check(names[i].name, NULL) == 0) == names[i].good,
                       "the name '%s' is %s", names[i].name, names[i].good ? "taken" : "refused");
        for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
                uint64_t value = 0;
                bool good = parse_octal(numbers[i].text, numbers[i].size, &value);
                tap_ok(good == numbers[i].good && (!good || value == numbers[i].value),
                       "number %zu is %s", i, numbers[i].good ? "read" : "refused");
        }
        for (size_t i = 0; i < G_N_ELEMENTS(records); i++) {
                g_autoptr(Archive) a = archive_new(-1);
                g_autofree char *text = g_malloc0(records[i].size + 1);
                memcpy(text, records[i].text, records[i].size);
                tap_ok((take_records(a, text, records[i].size, NULL) == 0) == records[i].good,
                       "extended header %zu is %s", i, records[i].good ? "read" : "refused");
        }
        return tap_done();
}
