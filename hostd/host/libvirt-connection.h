/* SPDX-License-Identifier: MIT */
#pragma once

/* Two connections to libvirtd that come back by themselves, and what is heard on them.
 *
 * A thread of its own opens both, one for events and one for calls, waits until one of them is
 * lost, closes both, and begins again after a pause of 0.1 to 5 s. News are queued; an eventfd
 * tells the loop of them. libvirt's event loop, one per process, runs in another thread that never
 * ends. */

#include "base/fault.h"
#include "base/name.h"
#include "host/hypervisor.h"

#include <libvirt/libvirt.h>

typedef struct LibvirtConnection LibvirtConnection;

typedef struct News {
        enum { NEWS_CONNECTED, NEWS_LOST, NEWS_DOMAIN, NEWS_DEVICES, NEWS_RESET } kind;
        char id[ID_LENGTH + 1]; /* of the last two */
        DomainState state;      /* of NEWS_DOMAIN */
} News;

/* `virt_type` is "auto", "kvm" or "qemu". Begins to connect. */
int libvirt_connection_new(const char *uri, const char *virt_type, LibvirtConnection **ret,
                           Fault *f);

/* Closes. Waits at most 2 s: a thread that hangs in a call to a libvirtd that does not answer is
 * left to the end of the process. NULL is allowed. */
LibvirtConnection *libvirt_connection_free(LibvirtConnection *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LibvirtConnection, libvirt_connection_free)

/* An eventfd that can be read while there are news. */
int libvirt_connection_fd(const LibvirtConnection *c);

/* The oldest news; false when there are none. */
bool libvirt_connection_next(LibvirtConnection *c, News *ret);

/* -- any thread ------------------------------------------------------------------------------ */

/* A reference to the connection for calls, or NULL while there is none. */
virConnectPtr libvirt_connection_take(LibvirtConnection *c);

/* What libvirt calls the type of its domains, "kvm" or "qemu"; static. */
const char *libvirt_connection_virt_type(LibvirtConnection *c);

/* `calls` was found dead; nothing happens where it was replaced already. */
void libvirt_connection_mark_broken(LibvirtConnection *c, virConnectPtr calls);

/* Queues news of a domain, as an event would. */
void libvirt_connection_tell(LibvirtConnection *c, const char *id, DomainState state);
