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

#include "base/address.h"
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
        DOMAIN_LOADING, /* QEMU waits for a memory that it is to start from */
        DOMAIN_PAUSED,
        DOMAIN_HALTED, /* paused by QEMU: there was no room for what it wrote to a disk */
        DOMAIN_RUNNING,
        DOMAIN_CRASHED,
        _DOMAIN_STATE_MAX,
} DomainState;

static inline bool domain_stands_still(DomainState state)
{
        return state == DOMAIN_PAUSED || state == DOMAIN_HALTED;
}

typedef struct HypervisorObserver {
        /* The connection is there (also the first time) or was lost. */
        void (*connected)(bool is_connected, void *userdata);
        /* Domain fluid-<sandbox_id> is in that state now; only of domains with such a name. A state
         * may be told again without a change. */
        void (*domain)(const char *sandbox_id, DomainState state, void *userdata);
        /* Its devices changed: somebody plugged one in or out. Also told of the calls below. May be
         * NULL. */
        void (*devices)(const char *sandbox_id, void *userdata);
        /* Its guest rebooted: its machine begins anew. May be NULL. */
        void (*reset)(const char *sandbox_id, void *userdata);
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

/* The content of a guest's RAM and devices, in files of fluid's.
 *
 * An image is what many domains start from: `ram` holds the RAM, of which each has a private,
 * copy-on-write mapping, and `state` the devices'. A stream, where `ram` is NULL, has both in
 * `state`. `xml` is the definition of the domain that was saved; what must be the same where it is
 * loaded (machine, CPU, devices and their addresses) is taken from there, and what is a domain's
 * own (name, disks, sockets, generation id) from its spec. No NIC is ever in it. */
typedef struct DomainMemory {
        const char *ram;   /* read and written by QEMU's user, who maps it; never changed */
        const char *state; /* handed to QEMU as a descriptor */
        const char *xml;
} DomainMemory;

/* Where the time of a start went. */
typedef struct DomainTiming {
        uint64_t define_usec;  /* definition */
        uint64_t start_usec;   /* QEMU's start, with what libvirt does about it */
        uint64_t restore_usec; /* loading the memory, and letting the CPUs run */
} DomainTiming;

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
        const char *agent_socket;   /* where QEMU listens */
        const char *console_log;    /* the serial console, through virtlogd, which bounds it */
        const char *nvram;          /* this sandbox's own UEFI variables, or NULL */
        const DomainMemory *memory; /* what it starts from; NULL: it boots */
        bool stays_paused;          /* its CPUs do not run yet */
        uid_t qemu_uid;             /* QEMU runs as; the files are set up for it by the caller */
        gid_t qemu_gid;
} DomainSpec;

/* The domain's XML (host/domain-xml.c); pure. `virt_type` "kvm" or "qemu". Freed by the caller. */
int domain_format_xml(const DomainSpec *spec, const char *virt_type, char **ret_xml, Fault *f);

/* Defines the domain and starts it. On failure it is undefined again, and its files are left. The
 * persistent definition always boots, so that a later plain start does. `ret_timing` may be NULL.
 * FAULT_WRONG_STATE where spec->memory is of another guest than the spec's, by size, CPUs or disks.
 */
int hypervisor_create_domain(Hypervisor *h, const DomainSpec *spec, DomainTiming *ret_timing,
                             Fault *f);

/* Starts a domain that is defined and shut off from spec->memory; its definition stays. On failure
 * it is off again; DOMAIN_CRASHED where QEMU gave up loading. */
int hypervisor_start_domain_from(Hypervisor *h, const DomainSpec *spec, DomainTiming *ret_timing,
                                 Fault *f);

/* Starts a defined domain; paused, its CPUs do not run yet. */
int hypervisor_start_domain(Hypervisor *h, const char *id, Fault *f);
int hypervisor_start_domain_paused(Hypervisor *h, const char *id, Fault *f);

/* Stops its CPUs, or lets them run. 0 where that is so already; FAULT_WRONG_STATE where it is off.
 */
int hypervisor_pause_domain(Hypervisor *h, const char *id, Fault *f);
int hypervisor_resume_domain(Hypervisor *h, const char *id, Fault *f);

/* Presses the power button (ACPI); returns at once. */
int hypervisor_shut_down_domain(Hypervisor *h, const char *id, Fault *f);

/* Pulls the plug; 0 where it is off already or absent. Returns when it is off. */
int hypervisor_stop_domain(Hypervisor *h, const char *id, Fault *f);

/* Pulls the plug of a domain whose guest rebooted and that has no kernel to boot, as its definition
 * has: one that went on from a memory (host/domain-xml-memory.c). 1 where it is off then; 0 where
 * it boots by itself. */
int hypervisor_stop_unbootable(Hypervisor *h, const char *id, Fault *f);

/* Pulls the plug, undefines it (with NVRAM, managed save); 0 where it is absent. */
int hypervisor_remove_domain(Hypervisor *h, const char *id, Fault *f);

/* Alone tells DOMAIN_LOADING; to the observer and in lists such a domain is paused. */
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

/* Copies into the active domain's top layer of each disk all that lies between it and bases[].path
 * in its chain, and makes it stand on that alone, while the guest runs on (a block-stream job).
 * Only top layers are written to, so that it may end at any moment without harm, also by a cut, a
 * merge, or the saving of memory, which end it themselves: FAULT_CANCELLED; so does the domain's
 * end. The layers in between may be removed once it returned 0. Idempotent per disk; one that was
 * begun is taken up. Takes as long as it takes. */
