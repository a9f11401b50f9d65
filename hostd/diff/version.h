/* SPDX-License-Identifier: MIT */
#pragma once

/* Which of two versions of a package is the newer one, by the rules of its package manager. All
 * return < 0, 0 or > 0. */

#include "diff/span.h"

/* [EPOCH:]UPSTREAM[-REVISION], as deb-version(7) says. */
int version_compare_dpkg(Span a, Span b);

/* [EPOCH:]VERSION[-RELEASE], as rpm-version(7) says; a missing release is equal to any. */
int version_compare_rpm(Span a, Span b);
