/* SPDX-License-Identifier: MIT */
#pragma once

/* What this program gives up before it reads a byte of a guest's file system. */

#include "base/fault.h"

#include <stdint.h>

#define CONFINE_MEMORY_DEFAULT (UINT64_C(512) << 20)

/* From now on: no more address space than `memory_bytes`, no core dump; and after `deadline_usec`
 * (USEC_INFINITY: never), in real or in processor time, one line on standard error and exit
 * status 1. Running out of memory ends in the same way. */
int confine_limits(uint64_t memory_bytes, uint64_t deadline_usec, Fault *f);

/* From now on: no new privileges, no new descriptors, and no system call but those for reading,
 * writing, memory and ending: opening fails with EACCES, any other kills the process. `keep` are
 * the only descriptors that stay open besides 0, 1 and 2. */
int confine_seal(const int *keep, unsigned n_keep, Fault *f);
