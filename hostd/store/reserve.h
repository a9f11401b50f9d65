/* SPDX-License-Identifier: MIT */
#pragma once

/* Room on the disk that only the database gets, so that the trail still says what happens when
 * guests have filled the rest: a file of 16 MiB, of which SQLite's writes take pieces where there
 * is no other room (the file becomes shorter). One in a process, as SQLite's system calls are. */

#include "base/fault.h"

#include <stdint.h>

/* Opens or creates the file `path`, and lets SQLite's writes use it; it is filled by what follows.
 * FAULT_IO. */
int reserve_open(const char *path, Fault *f);
void reserve_close(void);

/* Where it lacks something and so much more can be spared. */
void reserve_refill(uint64_t spare_bytes);
