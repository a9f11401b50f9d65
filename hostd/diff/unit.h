/* SPDX-License-Identifier: MIT */
#pragma once

/* systemd's units as files: what a path says about a unit, and what is in one
 * (systemd.unit(5)). Pure. */

#include "diff/span.h"

#define UNIT_NAME_SIZE_MAX 255

typedef enum UnitScope { SCOPE_SYSTEM, SCOPE_USER, _SCOPE_MAX } UnitScope;

typedef enum UnitRole {
        UNIT_FILE,      /* the unit itself, or a link that stands for it */
        UNIT_DROP_IN,   /* NAME.d/x.conf */
        UNIT_WANTED,    /* a link in x.wants, x.requires or x.upholds */
        UNIT_SYSV,      /* /etc/init.d/NAME */
        UNIT_SYSV_LINK, /* /etc/rcN.d/S20NAME */
} UnitRole;

typedef struct UnitPath {
        UnitScope scope;
        UnitRole role;
        bool in_etc;
        char *name; /* of the unit: "x.service", also of what SysV calls x */
} UnitPath;

/* Where units are, first the directories that win. NULL ends the list. */
extern const char *const unit_directories[_SCOPE_MAX][5];

/* False where the path says nothing about a unit. g_free() the name. */
bool unit_path_parse(Span path, UnitPath *ret);

/* "x.service" and the like. */
bool unit_name_is_valid(Span name);

/* "getty@.service" of "getty@tty1.service"; NULL where it is no instance. */
char *unit_name_template(const char *name);

/* x.wants, x.requires, x.upholds. */
bool unit_is_wants_directory(Span name);

/* Whether there is an [Install] section with something in it. */
bool unit_has_install(Span text);

/* The value of the last KEY= in [SECTION]; false if there is none, or it is empty. */
bool unit_find(Span text, const char *section, const char *key, Span *ret);
