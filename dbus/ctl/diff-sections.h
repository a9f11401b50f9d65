/* SPDX-License-Identifier: MIT */
#pragma once

/* What a diff means, in words: its summary, and what changed of packages, services, users … */

#include "dbus/ctl/digest.h"

/* The lines that say it all; warns there of what was not read. */
void diff_print_summary(const Digest *d, const char *sandbox);

/* One section after the other, up to the files. */
void diff_print_sections(const Digest *d);

/* What comes after the files: noise, and what was not read. */
void diff_print_rest(const Digest *d);

/* Begins a section: a blank line, its title, and a remark. */
void diff_print_title(const char *title, const char *remark);
