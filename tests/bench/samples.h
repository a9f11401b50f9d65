/* SPDX-License-Identifier: MIT */
#pragma once

/* What was measured of one thing, and the line that tells of it. */

#include <glib.h>
#include <stdint.h>

/* Of one kind and unit, which the name that they are printed under ends with ("_ms"). Begins as
 * {0}; lives as long as the program. */
typedef struct Samples {
        GArray *values;
} Samples;

void samples_add(Samples *s, double value);

/* Adds the milliseconds since now_monotonic_usec() was `since_usec`. */
void samples_add_since(Samples *s, uint64_t since_usec);

double samples_median(const Samples *s);

/* What that part of them, of 0 to 1, is not above. */
double samples_quantile(const Samples *s, double part);

/* "NAME MEDIAN LEAST MOST NUMBER" on standard output. */
void samples_print(const Samples *s, const char *name);

/* The members 0 to n - 1 in an order that changes from round to round, so that none is always
 * measured in the wake of the same other; the same in every run. */
void shuffle(unsigned *order, unsigned n, GRand *random);
