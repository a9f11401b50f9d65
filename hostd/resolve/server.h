/* SPDX-License-Identifier: MIT */
#pragma once

/* All of it, wired to the daemon's channel. */

#include "base/fault.h"

#include <systemd/sd-event.h>

/* Serves until the daemon closes the channel: 0. FAULT_INTERNAL where it breaks the protocol, or
 * there is no room to work in. The descriptors are non-blocking; they are borrowed. */
int server_run(int channel_fd, int udp_fd, int tcp_fd, Fault *f);
