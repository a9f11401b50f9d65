/* SPDX-License-Identifier: MIT */
#pragma once

/* The approvals of host-service. What is asked is answered by its summary: "yes…" is approved (with
 * the second alternative, where there is one), "no…" denied, "late…" expired; the rest waits. */

#include <systemd/sd-bus.h>

/* Manager.RequestApproval() */
int approvals_request(sd_bus_message *m, void *userdata, sd_bus_error *e);
void approvals_add(sd_bus *bus);
