/* SPDX-License-Identifier: MIT */
#pragma once

/* Immutable points in the overlay tree, and what is done with them. */

#include "core/manager.h"
#include "store/store.h"

typedef void (*SnapshotDone)(Snapshot *snapshot, int r, const Fault *f, void *userdata);

typedef struct SnapshotSpec {
        const char *name;
        bool freeze; /* the guest's agent, if it can */
        bool memory; /* of a running sandbox, too; then nothing is frozen: what is in RAM is kept */
} SnapshotSpec;

/* Cuts a running sandbox's disks or a stopped one's. */
int snapshot_create(Sandbox *s, Caller *caller, const SnapshotSpec *spec, SnapshotDone done,
                    void *userdata, Fault *f);

/* Moves the head to the snapshot of that name, or to "template". A snapshot with memory runs on
 * from there, else a running sandbox is booted anew; FAULT_WRONG_STATE for a memory that was made
 * with another QEMU. */
int snapshot_restore(Sandbox *s, Caller *caller, const char *name, OperationDone done,
                     void *userdata, Fault *f);

/* FAULT_IN_USE while another snapshot (unless `cascade`, which deletes them, too), the head or a
 * diff stands on it. */
int snapshot_delete(Snapshot *snapshot, Caller *caller, bool cascade, OperationDone done,
                    void *userdata, Fault *f);

/* Begins to make a template of that name of it: a copy that depends on nothing. template_wait()
 * tells how it ended. */
int snapshot_promote(Snapshot *snapshot, Caller *caller, const char *name, Template **ret,
                     Fault *f);

Sandbox *snapshot_sandbox(const Snapshot *snapshot);
/* The name of the snapshot below it, or "template". */
const char *snapshot_parent_name(const Snapshot *snapshot);

/* Its record; valid until the loop goes on. */
const SnapshotRow *snapshot_row(const Snapshot *snapshot);
