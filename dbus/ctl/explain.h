/* SPDX-License-Identifier: MIT */
#pragma once

/* Whether a sandbox may open a connection to somewhere, and why. */

#include "dbus/ctl/ctl.h"

typedef struct Destination {
        char *host; /* an IPv4 address, or a name */
        uint16_t port;
        const char *protocol; /* "tcp", "udp", "icmp" */
} Destination;

void destination_done(Destination *d);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Destination, destination_done)

/* "deb.debian.org:443", "192.0.2.1:53/udp", "192.0.2.1/icmp". FAULT_INVALID_ARGUMENT, with what is
 * wrong. What was allocated before a failure has to be freed as after success. */
int destination_parse(Ctl *ctl, const char *text, Destination *ret, Fault *f);

/* Asks about each of its addresses, as this host's resolver knows them, and prints the answers.
 * Returns the exit status: 0 where all are allowed, else 1. FAULT_NOT_FOUND: there is no such name.
 */
int explain_print(Ctl *ctl, const char *sandbox, const Destination *to, Fault *f);
