/* SPDX-License-Identifier: MIT */
#pragma once

/* Where the time of a sandbox's creation went, as its property Timing has it: {"overlay":1200,…},
 * microseconds in order, 0 for a step that did not happen. */

#include "base/json.h"

#include <stdio.h>

/* The sum of its steps; 0 where nothing is known. */
uint64_t timing_total(Json *timing);

/* A line for each step, "-" for one that did not happen, and the total with what the sandbox runs
 * on from. Nothing is known any more of one that is older than the daemon: one line says so. */
void timing_print(FILE *out, Json *timing, const char *started_from);

/* "overlay 1.2ms, domain 210ms"; the caller frees it. */
char *timing_format(Json *timing);
