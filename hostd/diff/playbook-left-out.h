/* SPDX-License-Identifier: MIT */
#pragma once

/* What a playbook does not reproduce, and why; and how that is told.
 *
 * Left out are: what the document calls noise (hostd/diff/noise.rules); the files of other file
 * systems than the root; what belongs to one machine (the table in playbook-left-out.c); devices,
 * pipes and sockets; account files, which tasks change, with passwords; the databases of package
 * managers; names that cannot be said exactly. For everything goes that modification times are not
 * set, and that names of one file become files of their own.
 *
 * left-out.json:
 * {"format":1,"from":"…","to":"…",
 *  "left_out":[{"what":"file","path":"…","path_b64":"…","change":"added","rule":"logs","reason":"…"},
 *              {"what":"package","name":"…","rule":"…","reason":"…"}]} */

#include "diff/playbook-plan.h"

/* Whether the change is left out, and why. */
bool left_out_reason(const Plan *plan, const FileChange *change, const char **ret_rule,
                     const char **ret_reason);

/* The same of what goes by where the file is: the first and the third of those. */
bool left_out_rule(const FileChange *change, const char **ret_rule, const char **ret_reason);

/* The document, and the same for people. g_free() them. */
char *left_out_to_json(const Plan *plan);
char *left_out_to_markdown(const Plan *plan);
