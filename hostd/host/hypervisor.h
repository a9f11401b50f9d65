/* SPDX-License-Identifier: MIT */
#pragma once

/* libvirt: the connection, its news, and what fluid asks of it.
 *
 * One connection for events and keep-alive, owned by a thread that runs libvirt's event loop;
 * another for calls. Both are opened again, with growing pauses of up to 5 s, whenever they break.
 * News are handed to the observer on the loop, in order. The blocking calls below are for worker
 * threads, may run at the same time, and report FAULT_HYPERVISOR_UNAVAILABLE while there is no
 * connection, else FAULT_HYPERVISOR_FAILED with libvirt's own words. Every domain of fluid's is
 * named "fluid-<id>" and carries <fluid:sandbox xmlns:fluid="urn:fluid:sandbox:1" id="<id>"/> in
 * its metadata; no call here changes any other domain: FAULT_EXISTS where one has such a name
 * without the metadata. After FAULT_HYPERVISOR_UNAVAILABLE it is not known whether a change was
 * made: ask for the state. */

#include "base/fault.h"

#include <glib.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define DOMAIN_PREFIX    "fluid-"
#define DOMAIN_NAMESPACE "urn:fluid:sandbox:1"

typedef struct Hypervisor Hypervisor;

typedef enum DomainState {
        DOMAIN_ABSENT, /* not defined */
        DOMAIN_SHUT_OFF,
        DOMAIN_PAUSED,
        DOMAIN_RUNNING,
        DOMAIN_CRASHED,
        _DOMAIN_STATE_MAX,
} DomainState;

typedef struct HypervisorObserver {
        /* The connection is there (also the first time) or was lost. */
        void (*connected)(bool is_connected, void *userdata);
        /* Domain fluid-<sandbox_id> is in that state now; only of domains with such a name. A state
         * may be told again without a change. */
        void (*domain)(const char *sandbox_id, DomainState state, void *userdata);
} HypervisorObserver;

/* `virt_type` is "auto", "kvm" or "qemu"; auto takes kvm where libvirt's capabilities offer it.
 * Begins to connect; connected() tells when. */
int hypervisor_new(sd_event *event, const char *uri, const char *virt_type,
                   const HypervisorObserver *observer, void *userdata, Hypervisor **ret, Fault *f);
Hypervisor *hypervisor_free(Hypervisor *h);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Hypervisor, hypervisor_free)

bool hypervisor_is_connected(const Hypervisor *h);

/* -- domains -------------------------------------------------------------------------------- */

typedef struct DomainDisk {
        char *target; /* "vda" */
        char *path;   /* the writable overlay, qcow2; its backing chain is in its header */
} DomainDisk;

typedef struct DomainSpec {
        const char *id;        /* of the sandbox */
        const char *title;     /* its name, for people who read virsh list --title */
        const char *blueprint; /* domain XML from domain_blueprint(), or NULL for the default */
        unsigned vcpus;
        uint64_t memory_bytes; /* a multiple of 1 MiB */
        const DomainDisk *disks;
        size_t n_disks;
        const char *kernel; /* direct kernel boot; NULL: the disk's own boot loader */
        const char *initrd;
        const char *cmdline;
        const char *agent_socket; /* where QEMU listens */
        const char *console_log;  /* the serial console, through virtlogd, which bounds it */
        const char *nvram;        /* this sandbox's own UEFI variables, or NULL */
        uid_t qemu_uid;           /* QEMU runs as; the files are set up for it by the caller */
        gid_t qemu_gid;
} DomainSpec;

/* The domain's XML (host/domain-xml.c); pure. `virt_type` "kvm" or "qemu". Freed by the caller. */
int domain_format_xml(const DomainSpec *spec, const char *virt_type, char **ret_xml, Fault *f);

/* Defines the domain and starts it. On failure it is undefined again. */
int hypervisor_create_domain(Hypervisor *h, const DomainSpec *spec, Fault *f);

/* Starts a defined domain. */
int hypervisor_start_domain(Hypervisor *h, const char *id, Fault *f);

