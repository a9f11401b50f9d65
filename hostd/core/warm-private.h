/* SPDX-License-Identifier: MIT */
#pragma once

/* What warm templates (core/warm.c) and their pools (core/pool.c) have in common. */

#include "core/internal.h"

/* Whether it is one of the sandboxes that fluid keeps of that template for that. */
bool warm_has_purpose(const Sandbox *s, const Template *t, const char *purpose);
/* The row of a new one, that the caller owns. */
SandboxRow *warm_own_row(const Template *t, const char *purpose, unsigned vcpus,
                         uint64_t memory_bytes);
/* Begins to; a failure is logged. */
void warm_destroy_own(Sandbox *s);

/* Of the template; the caller frees it. */
char *warm_bus_path(const Template *t);
/* Whether that may be changed now: FAULT_BUSY, or as manager_admits_work(). */
int warm_check_can_change(const Template *t, Fault *f);
/* Writes down what is kept of the template from now on. */
int warm_keep(Template *t, bool is_warm, unsigned pool, Fault *f);
