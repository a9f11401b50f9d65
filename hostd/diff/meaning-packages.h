/* SPDX-License-Identifier: MIT */
#pragma once

/* What the readers of the package managers' databases share. */

#include "diff/meaning-parts.h"

/* Which change a package brought; NULL: none. Appends an owner for each that changed. */
void packages_compare(Meaning *m, PackageManager manager, const GPtrArray *old,
                      const GPtrArray *new);

/* What one package's list of files says. The owner is made when the first of its paths matters;
 * changes that have one, or are noise, are left alone. */
typedef struct Claim {
        Meaning *m;
        PackageManager manager;
        const Package *old, *new;
        Owner *owner; /* NULL: none yet */
        GPtrArray *units;
        GPtrArray *directories; /* keys of etc_directories that it ships */
} Claim;

Claim claim_begin(Meaning *m, PackageManager manager, const Package *old, const Package *new,
                  Owner *owner);

/* True where the path is a change that now belongs to the package. */
bool claim_path(Claim *claim, Span path, unsigned *ret_change);
void claim_end(Claim *claim);

/* The packages of `owners` that are in the side's list: those that changed. */
GHashTable *packages_changed(const Meaning *m, PackageManager manager, int side);

/* Writes the packages that changed and what else is known from whom files belong to. */
void packages_report(Meaning *m);

/* rpm's part: compares its databases, and lets its packages claim files. */
void meaning_rpm(Meaning *m);
