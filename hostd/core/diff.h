/* SPDX-License-Identifier: MIT */
#pragma once

/* What differs between two points of a sandbox's disk, as fluid-diff reads it. */

#include "core/manager.h"

/* `fd` is a file that can be read from its start, borrowed, valid during the call. */
typedef void (*DiffDone)(int fd, int r, const Fault *f, void *userdata);

/* `from`, `to`: "template", a snapshot's name, or "now". For "now" of a running sandbox a hidden
 * layer is cut, and merged again when the document is complete. */
int diff_start(Sandbox *s, Caller *caller, const char *from, const char *to, DiffDone done,
               void *userdata, Fault *f);
