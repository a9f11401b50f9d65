/* SPDX-License-Identifier: MIT */
#pragma once

/* What the domain-*.c need: a connection from hypervisor.c, libvirt's errors as faults, and the
 * frame of a call from domain.c. */

#include "host/hypervisor.h"

#include <glib.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

typedef virConnect VirConnect;
static inline void virt_connect_close(virConnectPtr connection)
{
        (void) virConnectClose(connection);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirConnect, virt_connect_close)

typedef virDomain VirDomain;
static inline void virt_domain_free(virDomainPtr domain)
{
        (void) virDomainFree(domain);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirDomain, virt_domain_free)

/* A reference to the connection for calls; FAULT_HYPERVISOR_UNAVAILABLE. Any thread. */
int hypervisor_take_connection(Hypervisor *h, VirConnect **ret, Fault *f);

/* "kvm" or "qemu", known once there was a connection; the strings are static. Any thread. */
const char *hypervisor_virt_type(Hypervisor *h);

/* Tells the observer, as an event would. Any thread. */
void hypervisor_tell(Hypervisor *h, const char *id, DomainState state);

/* The calling thread's last libvirt error as a fault, after "<format>: ". Where `connection` is
 * dead, that is FAULT_HYPERVISOR_UNAVAILABLE, and a new one is opened. */
int hypervisor_fault(Hypervisor *h, virConnectPtr connection, Fault *f, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* The state that libvirt's words mean. */
DomainState domain_state_from_virt(int state, int reason);

/* The sandbox id in a domain's name, or NULL where the name is not one of fluid's. */
const char *domain_name_to_id(const char *name);

/* 1 where the domain's metadata names the id, 0 where it does not, negative where libvirt failed.
 */
int domain_has_own_metadata(virDomainPtr domain, const char *id);

bool last_error_is(int code);

/* One blocking call on one domain of fluid's. */
typedef struct DomainCall {
        Hypervisor *h;
        const char *id; /* borrowed */
        VirConnect *connection;
        VirDomain *domain; /* NULL where it is absent */
} DomainCall;

/* Finds the domain; 0 with call->domain NULL where it is absent. FAULT_EXISTS where a domain has
 * the name, but is not fluid's. */
int domain_call_begin(DomainCall *call, Hypervisor *h, const char *id, Fault *f);

/* The same, but FAULT_NOT_FOUND where it is absent. */
int domain_call_begin_present(DomainCall *call, Hypervisor *h, const char *id, Fault *f);

void domain_call_done(DomainCall *call);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DomainCall, domain_call_done)

/* "cannot <what> domain fluid-<id>: " and libvirt's words. */
#define call_fault(call, f, what) \
        hypervisor_fault((call)->h, (call)->connection, (f), \
                         "cannot %s domain " DOMAIN_PREFIX "%s", (what), (call)->id)

/* -- copying disks upward (host/domain-disks.c) ------------------------------------------------ */

/* Ends the copying of hypervisor_flatten_disks() into that disk, where there is one. */
int domain_end_flatten(DomainCall *call, const char *target, Fault *f);

/* How often one was ended; the first adds one. Any thread. */
void hypervisor_count_ended_flatten(Hypervisor *h);
unsigned hypervisor_ended_flattens(Hypervisor *h);

/* -- memory (host/domain-memory.c) ------------------------------------------------------------ */

/* Starts the domain of the call, which is defined and off, from spec->memory; it is off again on
 * failure. Sets timing->start_usec and ->restore_usec. */
int domain_start_from_memory(DomainCall *call, const DomainSpec *spec, DomainTiming *timing,
                             Fault *f);

/* -- QEMU's monitor (host/domain-monitor.c) -----------------------------------------------------
 */

/* What a stream of QEMU's was saved with, and has to be loaded with: whether RAM that is mapped
 * from a file is left out (`ignores_shared`). */

/* 1 where QEMU waits for a memory, or loads one; 0 where it does not. libvirt calls that paused. */
int monitor_is_loading(DomainCall *call, Fault *f);

/* Loads the memory that `fd` is at the beginning of into a domain that waits for one. */
int monitor_load(DomainCall *call, int fd, bool ignores_shared, Fault *f);

/* Has QEMU look into all parts of the RAM while the guest runs, so that the kernel need not find
 * memory for what was never used while the guest stands still. Takes a second or more, but only
 * once in the life of a QEMU; a failure is no harm. */
void monitor_touch_ram(DomainCall *call);

/* Gets ready to save to the empty file `fd`, so that as little as possible is to be done while the
 * guest stands still; then saves, to the end. A live save is of a guest that runs, and that QEMU
 * stops at last. After a failure of either, abandon. */
int monitor_prepare_save(DomainCall *call, int fd, bool ignores_shared, bool is_live, Fault *f);
int monitor_save(DomainCall *call, bool is_live, Fault *f);
void monitor_abandon_save(DomainCall *call);
