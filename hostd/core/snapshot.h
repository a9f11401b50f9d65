/* SPDX-License-Identifier: MIT */
#pragma once

/* Immutable points in the overlay tree, and what is done with them. */

#include "core/manager.h"
#include "store/store.h"

typedef void (*SnapshotDone)(Snapshot *snapshot, int r, const Fault *f, void *userdata);

/* Cuts a running sandbox's disks (frozen by its agent if `freeze` and it can) or a stopped one's.
 */
int snapshot_create(Sandbox *s, Caller *caller, const char *name, bool freeze, SnapshotDone done,
                    void *userdata, Fault *f);

/* Moves the head to the snapshot of that name, or to "template"; a running sandbox is booted anew.
 */
int snapshot_restore(Sandbox *s, Caller *caller, const char *name, OperationDone done,
                     void *userdata, Fault *f);

/* FAULT_IN_USE while another snapshot, the head or a diff stands on it. */
int snapshot_delete(Snapshot *snapshot, Caller *caller, OperationDone done, void *userdata,
                    Fault *f);

Sandbox *snapshot_sandbox(const Snapshot *snapshot);
/* The name of the snapshot below it, or "template". */
const char *snapshot_parent_name(const Snapshot *snapshot);

/* Its record; valid until the loop goes on. */
const SnapshotRow *snapshot_row(const Snapshot *snapshot);
