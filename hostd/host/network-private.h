/* SPDX-License-Identifier: MIT */
#pragma once

/* The definition of fluid's libvirt network. All of it is pure. */

#include "host/hypervisor.h"
#include "host/xml.h"

/* libvirt has kept a network's <metadata> since 2.1; fluid's holds <fluid:network/>. */
#define NETWORK_NAMESPACE "urn:fluid:network:1"

/* FAULT_INVALID_ARGUMENT for what no network can be made of. */
int network_check_spec(const NetworkSpec *spec, Fault *f);

/* `uuid` is of the network that is defined anew, or NULL. Freed by the caller. */
char *network_format_xml(const NetworkSpec *spec, const char *uuid);

/* The <host> of one of its leases, from 1. Freed by the caller. */
char *network_format_lease(const NetworkSpec *spec, unsigned number);

/* Whether a network that libvirt showed is one of fluid's, and whether it is as the spec wants it;
 * the latter takes the UUID out of the document. */
bool network_xml_is_own(XmlDoc *doc);
bool network_xml_fits(XmlDoc *doc, const NetworkSpec *spec);
