/* SPDX-License-Identifier: MIT */
#pragma once

/* The changes of a diff as a patch for people: unified differences of what is text, sizes and
 * hashes of what is not, and modes, owners and links in words.
 *
 * Lines of a guest's are never printed as they are: base/escape.h, escape_text(). So it is for
 * reading, not for patch(1). The differences are found by diff(1) of diffutils, which has run over
 * hostile text for decades and has the heuristics that keep it from needing quadratic time; it gets
 * two sealed memory files, no arguments of the guest's, and an empty environment. */

#include "dbus/ctl/digest.h"

/* On stdout, from a document with contents. Without `all` those of packages and noise are left out.
 */
int diff_patch_print(int fd, const Digest *digest, bool all, Fault *f);
