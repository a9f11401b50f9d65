/* SPDX-License-Identifier: MIT */
#pragma once

/* The virtual machine that reads what no program of fluid's does: libguestfs's appliance, with a
 * kernel of its own. It sees the file systems as read-only drives of QEMU's that come from an NBD
 * server, each covered by an overlay which takes what a journal's replay writes, and copies their
 * files to ext4 images. It has no network. A hostile file system meets the appliance's kernel. */

#include "guestfs/plan.h"

typedef struct ApplianceSpec {
        const char *directory; /* for images and all else; private to this user */
        const char *socket;    /* of the NBD server */
        const PlanPlace *places;
        unsigned n_places;
        bool emulate; /* also where there is KVM */
} ApplianceSpec;

/* What became of one place: copied where there is no reason why not. */
typedef void (*ApplianceDone)(unsigned place, const char *reason, void *userdata);

/* The image of a place; g_free() it. */
char *appliance_image(const char *directory, const PlanPlace *place);

/* Blocks for as long as it takes. Calls `done` once for each place of the plan when the images are
 * complete, in order. FAULT_IO, NO_SPACE, DIFF_FAILED where nothing was copied. */
int appliance_copy(const ApplianceSpec *spec, ApplianceDone done, void *userdata, Fault *f);
