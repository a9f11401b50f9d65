/* SPDX-License-Identifier: MIT */
#pragma once

/* Two disks: which of their file systems are compared, and what is left.
 *
 * The root is compared: the ext4 partition that holds /etc, or the only ext4 partition. Every other
 * partition whose bytes differ is named in the report as not
 * read. */

#include "diff/chain.h"
#include "diff/report.h"

/* `from` and `to` name the two points in messages. FAULT_DIFF_FAILED, IMAGE_REFUSED, IO. */
int disk_compare(Chain *old, Chain *new, const char *from, const char *to, Report *report,
                 Fault *f);