int hypervisor_flatten_disks(Hypervisor *h, const char *id, const DomainDisk *bases, size_t n,
                             Fault *f);

/* -- memory (host/domain-memory.c) ------------------------------------------------------------ */

/* What has to be the same where a memory is loaded, as one line for people and comparisons: QEMU's
 * and libvirt's versions, the kind of virtualisation, and with KVM the host's CPU. The caller frees
 * it. */
int hypervisor_memory_abi(Hypervisor *h, char **ret, Fault *f);

/* Writes the active domain's memory to the new files memory->state (a stream: ->ram is NULL) and
 * ->xml (mode 0600), and leaves its CPUs stopped: to go on is another call. With KVM its RAM is
 * copied while it runs, and it is stopped for the rest; under emulation QEMU 7.2 misses writes
 * while it runs, which crashes the copies, so it is stopped first, after QEMU has touched all of
 * its RAM, which takes another second the first time. Ends a copying into its disks, as a cut does.
 * On failure no file is left and it runs on. FAULT_EXISTS; FAULT_WRONG_STATE for a domain that was
 * defined by a fluid before 0.2, whose RAM has another name, for one with NUMA nodes, and for one
 * with a NIC or another device that was plugged in. */
int hypervisor_save_memory(Hypervisor *h, const char *id, const DomainMemory *memory, Fault *f);

/* Makes an image of a stream: starts a domain that never runs from spec->memory, a stream, with its
 * RAM in the new file image->ram, saves its devices to image->state and copies the XML to
 * image->xml; synced. `spec` has an id of its own that no sandbox has, and throw-away overlays as
 * disks. The domain goes away with the call and with the process. On failure no file of the image
 * is left. */
int hypervisor_bake_memory(Hypervisor *h, const DomainSpec *spec, const DomainMemory *image,
                           Fault *f);

/* Ids of all sandboxes that libvirt has a domain for, with their states. */
typedef struct DomainEntry {
        char id[16];
        DomainState state;
} DomainEntry;
int hypervisor_list_own_domains(Hypervisor *h, GArray **ret_entries, Fault *f);

/* -- networks (host/network.c, host/domain-nic.c) ----------------------------------------------
 *
 * No domain of fluid's is ever defined with a NIC: it is plugged into the running domain, or one
 * whose CPUs are stopped, once its rules are in the kernel. So there is none in a memory either,
 * and a domain that an administrator starts by hand has none. */

typedef struct NetworkSpec {
        const char *name;   /* of the libvirt network */
        const char *bridge; /* that it makes */
        AddressRange range; /* the first address is the gateway, the host's own */
        unsigned leases;    /* how many of the next ones DHCP gives out, each to its own MAC */
} NetworkSpec;

/* Address `number` of the range (0: the gateway), and the MAC that it is reserved for. */
uint32_t network_address(const AddressRange *range, unsigned number);
void network_mac(uint32_t address, uint8_t ret[MAC_SIZE]);

/* The network is there, as the spec wants it, and active, with forward mode "open" (no rules of
 * libvirt's), isolated ports and no IPv6; libvirt does not start it by itself. It carries
 * <fluid:network xmlns:fluid="urn:fluid:network:1"/> in its metadata. One of fluid's that is not so
 * is made anew where no domain uses it, else FAULT_BUSY; where it is stopped, or its bridge was
 * deleted, in any case, and then the taps that there are have to be made its ports. Where only its
 * dnsmasq is gone, libvirt starts it again, and nothing else changes. FAULT_EXISTS
 * where the name or the bridge is somebody else's; FAULT_INVALID_ARGUMENT where the range is too
 * small. Leases never end, and whoever has no reservation gets none. */
int hypervisor_ensure_network(Hypervisor *h, const NetworkSpec *spec, Fault *f);

typedef struct DomainNic {
        char *network;   /* libvirt's; or "" for an interface of another type than "network" */
        char *interface; /* the tap, or "" */
        char mac[MAC_TEXT_MAX]; /* "02:fd:…", lower case */
} DomainNic;

/* Plugs in a virtio NIC with that tap, MAC and network, its link down; 0 where it is there, however
 * its link is. When it returned 0 the tap is an isolated port of the bridge; where it could not be
 * made one, FAULT_HYPERVISOR_FAILED, and the NIC stays. FAULT_EXISTS where one has that MAC, but
 * another tap or network. A domain that is loading its memory must not be given one. */
int hypervisor_attach_nic(Hypervisor *h, const char *id, const DomainNic *nic, Fault *f);

/* Its cable is plugged in, or pulled. libvirt does that only while the network is active. */
int hypervisor_set_nic_link(Hypervisor *h, const char *id, const char *mac, bool is_up, Fault *f);

/* Asks the guest to let it go, again every second; 0 where it is absent, as in a domain that is
 * off. Takes 0.2 s, but 6 s on pc-q35 machines before 6.1, where the guest waits for a second
 * thought. FAULT_TIMED_OUT when it did not: then it stays, as it was, but a guest that was only
 * slow lets it go later. FAULT_WRONG_STATE where its CPUs are stopped. Only a guest whose kernel
 * has booted hears the request: what is asked before is lost, and QEMU 7.2 does not ask again until
 * the guest restarts. */
int hypervisor_detach_nic(Hypervisor *h, const char *id, const char *mac, uint64_t timeout_usec,
                          Fault *f);

/* All NICs of the active domain; an array of DomainNic*, with a free function. */
int hypervisor_domain_nics(Hypervisor *h, const char *id, GPtrArray **ret, Fault *f);

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
