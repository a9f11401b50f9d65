/* SPDX-License-Identifier: MIT */
#pragma once

/* Durations and sizes as people write them.
 *
 * Durations as systemd writes them (systemd.time(7)): "90", "1h 30min", "1.5s", "250ms",
 * "infinity"; a bare number is seconds. Sizes: "512M", "2G", "4096"; factors of 1024. */

#include "base/fault.h"

#include <stdint.h>

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC  UINT64_C(1000000)
#define USEC_INFINITY UINT64_MAX

/* FAULT_INVALID_ARGUMENT with the text and an example of a right one. */
int duration_parse(const char *text, uint64_t *ret_usec, Fault *f);
int size_parse(const char *text, uint64_t *ret_bytes, Fault *f);

/* "1h 30min", "250ms", "infinity"; at most two units. The caller frees it. */
char *duration_format(uint64_t usec);

/* "1.5G"; the caller frees it. */
char *size_format(uint64_t bytes);

/* Days since 1970 as "2030-01-01", or "day N" after the year 9999; the caller frees it. */
char *day_format(uint64_t days);

/* CLOCK_MONOTONIC and CLOCK_REALTIME. */
uint64_t now_monotonic_usec(void);
uint64_t now_realtime_usec(void);
