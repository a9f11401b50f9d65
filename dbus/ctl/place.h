/* SPDX-License-Identifier: MIT */
#pragma once

/* NAME:PATH[@POINT]: a file at a point of a sandbox's disk.
 *
 * The name ends at the first colon; the path is absolute and may have colons and @ in it. What
 * follows the last @ is the point if it is the name of one that there can be (base/name.h); so a
 * path that ends like that itself, as /etc/systemd/system/getty@tty1.service does, is followed by
 * its point: …@tty1.service@now. Without a point it is now. */

#include "base/fault.h"

#include <glib.h>

typedef struct Place {
        char *sandbox, *path, *point;
} Place;

/* FAULT_INVALID_ARGUMENT. */
int place_parse(const char *text, Place *ret, Fault *f);
void place_done(Place *place);

/* Its path as paths are printed. What was typed has \xNN for a byte: so a path that is no UTF-8 is
 * named as it is shown. */
char *place_printable(const Place *place);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Place, place_done)
