/* SPDX-License-Identifier: MIT */
#pragma once

/* What an administrator would say of the changes: which packages, services, accounts and settings
 * they are, what should be looked at, and what is noise. Adds the sections to the report that
 * dbus/diff.schema.json describes, and the summary.
 *
 * Files are read again where, and only where, the list of changes says that they may matter; each
 * is bounded. What cannot be understood is named in the report as not read: a guest that damages
 * its own /etc/passwd loses the section, not the diff. Paths are looked up in all of the
 * guest's tree, as its /etc/fstab mounts it. */

#include "diff/report.h"
#include "diff/tree.h"

/* After all changes were reported. Fails only for want of memory, or for a mistake of our own. */
int meaning_report(const Tree *old, const Tree *new, Report *report, Fault *f);
