/* SPDX-License-Identifier: MIT */
#pragma once

/* Domain names as an administrator allows them: "example.com" is that name alone, "*.example.com"
 * every name below it, and not itself. */

#include "base/fault.h"

#include <stdbool.h>

#define DOMAIN_NAME_MAX 254 /* with the NUL */

/* Into lower case, without a dot at the end. FAULT_INVALID_ARGUMENT, with what is wrong: labels are
 * 1 to 63 of a-z 0-9 - _, international ones in their xn-- form; an asterisk is the whole first
 * label, and an address is no name. */
int domain_pattern_parse(const char *text, char ret[static DOMAIN_NAME_MAX], Fault *f);

/* `pattern` as it was parsed, `name` in lower case and without a dot at the end. */
bool domain_pattern_matches(const char *pattern, const char *name);

/* Whether it is such a name: labels, not empty, of a-z 0-9 - _ with dots between them. */
bool domain_name_is_plain(const char *name);
