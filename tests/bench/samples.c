/* SPDX-License-Identifier: MIT */
#include "tests/bench/samples.h"

#include "base/quantity.h"

#include <stdio.h>

static double *value_at(const Samples *s, guint i)
{
        return &g_array_index(s->values, double, i);
}

/* Kept in order. */
void samples_add(Samples *s, double value)
{
        guint i = 0;

        if (!s->values)
                s->values = g_array_new(FALSE, FALSE, sizeof(double));
        while (i < s->values->len && *value_at(s, i) < value)
                i++;
        (void) g_array_insert_val(s->values, i, value);
}

void samples_add_since(Samples *s, uint64_t since_usec)
{
        samples_add(s, (double) (now_monotonic_usec() - since_usec) / (double) USEC_PER_MSEC);
}

double samples_median(const Samples *s)
{
        guint n = s->values->len;

        return (*value_at(s, (n - 1) / 2) + *value_at(s, n / 2)) / 2;
}

double samples_quantile(const Samples *s, double part)
{
        guint n = s->values->len;
        guint rank = (guint) ((double) n * part + 0.999999);

        return *value_at(s, CLAMP(rank, 1, n) - 1);
}

void samples_print(const Samples *s, const char *name)
{
        guint n = s->values->len;

        (void) printf("%s %.2f %.2f %.2f %u\n", name, samples_median(s), *value_at(s, 0),
                      *value_at(s, n - 1), n);
        (void) fflush(stdout);
}

void shuffle(unsigned *order, unsigned n, GRand *random)
{
        for (unsigned i = 0; i < n; i++) {
                unsigned k = (unsigned) g_rand_int_range(random, 0, (gint32) i + 1);
                order[i] = order[k];
                order[k] = i;
        }
}
