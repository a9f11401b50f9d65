/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of core know of each other: the objects' insides. For core/ only. */

#include "base/json.h"
#include "base/name.h"
#include "core/audit.h"
#include "core/command.h"
#include "core/manager.h"
#include "core/sandbox.h"
#include "core/snapshot.h"
#include "core/template.h"
#include "core/wait.h"
#include "host/agent.h"
#include "host/guest.h"
#include "host/hypervisor.h"
#include "host/image.h"
#include "loop/worker.h"
#include "store/store.h"

struct Manager {
        sd_event *event;
        Config *config;
        GPtrArray *old_configs; /* of before a reload; workers may still read them */
        Store *store;
        Hypervisor *hypervisor;
        Workers *workers;
        GHashTable *objects[_OBJECT_KIND_MAX]; /* by id; the object owns its id */
        const ManagerObserver *observer;
        void *observer_userdata;
        uid_t qemu_uid, diff_uid;
        gid_t qemu_gid, diff_gid;
        bool is_draining, is_closing;
        unsigned operations; /* under way; a drain waits for 0 */
        sd_event_source *drain_timer, *drain_check;
        void (*drained)(void *userdata);
        void *drained_userdata;
};

/* -- manager.c ------------------------------------------------------------------------------ */

void manager_add(Manager *m, ObjectKind kind, const char *id, void *object);
/* Forgets it and tells the observer; does not free it. */
void manager_remove(Manager *m, ObjectKind kind, const char *id, void *object);
void manager_changed(Manager *m, ObjectKind kind, void *object);
/* One more, or one less, that a drain waits for. */
void manager_begin_operation(Manager *m);
void manager_end_operation(Manager *m);
/* FAULT_WRONG_STATE while draining, FAULT_NO_SPACE below the disk floor. */
int manager_admits_work(const Manager *m, Fault *f);
int manager_has_room(const Manager *m, Fault *f);
/* All sandboxes, snapshots and commands, oldest first; the container is freed by the caller. */
GPtrArray *manager_list(const Manager *m, ObjectKind kind);
/* The caller of what fluid does by itself. */
Caller manager_own_caller(void);

/* -- templates ------------------------------------------------------------------------------ */

struct Template {
        Manager *manager;
        TemplateRow *row;
        bool is_busy; /* importing or being removed */
        WaitList waiters;
};

int template_load_all(Manager *m, Fault *f);
Template *template_free(Template *t);
char *template_path(const Manager *m, const char *id, const char *file);
/* FAULT_WRONG_STATE where a disk of a cloned domain is not as it was when it was imported. */
int template_check_unchanged(const Template *t, Fault *f);

/* -- sandboxes ------------------------------------------------------------------------------ */

struct Sandbox {
        Manager *manager;
        SandboxRow *row;
        SandboxState state;
        Template *template;
        Agent *agent;              /* while its domain runs */
        const char *operation;     /* what is being done to it ("restored"), or NULL */
        unsigned probe_generation; /* a probe's answer counts only if nothing was begun since */
        bool is_probing, needs_probe, needs_reconcile, needs_plug_pulled;
        bool needs_thaw; /* it may have been left frozen by a daemon that was killed */
        sd_event_source *boot_timer, *stop_timer, *ttl_timer;
        AuditEntry *create_entry, *stop_entry;
        WaitList waiters;
        GPtrArray *destroyers;
        unsigned commands_running;
};

int sandbox_load_all(Manager *m, Fault *f);
Sandbox *sandbox_free(Sandbox *s);
char *sandbox_bus_path(const char *id);

/* Only one operation at a time: FAULT_BUSY, FAULT_WRONG_STATE. It keeps the object alive. */
int sandbox_begin_operation(Sandbox *s, const char *what, Fault *f);
/* May destroy the sandbox, if that was asked for meanwhile. */
void sandbox_end_operation(Sandbox *s);

/* Persists (a failure is logged: the state is probed again at the next start) and tells everybody.
 */
