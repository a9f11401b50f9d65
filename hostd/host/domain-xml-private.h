/* SPDX-License-Identifier: MIT */
#pragma once

/* What the definition of a domain that boots (domain-xml.c) and of one that goes on from a memory
 * (domain-xml-memory.c) have in common. All of it is pure. */

#include "host/hypervisor.h"
#include "host/xml.h"

#define QEMU_NAMESPACE "http://libvirt.org/schemas/domain/qemu/1.0"

/* The RAM of every domain has this name in QEMU, so that it is found in a memory that was saved
 * elsewhere. libvirt's own object for it stays unused, and costs nothing. */
#define RAM_MACHINE_OPTION "memory-backend=fluid.ram"

typedef struct DomainRam {
        const char *path; /* the file that is mapped, or NULL: anonymous memory */
        bool is_shared;   /* the file gets what is written; else the mapping is private */
        bool is_loaded;   /* the guest does not boot: QEMU waits for a memory to load */
} DomainRam;

/* FAULT_INVALID_ARGUMENT for what no domain can be made of. */
int domain_check_spec(const DomainSpec *spec, Fault *f);

const DomainDisk *domain_spec_disk(const DomainSpec *spec, const char *target);

void domain_add_identity(xmlNode *domain, const DomainSpec *spec);
void domain_set_boot(xmlNode *domain, const DomainSpec *spec);
void domain_add_security_label(xmlNode *domain, const DomainSpec *spec);

/* QEMU's arguments: the agent's port, and the RAM where it has no NUMA nodes. */
void domain_add_arguments(xmlNode *domain, const DomainSpec *spec, const DomainRam *ram);
bool domain_has_numa(xmlNode *domain);

/* The XML of a domain that goes on from a memory, whose definition is `saved`: name, disks, sockets
 * and generation id are the spec's, all else is what was saved. `uuid` may be NULL.
 * FAULT_WRONG_STATE where the two do not fit. Freed by the caller. */
int domain_format_memory_xml(const DomainSpec *spec, const char *virt_type, const char *saved,
                             const char *uuid, const DomainRam *ram, char **ret_xml, Fault *f);

/* Whether the memory of a domain with this live definition can be loaded into another:
 * FAULT_WRONG_STATE. */
int domain_check_saveable(XmlDoc *live, Fault *f);
