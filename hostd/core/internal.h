/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of core know of each other: the objects' insides. For core/ only. */

#include "base/json.h"
#include "base/name.h"
#include "core/approval.h"
#include "core/audit.h"
#include "core/command.h"
#include "core/diff.h"
#include "core/manager.h"
#include "core/playbook.h"
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

typedef struct AuditKeeper AuditKeeper;
typedef struct Isolation Isolation;

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
        uid_t qemu_uid;
        gid_t qemu_gid;
        AuditKeeper *audit;
        Isolation *isolation;
        sd_event_source *approval_timer, *drops_timer;
        GQueue notifications; /* ids of approvals that a person has not been told of */
        bool is_notifying;
        bool is_playing;   /* one playbook at a time is applied, */
        bool is_checking;  /* and one run in check mode for an approval */
        bool is_importing; /* one playbook at a time is imported */
        char *memory_abi;  /* of this host's libvirt, or NULL: not known yet */
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
/* Tells the sandboxes what becomes of their domains (core/manager-domains.c). */
extern const HypervisorObserver manager_hypervisor_observer;
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
/* FAULT_LIMITS_EXCEEDED where that owner's sandboxes use too much disk, or memory with `more_bytes`
 * of it. */
int manager_check_owner(const Manager *m, uint32_t uid, uint64_t more_bytes, Fault *f);

/* -- the audit trail (core/audit-trail.c) ------------------------------------------------------ */

int audit_keeper_new(Manager *m, Fault *f);
/* When no worker runs any more. */
void audit_keeper_free(Manager *m);

/* -- templates ------------------------------------------------------------------------------ */

struct Template {
        Manager *manager;
        TemplateRow *row;
        bool is_busy; /* importing or being removed */
        WaitList waiters;
        /* core/warm.c */
        Id builder_id;          /* of the sandbox that its next image is made in, or empty */
        const char *warm_phase; /* "" where none is made */
        Fault warm_fault;       /* why the last one failed */
        WaitList warm_waiters;
        sd_event_source *pool_timer;
        uint64_t pool_retry_usec;  /* monotonic: no sooner is one made, after a failure */
        uint64_t pool_refill_usec; /* monotonic: nor than this, after one was taken */
        uint64_t pool_taken_usec;  /* monotonic: the last one, or when the pool was asked for */
        bool is_cooling;
};

int template_load_all(Manager *m, Fault *f);
Template *template_free(Template *t);
char *template_path(const Manager *m, const char *id, const char *file);
/* FAULT_WRONG_STATE where a disk of a cloned domain is not as it was when it was imported. */
int template_check_unchanged(const Template *t, Fault *f);

/* -- warm templates and pools (core/warm.c, core/pool.c)
 * ---------------------------------------------------- */

#define PURPOSE_WARM "warm"
#define PURPOSE_POOL "pool"

/* The point, with a memory that this host can load, that sandboxes of that size are copies of; NULL
 * where there is none: then one is made, if the template is to be kept warm. */
Snapshot *warm_find_image(Template *t, unsigned vcpus, uint64_t memory_bytes);
/* A sandbox that is ready to be handed out, or NULL. */
Sandbox *pool_find(Template *t, unsigned vcpus, uint64_t memory_bytes);
/* Something changed: the pool is brought to its size, from the loop, one step at a time. */
void pool_tend(Template *t);
void pool_tend_all(Manager *m);
/* One was handed out. */
void pool_taken(Template *t);
/* What an earlier process left half-made is removed, what is missing made; libvirtd is there. */
void warm_reconcile(Manager *m);
/* Destroys all that the template has of the kind; done when nothing is left. */
void warm_clear(Template *t, OperationDone done, void *userdata);

/* -- sandboxes ------------------------------------------------------------------------------ */

/* What has to be done in a guest that went on from a memory image before it is ready. */
typedef enum Renewal {
        RENEW_NOTHING,
        RENEW_CLOCK,    /* it is the same guest, later */
        RENEW_IDENTITY, /* it is a copy */
        RENEW_HOSTNAME, /* it was a pool's */
} Renewal;

