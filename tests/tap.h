/* SPDX-License-Identifier: MIT */
#pragma once

/* The Test Anything Protocol for C: one line a case, the plan last.
 *
 * A case is named as a sentence that says what holds: tap_ok(r == 0, "an empty name is refused").
 * main() ends with `return tap_done();`. */

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
        unsigned planned, run, failed;
} tap_state;

__attribute__((format(printf, 2, 0))) static inline bool tap_vok(bool good, const char *format,
                                                                 va_list args)
{
        tap_state.run++;
        if (!good)
                tap_state.failed++;
        printf("%sok %u - ", good ? "" : "not ", tap_state.run);
        vprintf(format, args);
        putchar('\n');
        (void) fflush(stdout);
        return good;
}

/* One case; returns `good`. */
__attribute__((format(printf, 2, 3))) static inline bool tap_ok(bool good, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void) tap_vok(good, format, args);
        va_end(args);
        return good;
}

/* One case: the integers are equal; both are shown where they are not. */
__attribute__((format(printf, 3, 4))) static inline bool tap_is_int(int64_t got, int64_t expected,
                                                                    const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void) tap_vok(got == expected, format, args);
        va_end(args);
        if (got != expected)
                printf("# got %" PRId64 ", expected %" PRId64 "\n", got, expected);
        return got == expected;
}

/* One case: the strings are equal, or both NULL. */
__attribute__((format(printf, 3, 4))) static inline bool tap_is_str(const char *got,
                                                                    const char *expected,
                                                                    const char *format, ...)
{
        bool same = got && expected ? strcmp(got, expected) == 0 : got == expected;
        va_list args;

        va_start(args, format);
        (void) tap_vok(same, format, args);
        va_end(args);
        if (!same)
                printf("# got '%s', expected '%s'\n", got ? got : "(null)",
                       expected ? expected : "(null)");
        return same;
}

/* A line for the reader. */
__attribute__((format(printf, 1, 2))) static inline void tap_note(const char *format, ...)
{
        va_list args;

        va_start(args, format);
        fputs("# ", stdout);
        vprintf(format, args);
        va_end(args);
        putchar('\n');
}

/* A case that cannot be tried here, and why. */
static inline void tap_skip(const char *what, const char *why)
{
        printf("ok %u - %s # SKIP %s\n", ++tap_state.run, what, why);
}

/* The number of cases, if it is known before; tap_done() then fails on any other number. */
static inline void tap_plan(unsigned cases)
{
        tap_state.planned = cases;
        printf("1..%u\n", cases);
}

/* Gives up on the whole program. */
__attribute__((noreturn)) static inline void tap_bail_out(const char *why)
{
        printf("Bail out! %s\n", why);
        exit(EXIT_FAILURE);
}

/* Prints the plan if there was none; the exit status for main(). */
static inline int tap_done(void)
{
        if (tap_state.planned == 0)
                printf("1..%u\n", tap_state.run);
        else if (tap_state.planned != tap_state.run)
                printf("# planned %u cases, ran %u\n", tap_state.planned, tap_state.run);
        bool complete = tap_state.planned == 0 || tap_state.planned == tap_state.run;
        return tap_state.failed == 0 && complete ? EXIT_SUCCESS : EXIT_FAILURE;
}
