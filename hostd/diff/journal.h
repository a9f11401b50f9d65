/* SPDX-License-Identifier: MIT */
#pragma once

/* The replay of a jbd2 journal, without writing.
 *
 * A disk taken from a running guest that was not frozen has committed transactions that are in the
 * journal only. Each block that a replay would write becomes a redirect in the view, from its place
 * to its copy in the journal; transactions without a commit block count for nothing, as after a
 * power cut. Format: Linux Documentation/filesystems/ext4/journal.rst, e2fsprogs
 * lib/ext2fs/kernel-jbd.h. */

#include "diff/filesystem.h"

/* The file system has the needs_recovery feature; it must be opened anew afterwards. An external
 * journal, fast commits and unknown features are refused: FAULT_DIFF_FAILED. */
int journal_replay(Filesystem *fs, Fault *f);
