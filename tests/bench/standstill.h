/* SPDX-License-Identifier: MIT */
#pragma once

/* How long a domain's CPUs stand still, by QEMU's own clock: its STOP event is stamped when the
 * last CPU has stopped and RESUME when they are let go, so neither libvirt's turn nor the way of
 * the event is a part of it. A guest that writes to its console without end is silent for as long
 * (521, 795, 790 ms of the one, 532, 811, 803 ms of the other). It cannot tell so itself, since its
 * clocks stand still, too. Ends the program where anything fails. */

typedef struct Standstill Standstill;

/* Listens in a thread of its own; lives as long as the program. To be made before any other
 * connection to libvirt. */
Standstill *standstill_new(const char *domain_name);

/* Forgets what was. */
void standstill_begin(Standstill *s);

/* The milliseconds in all since then; waits until the domain runs on. */
double standstill_end(Standstill *s);
