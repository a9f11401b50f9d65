/* SPDX-License-Identifier: MIT */
#pragma once

/* What people call things, and what fluid calls them. */

#include "base/fault.h"

#include <stdbool.h>

/* Names of sandboxes, snapshots and templates: 1 to 63 of A-Z a-z 0-9 . _ - , the first a letter or
 * a digit. `what` ("sandbox", …) goes into the message. FAULT_INVALID_ARGUMENT. */
#define NAME_MAX_LENGTH 63
bool name_is_valid(const char *name);
int name_check(const char *what, const char *name, Fault *f);

/* Names that the diff gives a meaning to and no snapshot may have. */
#define POINT_TEMPLATE "template"
#define POINT_NOW      "now"
/* The point, with memory, at which a warm template had booted: no name that a person can give. */
#define POINT_BOOTED "@booted"

/* An id: 12 lower-case hexadecimal digits, random; part of object paths, domain and file names. */
#define ID_LENGTH 12
typedef struct Id {
        char text[ID_LENGTH + 1];
} Id;

Id id_new(void);
bool id_is_valid(const char *text);
