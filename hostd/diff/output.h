/* SPDX-License-Identifier: MIT */
#pragma once

/* A descriptor that is written to in large pieces, and to which no more than a limit is written. */

#include "base/fault.h"

#include <glib.h>
#include <stdint.h>

typedef struct Output Output;

/* The descriptor stays the caller's. */
Output *output_new(int fd, uint64_t size_max);
Output *output_free(Output *output);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Output, output_free)

/* FAULT_LIMITS_EXCEEDED, IO. */
int output_write(Output *output, const void *bytes, size_t size, Fault *f);

/* Whether so many bytes more are within the limit; else the fault that says no. */
int output_reserve(const Output *output, uint64_t size, Fault *f);

uint64_t output_size(const Output *output);

/* Writes what is left. FAULT_IO. */
int output_end(Output *output, Fault *f);
