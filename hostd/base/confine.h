/* SPDX-License-Identifier: MIT */
#pragma once

/* What a program gives up before it reads a byte of a guest's. */

#include "base/fault.h"

#include <stdint.h>

/* From now on: no more address space than `memory_bytes`, no core dump; and after `deadline_usec`
 * (USEC_INFINITY: never), in real or in processor time, one line on standard error and exit
 * status 1. Running out of memory ends in the same way. */
int confine_limits(uint64_t memory_bytes, uint64_t deadline_usec, Fault *f);

/* From now on: no file grows beyond so many bytes; writing more fails with EFBIG. */
int confine_output(uint64_t bytes, Fault *f);

/* From now on: no capabilities, no new privileges, and no system call but those for reading,
 * writing, memory and ending: opening fails with EACCES, any other kills the process. `keep` are
 * the only descriptors that stay open besides 0, 1 and 2.
 *
 * With `sockets_max` > 0 also sockets for UDP and TCP, an sd_event and its timers: as many
 * descriptors, all counted; else no new ones. */
int confine_seal(const int *keep, unsigned n_keep, unsigned sockets_max, Fault *f);

/* The same for who serves what connects to a socket that it has already: up to `fds_max`
 * descriptors in all, and epoll; it can make no socket itself. */
int confine_seal_server(const int *keep, unsigned n_keep, unsigned fds_max, Fault *f);
