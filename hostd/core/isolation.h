/* SPDX-License-Identifier: MIT */
#pragma once

/* The rules of all sandboxes in the kernel, and who watches over them. For core/ only. */

#include "core/internal.h"
#include "core/network.h"
#include "host/firewall.h"
#include "host/links.h"
#include "host/resolver.h"

/* Where the resolver of profiles with names listens on the gateway. */
#define RESOLVER_PORT 5353
/* As whom: units/fluid.sysusers. */
#define RESOLVER_USER "fluid-resolver"

/* Loads the rules of all sandboxes that there are. Where the kernel does not take them the daemon
 * goes on without networks: isolation_check(). */
int isolation_new(Manager *m, Fault *f);
void isolation_free(Manager *m);
/* libvirtd is there: its network has to be. */
void isolation_connected(Manager *m);
/* networks.conf is read anew; a broken one changes nothing. */
void isolation_reload(Manager *m);

/* FAULT_NETWORK_FAILED where no sandbox can have a network now. */
int isolation_check(const Manager *m, Fault *f);
int isolation_new_address(Manager *m, unsigned *ret, Fault *f);

/* What its row says is in the kernel, and was read back from there. */
int isolation_set(Sandbox *s, Fault *f);
int isolation_set_row(Manager *m, const SandboxRow *row, Fault *f);
/* Are they still; and is its tap an isolated port of the bridge with its own MAC? */
int isolation_verify_rules(const Sandbox *s, Fault *f);
int isolation_verify(const Sandbox *s, Fault *f);
/* From then on whatever its tap sends is dropped. */
void isolation_remove(Sandbox *s);
void isolation_remove_row(Manager *m, const SandboxRow *row);
/* Its tap is down until what is wrong could be put right; and up again, where all is right. */
void isolation_cut_off(Sandbox *s, const Fault *why);
int isolation_let_on(Sandbox *s, Fault *f);
/* Puts its tap right, where that is known to be its own, or has its MAC; false where there is none.
 */
bool isolation_look(Sandbox *s, bool is_own);
/* network_plug_all() follows. */
void isolation_plug_later(Manager *m, uint64_t usec);

uint32_t isolation_address(const Sandbox *s);
void isolation_interface(const Sandbox *s, char ret[FIREWALL_INTERFACE_SIZE]);
/* Asks by ARP; network_is_online() follows. */
void isolation_probe(Sandbox *s);
void isolation_fill_question(const Manager *m, ProfileQuestion *q);
Firewall *isolation_firewall(const Manager *m);
Resolver *isolation_resolver(const Manager *m);