/* Presses the power button (ACPI); returns at once. */
int hypervisor_shut_down_domain(Hypervisor *h, const char *id, Fault *f);

/* Pulls the plug; 0 where it is off already or absent. Returns when it is off. */
int hypervisor_stop_domain(Hypervisor *h, const char *id, Fault *f);

/* Pulls the plug, undefines it (with NVRAM, managed save); 0 where it is absent. */
int hypervisor_remove_domain(Hypervisor *h, const char *id, Fault *f);

int hypervisor_domain_state(Hypervisor *h, const char *id, DomainState *ret, Fault *f);

/* The file that each disk of the domain writes to now, from the live XML; array freed with
 * domain_disks_free(). */
int hypervisor_domain_disks(Hypervisor *h, const char *id, DomainDisk **ret, size_t *ret_n,
                            Fault *f);
DomainDisk *domain_disks_free(DomainDisk *disks, size_t n);

/* Points the shut-off domain's definition at other overlays (restore). */
int hypervisor_set_domain_disks(Hypervisor *h, const char *id, const DomainDisk *disks, size_t n,
                                Fault *f);

/* Cuts every disk of an active domain at one instant: from then on it writes to disks[].path, an
 * overlay that is made here, on top of the present one and with its owner (DISK_ONLY, NO_METADATA,
 * ATOMIC, REUSE_EXT). FAULT_EXISTS where there is such a file. Nothing has changed on failure; only
 * after FAULT_HYPERVISOR_UNAVAILABLE the overlays are left, as the domain may have gone over to
 * them. */
int hypervisor_cut_disks(Hypervisor *h, const char *id, const DomainDisk *disks, size_t n,
                         Fault *f);

/* The reverse: commits the active domain's top layer of each disk into the one right below it and
 * goes on there. QEMU's user has to be allowed to write to base_disks[].path. The top files are
 * then unused. Idempotent per disk: one whose top is already base_disks[].path is left alone, and a
 * merge that was begun is taken up. FAULT_TIMED_OUT after 120 s for a disk. */
int hypervisor_merge_disks(Hypervisor *h, const char *id, const DomainDisk *base_disks, size_t n,
                           Fault *f);

/* Ids of all sandboxes that libvirt has a domain for, with their states. */
typedef struct DomainEntry {
        char id[16];
        DomainState state;
} DomainEntry;
int hypervisor_list_own_domains(Hypervisor *h, GArray **ret_entries, Fault *f);

/* -- other people's domains, read only -------------------------------------------------------- */

typedef struct ForeignDomain {
        char *name;
        char *uuid;
        DomainState state;
} ForeignDomain;
int hypervisor_list_foreign_domains(Hypervisor *h, GPtrArray **ret, Fault *f);

typedef struct SourceDisk {
        char *target;
        char *path;
        char *format; /* "qcow2" or "raw" */
} SourceDisk;

typedef struct Blueprint {
        char *xml; /* boot, firmware, machine, CPU, features, clock, controllers; no disk, NIC, id
                    */
        char *kernel, *initrd, *cmdline; /* or NULL */
        char *nvram;                     /* path of the source's UEFI variables, or NULL */
        unsigned vcpus;
        uint64_t memory_bytes;
        GPtrArray *disks; /* of SourceDisk, in boot order; file-backed and writable ones only */
} Blueprint;
Blueprint *blueprint_free(Blueprint *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Blueprint, blueprint_free)

/* What can be cloned of a domain's (inactive) XML; pure. FAULT_NOT_CLONEABLE names every part that
 * cannot (host devices, shared folders, block, network and volume disks, vhost-user, ivshmem, TPM
 * state, qemu:commandline, launch security, …) and says what to do. Empty CD-ROMs, NICs, graphics,
 * sound, USB redirection, channels, serial ports and the like are left out. */
int domain_blueprint(const char *xml, Blueprint **ret, Fault *f);

/* The same of a domain by name; FAULT_NOT_FOUND, FAULT_WRONG_STATE where it is not shut off. */
int hypervisor_domain_blueprint(Hypervisor *h, const char *name, Blueprint **ret, Fault *f);
