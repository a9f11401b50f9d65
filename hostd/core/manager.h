/* SPDX-License-Identifier: MIT */
#pragma once

/* All that one host has: its objects by id, its means (store, hypervisor, workers), and the one
 * observer through which news travels up to the bus. Everything here happens on the loop's thread.
 */

#include "base/fault.h"
#include "core/caller.h"
#include "core/config.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

typedef struct Manager Manager;
typedef struct Template Template;
typedef struct Sandbox Sandbox;
typedef struct Snapshot Snapshot;
typedef struct Command Command;
typedef struct Approval Approval;
typedef struct Playbook Playbook;

typedef enum ObjectKind {
        OBJECT_TEMPLATE,
        OBJECT_SANDBOX,
        OBJECT_SNAPSHOT,
        OBJECT_COMMAND,
        OBJECT_APPROVAL,
        OBJECT_PLAYBOOK,
        _OBJECT_KIND_MAX,
} ObjectKind;

/* `object` is of the kind's type and valid during the call. */
typedef struct ManagerObserver {
        void (*added)(ObjectKind kind, void *object, void *userdata);
        /* Something of it that can change has changed. */
        void (*changed)(ObjectKind kind, void *object, void *userdata);
        void (*removed)(ObjectKind kind, void *object, void *userdata);
        void (*state_changed)(void *userdata);
} ManagerObserver;

/* Opens the store, loads the objects and begins to connect to libvirt. Takes `config`. When libvirt
 * answers, everything that the store says is compared with what there is, and adopted, finished or
 * cleaned; until then sandboxes are "unknown". */
int manager_new(sd_event *event, Config *config, Manager **ret, Fault *f);
Manager *manager_free(Manager *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Manager, manager_free)

/* Takes up a new configuration, which it owns from then on; what only a start can change
 * (directories, users, libvirt, threads) stays as it was until then. */
void manager_reload(Manager *m, Config *config);

void manager_set_observer(Manager *m, const ManagerObserver *observer, void *userdata);

/* "running", "degraded" (libvirt is away) or "draining". */
const char *manager_state(const Manager *m);

/* Refuses what is new and calls done() when no operation is under way any more, or after
 * `timeout_usec`. Sandboxes run on. */
void manager_drain(Manager *m, uint64_t timeout_usec, void (*done)(void *userdata), void *userdata);

const Config *manager_config(const Manager *m);

typedef struct Capacity {
        unsigned sandboxes, sandboxes_max, vcpus_used;
        uint64_t memory_used_bytes, disk_free_bytes, disk_floor_bytes;
} Capacity;
Capacity manager_capacity(const Manager *m);

/* By id; NULL where there is none or the caller may not see it. */
Template *manager_find_template(Manager *m, const char *id);
Sandbox *manager_find_sandbox(Manager *m, const Caller *caller, const char *id);
Snapshot *manager_find_snapshot(Manager *m, const Caller *caller, const char *id);
Command *manager_find_command(Manager *m, const Caller *caller, const char *id);
Approval *manager_find_approval(Manager *m, const Caller *caller, const char *id);
Playbook *manager_find_playbook(Manager *m, const Caller *caller, const char *id);

/* By name or id: FAULT_NOT_FOUND. A caller's own sandboxes come first; an admin's name that several
 * owners use is FAULT_INVALID_ARGUMENT: use the id. */
int manager_get_template(Manager *m, const char *name, Template **ret, Fault *f);
int manager_get_sandbox(Manager *m, const Caller *caller, const char *name, Sandbox **ret,
                        Fault *f);

/* Calls `each` for every object of that kind that the caller may see, oldest first. */
void manager_foreach(Manager *m, const Caller *caller, ObjectKind kind,
                     void (*each)(void *object, void *userdata), void *userdata);

/* The libvirt domains that are not fluid's. */
typedef struct DomainListing {
        const char *name, *uuid, *state;
} DomainListing;
typedef void (*ManagerDomainsDone)(const DomainListing *domains, size_t n, int r, const Fault *f,
                                   void *userdata);
int manager_list_domains(Manager *m, ManagerDomainsDone done, void *userdata, Fault *f);

/* How an operation ended; runs once, on the loop, never before the starter returned. The starter's
 * own negative return means that nothing was begun and done() will not be called. */
typedef void (*OperationDone)(int r, const Fault *f, void *userdata);
