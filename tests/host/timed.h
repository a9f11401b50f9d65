/* SPDX-License-Identifier: MIT */
#pragma once

/* Calls into libvirt as cases: with the reason where they fail, and the time that they took. */

#include "base/fault.h"
#include "base/quantity.h"
#include "tests/tap.h"

static inline bool timed_ok(int r, const Fault *f, uint64_t since, const char *what)
{
        bool good = tap_ok(r >= 0, "%s", what);

        tap_note("%.1f ms%s%s", (double) (now_monotonic_usec() - since) / 1000, r < 0 ? ": " : "",
                 r < 0 ? f->message : "");
        return good;
}

#define TIMED(what, function, ...) \
        ({ \
                Fault reason = {0}; \
                uint64_t began = now_monotonic_usec(); \
                int result = function(__VA_ARGS__, &reason); \
                timed_ok(result, &reason, began, what); \
        })
