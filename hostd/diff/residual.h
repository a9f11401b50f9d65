/* SPDX-License-Identifier: MIT */
#pragma once

/* What a playbook did not reproduce: the diff of what it was made of against what it made, sorted
 * by whether that was said in advance.
 *
 * {"format":1,"from":"…","to":"…","verdict":"exact",
 *  "residual_count":0,"residual":[{"what":"file","path":"…","path_b64":"…","change":"modified"},
 *                                 {"what":"package","name":"…","change":"removed"}],
 *  "left_out_count":0,"left_out":[{…, "rule":"…","reason":"…"}],
 *  "noise_count":0}
 *
 * "change" is what the replay lacks or has too much: of what is "removed" it has nothing. "what" is
 * file, package, service, user, group, disk (it is divided otherwise) or not-read. "verdict" is
 * "exact", "exact-but-left-out" where there is nothing but what left-out.json of the archive names,
 * or what belongs to one machine; else "residual". Modification times and what changes by itself
 * count for nothing, nor do files of a package that is listed itself; what differs in /etc/hosts by
 * the machine's own name alone belongs to one machine. Lists are cut off when they are long; the
 * counts are right. */

#include "diff/output.h"
#include "diff/playbook.h"

#include <stddef.h>

/* Most bytes of the whole. */
#define RESIDUAL_MAX (512u << 10)

/* `document` is the diff, `source` reads from its two points, `archive_fd` is a playbook's archive,
 * read from its start, or -1: then nothing was said in advance but what belongs to one machine.
 * FAULT_INVALID_ARGUMENT where one of them is none, LIMITS_EXCEEDED, IO. */
int residual_write(const char *document, size_t size, const PlaybookSource *source, int archive_fd,
                   Output *output, Fault *f);