void sandbox_set_state(Sandbox *s, SandboxState state, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
int sandbox_save(Sandbox *s, Fault *f);
int sandbox_require_ready(const Sandbox *s, Fault *f);
bool sandbox_is_on(const Sandbox *s);

/* The domain runs, or does not any more: the agent's channel follows. */
void sandbox_domain_is_on(Sandbox *s);
void sandbox_domain_is_off(Sandbox *s, const char *reason);
/* Its running commands have failed with that reason; the state stays. */
void sandbox_close_channel(Sandbox *s, const char *reason);
/* The state becomes what the domain's is. */
void sandbox_follow(Sandbox *s, DomainState state);
/* Asks libvirt what its domain does, and follows. */
void sandbox_probe(Sandbox *s);
void sandbox_destroy_unfinished(Sandbox *s);
void sandbox_arm_ttl(Sandbox *s);
/* Forgets the object, its snapshots and commands, and frees it; its waiters learn why. */
void sandbox_forget(Sandbox *s, const Fault *why);
/* Ends the calls that asked for its destruction; NULL is allowed. */
void sandbox_answer_destroyers(GPtrArray *destroyers, int r, const Fault *f);
/* Removes what a creation that failed or was interrupted has left (core/create.c). */
void sandbox_abandon_creation(Sandbox *s, const Fault *why);

char *sandbox_directory(const Manager *m, const char *id);
char *sandbox_runtime_directory(const Manager *m, const char *id);
char *sandbox_file(const Manager *m, const char *id, const char *file);
char *sandbox_layer_path(const Manager *m, const char *id, unsigned layer, const char *target);

/* -- layers (core/layer.c): the files of a sandbox's overlay tree -------------------------------
 */

typedef struct LayerDisk {
        char *target;
        char *path;         /* of the layer */
        char *backing_path; /* what it stands on */
        ImageFormat backing_format;
} LayerDisk;

/* Of a layer's file; 0 where it is none. */
unsigned layer_number(const char *path);
/* The disks of layer number `layer` standing on snapshot `on` (NULL: the template). */
GPtrArray *layer_plan(const Sandbox *s, unsigned layer, const Snapshot *on);
/* Blocking, for workers; on failure nothing of it is left. */
int layer_create(const GPtrArray *disks, uid_t uid, gid_t gid, Fault *f);
void layer_remove(const GPtrArray *disks);
/* Removes layers that neither the sandbox nor a snapshot of it is in. */
void layer_remove_unused(const Sandbox *s);
/* As the host layer wants them; valid as long as the plan. */
DomainDisk *layer_domain_disks(const GPtrArray *disks);

/* -- snapshots ------------------------------------------------------------------------------ */

struct Snapshot {
        Manager *manager;
        SnapshotRow *row;
        Sandbox *sandbox;
        unsigned readers; /* diffs that read its layer */
        bool is_visible;  /* known to the bus */
};

int snapshot_load_all(Manager *m, Fault *f);
Snapshot *snapshot_free(Snapshot *snapshot);
Snapshot *snapshot_find(const Sandbox *s, const char *name);
Snapshot *snapshot_by_id(const Manager *m, const char *id);
Snapshot *snapshot_head(const Sandbox *s);
/* The next one below with a name, or NULL: the template. */
Snapshot *snapshot_named_below(const Manager *m, Snapshot *snapshot);
GPtrArray *snapshot_list(const Sandbox *s);
unsigned snapshot_depth(const Snapshot *snapshot);
void snapshot_forget(Snapshot *snapshot);

/* A point whose cut was under way when the daemon was killed: `layer` is what the domain writes to.
 */
int snapshot_settle(Snapshot *snapshot, unsigned layer, Fault *f);
/* Such a point, or NULL. */
Snapshot *snapshot_find_unsettled(const Sandbox *s);

/* The hidden point of a diff: cuts, and merges away again, without audit; the sandbox's operation
 * is held by the caller. */
int snapshot_cut_hidden(Sandbox *s, SnapshotDone done, void *userdata, Fault *f);
void snapshot_merge_hidden(Snapshot *hidden, OperationDone done, void *userdata);
/* The domain was found to write to the hidden point's layer: it had been merged. */
int snapshot_settle_merge(Snapshot *hidden, Fault *f);

/* -- commands ------------------------------------------------------------------------------- */

int command_load_all(Manager *m, Fault *f);
Command *command_free(Command *c);
/* Its sandbox's agent answers: take up the wait for commands of an earlier process. */
void command_resume_all(Sandbox *s);
/* The guest is gone: every command that still runs has failed with that. */
void command_fail_all(Sandbox *s, FaultCode code, const char *reason);
/* Removes output that no command has written. */
void command_remove_unused(const Sandbox *s);
/* Forgets all commands of a sandbox that is destroyed. */
void command_forget_all(Sandbox *s);

/* -- restore.c ------------------------------------------------------------------------------ */

/* Makes the domain use the layer that the sandbox's row names, standing on its head: the second
 * half of a restore, which can be done again at any time. The sandbox's operation is held by the
 * caller. */
void restore_finish(Sandbox *s, unsigned previous_layer, bool was_on, OperationDone done,
                    void *userdata);
/* Forgets hidden points, and their layers, on which nothing stands any more. */
void restore_drop_unused(Sandbox *s);

/* -- reconcile.c ---------------------------------------------------------------------------- */

/* Compares one sandbox with libvirt and its files, and adopts, finishes or cleans. */
void reconcile_sandbox(Sandbox *s);
