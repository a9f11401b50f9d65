/* SPDX-License-Identifier: MIT */
#pragma once

/* A server of the NBD protocol, for reading only: what QEMU sees of a guest's file systems is their
 * bytes, not the images that they lie in. Fixed newstyle negotiation and simple replies, as
 * doc/proto.md of NetworkBlockDevice/nbd describes them. */

#include "diff/volume.h"

#define NBD_NAME_MAX 23

typedef struct NbdExport {
        char name[NBD_NAME_MAX + 1];
        const Volume *volume;
} NbdExport;

/* Bytes: the volume's, up to a whole sector. What is beyond the volume's end reads as zeros. */
uint64_t nbd_export_size(const NbdExport *export);

/* Both block. Greets who has connected, and finds out which of the exports is wanted. 0, or a
 * negative errno where that does not come about: close the connection then. */
int nbd_negotiate(int fd, const NbdExport *exports, unsigned n, const NbdExport **ret);

/* Answers one request. 1; 0 at the end of the connection; or a negative errno, also where what was
 * asked is no request. What cannot be read is an error for who asked, and for `f` where that has
 * none yet. */
int nbd_serve(int fd, const NbdExport *export, Fault *f);
