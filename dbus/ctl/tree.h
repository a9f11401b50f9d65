/* SPDX-License-Identifier: MIT */
#pragma once

/* How snapshots stand on each other. */

#include "base/json.h"

#include <stddef.h>

/* Calls `each` for every snapshot of the array, in the order in which they are drawn: those that
 * stand on it follow each, the oldest first. `prefix` is what is drawn before its name, "│  └─ ".
 * One whose parent is not among them, as of two that stand on each other, is drawn as if it stood
 * on the template. */
void tree_draw(Json *snapshots, void (*each)(const char *prefix, Json *snapshot, void *userdata),
               void *userdata);
