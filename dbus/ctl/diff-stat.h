/* SPDX-License-Identifier: MIT */
#pragma once

/* How many changes of each kind there are in each directory of one level. */

#include "dbus/ctl/change.h"

/* On stdout. `base` (may be NULL) is the path that the document was filtered by: the directories
 * are those in it. As JSON {"added":N,…,"directories":{"/etc":{"added":N,…}}}. */
int diff_stat_print(int fd, const char *base, bool json, Fault *f);
