/* SPDX-License-Identifier: MIT */
#pragma once

/* An archive that the daemon handed out, onto this host's disk: the end of several verbs. */

#include "dbus/ctl/ctl.h"
#include "dbus/ctl/unpack.h"

/* Wrong usage where an archive as it is would go to a terminal. */
int extraction_check_tar(Ctl *ctl, const char *file, Fault *f);

/* As it is: to a new file (with `replace` also to one that is there), or to standard output where
 * that is NULL or "-". FAULT_EXISTS, IO. */
int extraction_write_tar(const Ctl *ctl, int archive, const char *file, bool replace, Fault *f);

/* Unpacked, and the result told. */
int extraction_write_files(const Ctl *ctl, int archive, const char *directory,
                           const UnpackOptions *options, Fault *f);
