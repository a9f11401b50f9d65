/* SPDX-License-Identifier: MIT */
#pragma once

/* One disposable virtual machine: its life from creation to destruction. */

#include "core/manager.h"
#include "store/store.h"

typedef enum SandboxState {
        SANDBOX_CREATING,
        SANDBOX_STARTING,
        SANDBOX_READY,
        SANDBOX_PAUSED,
        SANDBOX_STOPPED,
        SANDBOX_FAILED,
        SANDBOX_UNKNOWN,
        SANDBOX_DESTROYING,
        _SANDBOX_STATE_MAX,
} SandboxState;

const char *sandbox_state_to_string(SandboxState state);

typedef struct SandboxSpec {
        const char *name; /* NULL: the id */
        const char *agent;
        const char *template;
        const char *network;        /* NULL: "none" */
        const char *const *ports;   /* published, as network_port_parse() takes them; or NULL */
        const char *labels;         /* a JSON object of strings, or NULL */
        unsigned vcpus;             /* 0: the template's */
        uint64_t memory_bytes;      /* 0: the template's */
        uint64_t ttl_usec;          /* 0: the host's default */
        uint64_t boot_timeout_usec; /* 0: the host's default */
        uint64_t idle_timeout_usec; /* 0: the host's default */
        bool boots;                 /* even where there is a memory image or a pool */
} SandboxSpec;

/* Begins to create and boot; sandbox_wait() tells how that went. A sandbox that could not be made
 * ends every wait with the reason and is gone; one whose agent did not answer in time is "failed".
 */
int sandbox_create(Manager *m, Caller *caller, const SandboxSpec *spec, Sandbox **ret, Fault *f);

/* Makes a sandbox on the snapshot of that name, or on a new one, with memory if `source` runs,
 * where it is "now". It has the points that this stands on, with the same names, and lives on when
 * `source` is destroyed. A snapshot with memory goes on running in it, unless spec->boots. Of the
 * spec, template, vcpus and memory_bytes are not looked at. `branch` is valid during the call. */
typedef void (*SandboxBranchDone)(Sandbox *branch, int r, const Fault *f, void *userdata);
int sandbox_branch(Sandbox *source, Caller *caller, const char *snapshot, const SandboxSpec *spec,
                   SandboxBranchDone done, void *userdata, Fault *f);

int sandbox_start(Sandbox *s, Caller *caller, Fault *f);
int sandbox_stop(Sandbox *s, Caller *caller, bool force, Fault *f);

/* Stops its CPUs, and its time to live with them; `to_disk` writes its memory to disk, so that it
 * takes none. Commands in it go on when it is resumed; their time does not stop. */
int sandbox_pause(Sandbox *s, Caller *caller, bool to_disk, OperationDone done, void *userdata,
                  Fault *f);
/* Done when it runs again; "ready" follows. */
int sandbox_resume(Sandbox *s, Caller *caller, OperationDone done, void *userdata, Fault *f);

/* Removes it with all that it has. Waits for an operation under way. */
int sandbox_destroy(Sandbox *s, Caller *caller, OperationDone done, void *userdata, Fault *f);

/* `wanted`: "ready", "paused", "stopped", "failed" or "" (any settled state). Ends when it is
 * reached or cannot be reached any more without another call; the state then is sandbox_state(). */
int sandbox_wait(Sandbox *s, const char *wanted, uint64_t timeout_usec, OperationDone done,
                 void *userdata, Fault *f);

int sandbox_extend_ttl(Sandbox *s, Caller *caller, uint64_t ttl_usec, Fault *f);

SandboxState sandbox_state(const Sandbox *s);
/* Nothing is under way with it: what is told of it stays true until the observer hears of it. */
bool sandbox_is_at_rest(const Sandbox *s);
bool sandbox_is_visible(const Sandbox *s, const Caller *caller);
const char *sandbox_template_name(const Sandbox *s);
/* The name of the snapshot that its head stands on, or "template". */
const char *sandbox_head_name(const Sandbox *s);

/* Where the time of its creation went, in order; `n` is set to 0 where that is not known any more.
 */
typedef struct SandboxTiming {
        const char
                *step; /* "overlay", "rules", "domain", "restore", "agent", "identity", "network" */
        uint64_t usec;
} SandboxTiming;
const SandboxTiming *sandbox_timing(const Sandbox *s, size_t *ret_n);

/* Its record; valid until the loop goes on. */
const SandboxRow *sandbox_row(const Sandbox *s);

/* -- files in the guest (core/transfer.c) -------------------------------------------------------
 */

#define TRANSFER_INLINE_MAX (1024 * 1024)

/* At most TRANSFER_INLINE_MAX bytes; `content` is valid during the call. */
typedef void (*SandboxReadDone)(const void *content, size_t size, int r, const Fault *f,
                                void *userdata);
int sandbox_read_file(Sandbox *s, Caller *caller, const char *path, uint64_t offset, uint64_t size,
                      SandboxReadDone done, void *userdata, Fault *f);
int sandbox_write_file(Sandbox *s, Caller *caller, const char *path, const void *content,
                       size_t size, int mode, OperationDone done, void *userdata, Fault *f);

/* Whole files to and from a descriptor, of which a copy is taken: regular files only. `size` is
 * what was moved. */
typedef void (*SandboxTransferDone)(uint64_t size, int r, const Fault *f, void *userdata);
int sandbox_pull_file(Sandbox *s, Caller *caller, const char *path, int fd,
                      SandboxTransferDone done, void *userdata, Fault *f);
int sandbox_push_file(Sandbox *s, Caller *caller, const char *path, int fd, int mode,
                      SandboxTransferDone done, void *userdata, Fault *f);