typedef enum TimingStep {
        TIMING_OVERLAY,
        TIMING_RULES,
        TIMING_DOMAIN,
        TIMING_RESTORE,
        TIMING_AGENT,
        TIMING_IDENTITY,
        TIMING_NETWORK,
        _TIMING_STEP_MAX,
} TimingStep;

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
        Renewal renewal;
        GuestTask *renewal_task;
        uint64_t clock_usec; /* monotonic: when the time was read that its clock is set to */
        unsigned clock_tries;
        bool is_announced;  /* known to the bus */
        bool is_on_disk;    /* paused, with its memory in a file and none in RAM */
        bool is_halted;     /* paused by QEMU, for want of room on the disk */
        bool is_detaching;  /* its channel is closed, and its commands run on */
        bool is_flattening; /* a worker copies what is below its top layer into that */
        uint64_t used_usec; /* monotonic: when somebody last worked in it */
        sd_event_source *idle_timer;
        uint64_t step_usec; /* monotonic: when the present step of its creation began */
        SandboxTiming timing[_TIMING_STEP_MAX];
        bool has_timing;
        /* core/network*.c */
        bool has_nic;   /* its domain has it, and its cable is in */
        bool wants_nic; /* it is ready when it has that */
        bool is_online; /* its address answered since then */
        bool is_cut_off;
        bool is_listing_nics, is_removing_nics;
        bool needs_devices; /* they are to be looked at */
        bool has_stuck_nic; /* one was not let go, and only its cable is looked after */
        bool is_foreign_told;
        unsigned nic_generation;
        uint64_t plug_retry_usec; /* monotonic: no sooner is it plugged in */
        uint64_t drops_told;      /* frames, in the trail */
        Fault network_fault;
        struct NetworkChange *network_change;
        GArray *named; /* addresses of names that it was let to */
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
/* Whoever waits for it looks again. */
void sandbox_notify(Sandbox *s);
/* Counts as work in it. */
int sandbox_require_ready(Sandbox *s, Fault *f);
bool sandbox_is_on(const Sandbox *s);
/* It has memory of this host's: it is on, or paused in RAM. */
bool sandbox_holds_memory(const Sandbox *s);

/* Its guest rebooted: what has no kernel to boot any more is switched off and on. */
void sandbox_rebooted(Sandbox *s);

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
/* Its time stands still because an approval waits, or goes on; in the row, which is not saved yet.
 */
void sandbox_set_held(Sandbox *s, bool is_held);
/* What kept its time still since then ends now; what else keeps it so began then, or 0. */
void sandbox_add_standstill(Sandbox *s, uint64_t since_usec, uint64_t other_since_usec);
void sandbox_arm_idle(Sandbox *s);
/* Somebody works in it. */
void sandbox_touch(Sandbox *s);
/* The bus gets to know it, and its points, unless fluid keeps it for itself. */
void sandbox_announce(Sandbox *s);
bool sandbox_is_hidden(const Sandbox *s);
/* The step that began at step_usec has ended now. */
void sandbox_time(Sandbox *s, TimingStep step);
void sandbox_begin_timing(Sandbox *s, uint64_t begun_usec);
/* Its agent answers, and what had to be renewed is. */
void sandbox_become_ready(Sandbox *s);
/* A guest without an answer has no business running. */
void sandbox_fail_boot(Sandbox *s, const Fault *f);
/* Does what is due before the guest is ready; true where that goes on (core/renewal.c). */
bool sandbox_begin_renewal(Sandbox *s);
/* As soon as no other operation is under way. */
void sandbox_pull_plug(Sandbox *s);
/* The channel goes, the guest and what runs in it stay. */
void sandbox_detach(Sandbox *s);
void sandbox_begin_wait_for_agent(Sandbox *s);

/* A sandbox with that row, which it takes, on the template's images, or on `point` of another one;
 * with `boots` even where the point has a memory. Takes `entry`, also on failure. */
int sandbox_make(Manager *m, SandboxRow *row, Template *t, Snapshot *point, bool boots,
                 AuditEntry *entry, Sandbox **ret, Fault *f);
/* What a domain of it is to be; the strings are owned: domain_spec_clear(). `memory_layer`: start
 * from that layer's image; 0: boot. */
