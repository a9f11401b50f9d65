/* SPDX-License-Identifier: MIT */
#pragma once

/* The process that reads the disks: it has their images, and nothing else any more. */

#include "diff/arguments.h"

/* Opens the images, gives up what fluid-diff gives up (base/confine.h), writes the plan to
 * `plan_fd`, closes it, and serves the places of the plan, by their names in it, to whoever
 * connects to `listen_fd`. Does not return but with a fault. */
int reader_run(const Arguments *arguments, int listen_fd, int plan_fd, Fault *f);
