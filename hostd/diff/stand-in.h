/* SPDX-License-Identifier: MIT */
#pragma once

/* Files of a file system that is not read here, as fluid-diff-guestfs has copied them: an ext4
 * image that stands in for one place. With it the place is read as any other; it keeps its type,
 * UUID and label. */

#include "diff/storage.h"

#define STAND_INS_MAX 64

typedef struct StandIn {
        unsigned place;     /* its number among the places of that point: storage_place() */
        int fd;             /* the image; -1 where there is none */
        const char *reason; /* why there is none; NULL where there is one */
        Chain *chain;       /* NULL until stand_ins_open() */
} StandIn;

/* Of one point. */
typedef struct StandIns {
        StandIn list[STAND_INS_MAX];
        unsigned n;
} StandIns;

/* "old:PLACE=FD" or "new:PLACE=FD", with `is_reason` "old:PLACE=TEXT"; `ins` has both points, the
 * old one first. Texts are borrowed. FAULT_INVALID_ARGUMENT. */
int stand_in_parse(const char *text, bool is_reason, StandIns ins[static 2], Fault *f);

/* FAULT_IMAGE_REFUSED, IO. The descriptors stay the caller's; stand_ins_close() frees the chains.
 */
int stand_ins_open(StandIns *ins, Fault *f);
void stand_ins_close(StandIns *ins);

/* Makes the places readable, or tells why they are not; `ins` may be NULL and must live as long as
 * the storage. FAULT_INVALID_ARGUMENT: there is no such place, or it is read here; IMAGE_REFUSED,
 * IO: its image is no ext4 file system. */
int stand_ins_use(const StandIns *ins, Storage *storage, Fault *f);

/* A place that is readable at one of the points only, and not because it is new or gone, is not
 * compared: all in it would look added or removed. */
void stand_ins_match(Storage *old, Storage *new);
