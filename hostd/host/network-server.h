/* SPDX-License-Identifier: MIT */
#pragma once

/* Whether the DHCP and DNS server of a libvirt network, dnsmasq, runs. libvirt starts it with the
 * network, writes down its process id, and never looks at it again. */

#include "base/fault.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

/* Whether the process that libvirt started is there. */
bool network_server_runs(const char *network);

/* Waits for its end. */
typedef struct NetworkServer NetworkServer;

/* `ended` is called once. FAULT_NOT_FOUND where it does not run. */
int network_server_watch(sd_event *event, const char *network, void (*ended)(void *userdata),
                         void *userdata, NetworkServer **ret, Fault *f);
/* NULL is allowed; also from within `ended`. */
NetworkServer *network_server_free(NetworkServer *s);