void sandbox_fill_spec(const Sandbox *s, const GPtrArray *disks, DomainSpec *spec);
void domain_spec_clear(DomainSpec *spec);
SandboxRow *sandbox_new_row(const Caller *caller, const SandboxSpec *spec, const Template *t);

/* -- networks (core/network.c) ---------------------------------------------------------------- */

/* FAULT_… where the caller may not have that; else the row, which has an id, has profile, address
 * (a new one where it has none) and ports. */
int network_admit(Manager *m, const Caller *caller, const SandboxSpec *spec, SandboxRow *row,
                  Fault *f);
int network_check_profile(const Manager *m, const Caller *caller, const char *profile, Fault *f);
/* As rows have them; FAULT_EXISTS where another sandbox than that has one of them. */
int network_format_ports(const Manager *m, const char *id, const char *const *ports, char **ret,
                         Fault *f);
/* As sandbox_set_network(), where a person has allowed it: that approval's id is in the trail. */
int network_set_approved(Sandbox *s, Caller *caller, const char *profile, const char *approval_id,
                         OperationDone done, void *userdata, Fault *f);
/* Of FirewallPort. */
GArray *network_ports_of(const SandboxRow *row);
/* Why it has no network; NULL: it is as it ought to be. */
void network_set_fault(Sandbox *s, const Fault *f);
void network_forget(Sandbox *s);
struct NetworkChange *network_change_free(struct NetworkChange *q);
/* The resolver let it to an address; and that is of no use any more. */
void network_remember_name(Sandbox *s, uint32_t address, uint32_t ttl_sec);
void network_forget_names(Sandbox *s);

/* core/network-drops.c: rows "network.drops" of what was dropped, now and then from now on; now; of
 * one that is destroyed. */
void network_watch_drops(Manager *m);
void network_tell_drops(Manager *m);
void network_tell_last_drops(Sandbox *s);

/* -- NICs (core/network-plug.c) ---------------------------------------------------------------- */

/* NULL where it has no network. */
DomainNic *network_nic_new(const Sandbox *s);
/* The same that it may boot with: NULL also where its rules are not in the kernel now. */
DomainNic *network_boot_nic(const Sandbox *s);
DomainNic *network_nic_free(DomainNic *nic);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DomainNic, network_nic_free)

/* Gives a guest that is about to be ready its NIC; true where that goes on. */
bool network_begin(Sandbox *s);
/* One that ought to have a NIC and has none gets it; all, without a pause. */
void network_tend(Sandbox *s);
void network_plug_all(Manager *m);
/* The domain was started with it; is off; runs again, and its NIC is looked at anew. */
void network_is_started(Sandbox *s);
void network_is_off(Sandbox *s);
void network_is_resumed(Sandbox *s);
/* The NIC that it has, which is taken out for a while; or NULL. */
DomainNic *network_lend_nic(Sandbox *s);
void network_is_online(Sandbox *s);
/* A NIC that is not to be there was taken out, or could not be. */
void network_is_stuck(Sandbox *s, int r, const Fault *f);
void network_set_has_nic(Sandbox *s, bool has_nic);
void network_is_lost(Sandbox *s);
/* Somebody may have plugged something in, or out (core/network-devices.c). */
void network_check_devices(Sandbox *s);

/* Of a sandbox with an operation; takes the NIC. */
typedef enum PlugStep { PLUG_NOTHING, PLUG_IN, PLUG_CABLE, PLUG_OUT } PlugStep;
typedef void (*PlugDone)(Sandbox *s, int r, const Fault *f);
void network_plug(Sandbox *s, PlugStep step, DomainNic *nic, PlugDone done);

/* For workers. `nic` may be NULL in the last one: it starts without. */
int network_plug_in(Hypervisor *h, const char *id, const DomainNic *nic, Fault *f);
int network_unplug(Hypervisor *h, const char *id, const DomainNic *nic, Fault *f);
int network_start(Hypervisor *h, const char *id, const DomainNic *nic, Fault *f);
int network_start_domain(Hypervisor *h, const char *id, const DomainNic *nic, Fault *f);
/* Whether it has a NIC that is not fluid's. */
bool network_has_foreign(Hypervisor *h, const char *id);

