/* SPDX-License-Identifier: MIT */
#pragma once

/* The network of a sandbox: its profile, address and NIC, and what keeps it inside its rules. */

#include "core/manager.h"
#include "core/profile.h"
#include "core/sandbox.h"
#include "host/resolver.h"

#define NETWORK_NONE "none"

/* Changes the profile of a sandbox, at once where it runs: to "none" its NIC goes, from "none" it
 * gets one. `ports` are published instead of those before; NULL: those stay.
 * FAULT_INVALID_ARGUMENT: there is no such profile; FAULT_ACCESS_DENIED: the caller may not give
 * it; FAULT_EXISTS: a port is taken; FAULT_WRONG_STATE: not while it is paused. */
int sandbox_set_network(Sandbox *s, Caller *caller, const char *profile, const char *const *ports,
                        OperationDone done, void *userdata, Fault *f);

/* "127.0.0.1:8080:80", "8080:80/udp": [ADDRESS:]PORT:PORT[/tcp|/udp]; FAULT_INVALID_ARGUMENT. */
int network_port_parse(const char *text, FirewallPort *ret, Fault *f);
/* The caller frees it. */
char *network_port_format(const FirewallPort *port);

typedef struct SandboxNetwork {
        char address[ADDRESS_TEXT_MAX]; /* "" where it has no network, as the next two */
        char mac[MAC_TEXT_MAX];
        char interface[FIREWALL_INTERFACE_SIZE]; /* of the host: the tap */
        const char *state;                       /* "none", "down", "up", "cut-off" */
        const char *reason;                      /* why, in words, or "" */
} SandboxNetwork;
/* The strings are valid until the loop goes on. */
void sandbox_network(const Sandbox *s, SandboxNetwork *ret);

/* Of the kernel. FAULT_WRONG_STATE where it has no network. */
int sandbox_network_counters(const Sandbox *s, FirewallCounters *ret, Fault *f);
/* Array of FirewallDrop; the caller frees it. */
int sandbox_network_drops(const Sandbox *s, GArray **ret, Fault *f);
/* Array of ResolverRefusal (host/resolver.h); empty where its profile has no names. */
int sandbox_network_refusals(const Sandbox *s, GArray **ret, Fault *f);
/* The rules in the kernel, as nft shows them; the caller frees it. */
int sandbox_network_rules(const Sandbox *s, char **ret, Fault *f);
/* Whether it may open a connection there, and why, in words; the caller frees them. Protocol:
 * "tcp", "udp" or "icmp". */
int sandbox_network_explain(const Sandbox *s, const char *address, unsigned port,
                            const char *protocol, bool *ret_allowed, char **ret_why, Fault *f);

/* Published ports as text, NULL-terminated; the caller frees them. */
char **sandbox_network_ports(const Sandbox *s);

/* Of this host; valid until the loop goes on. */
const Profiles *manager_profiles(const Manager *m);
/* Their network is being set up for the first time. */
bool manager_is_starting(const Manager *m);
/* "" where sandboxes can have networks, else why not. */
const char *manager_network_fault(const Manager *m);
