/* SPDX-License-Identifier: MIT */
#pragma once

/* Packages of dpkg that somebody has put on hold: which apt then leaves as they are. The diff says
 * nothing of it. */

#include "diff/playbook.h"

#include <glib.h>

/* Names of one point: a set of char *, of those that can be given to dpkg; g_hash_table_unref() it.
 * Empty where there is no database. */
GHashTable *held_packages_read(const PlaybookSource *source, bool of_new);

/* Names in `b` that are not in `a`, sorted: an array of char *, which the set owns. */
GPtrArray *held_packages_added(GHashTable *a, GHashTable *b);
