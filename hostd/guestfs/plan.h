/* SPDX-License-Identifier: MIT */
#pragma once

/* What is to be copied: the file systems that fluid-diff does not read itself. The process that
 * reads the disks writes it down for the others, which trust it no more than the disks. */

#include "base/fault.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Drives that one appliance can have: two of each place. */
#define PLAN_MAX 64

typedef struct PlanPlace {
        uint64_t size;  /* bytes */
        unsigned place; /* its number among all places of that point, as ForeignPlace has it */
        bool of_new;
        bool is_btrfs; /* else xfs */
} PlanPlace;

/* "new-3": how the place is called, as an export and a file; `ret` has PLAN_NAME_SIZE bytes.
 */
#define PLAN_NAME_SIZE 16
void plan_name(const PlanPlace *place, char *ret);

/* The text of a plan; g_free() it. */
char *plan_to_string(const PlanPlace *places, unsigned n);

/* An array of PlanPlace; g_array_unref() it. FAULT_DIFF_FAILED: that is no plan. */
int plan_parse(const char *text, GArray **ret, Fault *f);