/* -- memory (core/memory.c) ---------------------------------------------------------------------
 */

typedef struct MemoryFiles {
        DomainMemory memory; /* points to the strings below */
        char *ram, *state, *xml;
} MemoryFiles;
/* The image of a layer; freed with memory_files_free(). */
MemoryFiles *memory_files_new(const Manager *m, const char *sandbox_id, unsigned layer);
/* A stream: "paused", or of a snapshot under way. */
MemoryFiles *memory_stream_new(const Manager *m, const char *sandbox_id, const char *name);
MemoryFiles *memory_files_free(MemoryFiles *files);
void memory_files_remove(const MemoryFiles *files);
uint64_t memory_files_bytes(const MemoryFiles *files);
bool memory_files_exist(const MemoryFiles *files);
#define MEMORY_PAUSED "paused"
#define MEMORY_CUT    "cut"

/* FAULT_WRONG_STATE where this host cannot load it. */
int memory_check(const Manager *m, const Snapshot *snapshot, Fault *f);
/* Forgets the object, its snapshots and commands, and frees it; its waiters learn why. */
void sandbox_forget(Sandbox *s, const Fault *why);
/* Ends the calls that asked for its destruction; NULL is allowed. */
void sandbox_answer_destroyers(GPtrArray *destroyers, int r, const Fault *f);
/* Takes up the call that an earlier process had begun; forgets those there are. */
void sandbox_resume_destruction(Sandbox *s);
void sandbox_discard_destroyers(Sandbox *s);
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
/* Removes layers and memory images that neither the sandbox nor a snapshot of it is in. */
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
/* Layers down to the template, this one counted. */
unsigned snapshot_depth(const Snapshot *snapshot);
/* The same of the layer that the sandbox writes to. */
unsigned sandbox_depth(const Sandbox *s);
void snapshot_forget(Snapshot *snapshot);
void snapshot_become_known(Snapshot *snapshot);
/* The row of a copy of it for another sandbox. */
SnapshotRow *snapshot_copy_row(const Snapshot *snapshot);
/* For the audit trail. */
Json *snapshot_detail(const char *name);
/* With a name that no caller may give. */
int snapshot_create_own(Sandbox *s, const char *name, bool memory, SnapshotDone done,
                        void *userdata, Fault *f);

/* A point whose cut was under way when the daemon was killed: `layer` is what the domain writes to.
 */
int snapshot_settle(Snapshot *snapshot, unsigned layer, Fault *f);
/* Such a point, or NULL. */
Snapshot *snapshot_find_unsettled(const Sandbox *s);

/* The hidden point of a diff: cuts, and merges away again, without audit; the sandbox's operation
 * is held by the caller. */
/* `may_stay`: it may get a name instead, so that the chain is to have room for it. */
int snapshot_cut_hidden(Sandbox *s, bool may_stay, SnapshotDone done, void *userdata, Fault *f);
void snapshot_merge_hidden(Snapshot *hidden, OperationDone done, void *userdata);
/* Gives it a name and writes that, in a transaction; where that is rolled back, NULL takes the name
 * away again. Once committed, snapshot_publish() tells of it. */
int snapshot_name_hidden(Snapshot *hidden, const char *name, Fault *f);
void snapshot_publish(Snapshot *snapshot);
/* FAULT_LIMITS_EXCEEDED, where the sandbox has as many as it may. */
int snapshot_check_quota(const Sandbox *s, Fault *f);
/* The domain was found to write to the hidden point's layer: it had been merged. */
int snapshot_settle_merge(Snapshot *hidden, Fault *f);

/* -- commands ------------------------------------------------------------------------------- */

int command_load_all(Manager *m, Fault *f);
Command *command_free(Command *c);
/* Its sandbox's agent answers: take up the wait for commands of an earlier process. */
void command_resume_all(Sandbox *s);
/* The guest is gone: every command that still runs has failed with that. */
void command_fail_all(Sandbox *s, FaultCode code, const char *reason);
/* The guest was asked to start one, and has not said its number yet. */
bool command_is_starting(const Sandbox *s);
/* Removes output that no command has written. */
void command_remove_unused(const Sandbox *s);
/* Forgets all commands of a sandbox that is destroyed. */
void command_forget_all(Sandbox *s);

/* -- approvals (core/approval.c) ------------------------------------------------------------- */

/* With what an earlier process had begun to apply resolved. */
int approval_load_all(Manager *m, Fault *f);
Approval *approval_free(Approval *a);
/* Begins the checks (core/approval-check.c) that wait, one at a time; the loop sees their end. */
void approval_check_next(Manager *m);
/* The sandbox is gone: what was asked about it is void. */
void approval_sandbox_gone(Manager *m, const char *sandbox_id);
/* People are told of those that wait, which they have not been told of. */
void approval_notify_all(Manager *m);

/* -- playbooks (core/playbook.c) --------------------------------------------------------------- */

int playbook_load_all(Manager *m, Fault *f);
Playbook *playbook_free(Playbook *p);
/* Sandboxes of verifications that an earlier process had begun; libvirtd is there. */
void playbook_destroy_unused(Manager *m);

/* -- what is made of a diff (core/diff.c) -------------------------------------------------------
 */

/* fluid-diff is run with these options, and the two points compared by walking. `now` of a sandbox
 * that does not run is cut, too, where the point is to stay. The files are borrowed until done(),
 * the rest during the call. */
typedef struct DiffJob {
        const Sandbox *from_sandbox; /* whose point `from` is; NULL: the same one's */
        const char *from, *to;
        const char *const *options; /* NULL-terminated */
        const int *fds;             /* which it gets as 3, 4, … */
        size_t n_fds;
        uint64_t size_max; /* of what it writes */
        bool keeps_point;
        /* On the loop, when both points stand still, and before it; or NULL: done() is to be called
         * once. */
        int (*prepare)(void *userdata, OperationDone done, void *done_userdata, Fault *f);
        /* In the worker, after it; or NULL. */
        int (*finish)(int fd, void *userdata, Fault *f);
        /* Then on the loop, or NULL: writes down what was made, with the end of the entry. `hidden`
         * is the point that was cut, or NULL: where this succeeds it is not merged away. */
        int (*commit)(Snapshot *hidden, AuditEntry *entry, void *userdata, Fault *f);
} DiffJob;

/* `action` may be NULL: then there is no audit. Takes `detail`. */
int diff_start_job(Sandbox *s, Caller *caller, const DiffJob *job, const char *action, Json *detail,
                   DiffDone done, void *userdata, Fault *f);

/* The state's reason as long as a restore is under way that the sandbox is to run after. */
#define REASON_RESTORING "it is being restored"

/* -- restore.c ------------------------------------------------------------------------------ */

/* Makes the domain use the layer that the sandbox's row names, standing on its head: the second
 * half of a restore, which can be done again at any time. The sandbox's operation is held by the
 * caller. */
void restore_finish(Sandbox *s, unsigned previous_layer, bool was_on, OperationDone done,
                    void *userdata);
/* -- merge.c: a chain that has grown long ------------------------------------------------------ */

/* Begins to make its top layer stand on the template alone, if its chain is long and it runs. */
void merge_if_deep(Sandbox *s);
/* Whether another layer would be one too many: the top has to be made flat before. */
bool merge_is_due(const Sandbox *s);
/* The same while the operation waits for it. */
void merge_now(Sandbox *s, OperationDone done, void *userdata);

/* -- pause.c ------------------------------------------------------------------------------------
 */

/* The domain is paused, or off with its memory on disk, as its row says. */
void pause_follow(Sandbox *s, DomainState state);
/* QEMU has paused it: from now on its row says so, too. */
void pause_halted(Sandbox *s);
/* It runs again: its time goes on. */
void pause_end(Sandbox *s);
/* Forgets hidden points, and their layers, on which nothing stands any more. */
void restore_drop_unused(Sandbox *s);

/* -- reconcile.c ---------------------------------------------------------------------------- */

/* Compares one sandbox with libvirt and its files, and adopts, finishes or cleans. */
void reconcile_sandbox(Sandbox *s);
/* Removes domains and directories of fluid's own that no sandbox has. */
void reconcile_orphans(Manager *m);
