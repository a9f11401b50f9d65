/* SPDX-License-Identifier: MIT */
#pragma once

/* A host, its LAN and the interfaces of its sandboxes, in network namespaces of this process:
 * nothing of the machine's own is touched. Root.
 *
 *     sandbox 2 --- tap fl-000000000002 --\
 *     sandbox 3 --- tap fl-000000000003 --- bridge fluid0 10.123.0.1/16
 *                                                |  (routes)
 *                             uplink0 192.168.77.1/24 --- lan0 192.168.77.2, 9.9.9.9, 9.9.9.10
 */

#include "host/firewall.h"
#include "tests/net/attacks.h"

#include <stdbool.h>

#define NETWORK_RANGE     0x0a7b0000U
#define NETWORK_GATEWAY   (NETWORK_RANGE + 1)
#define NETWORK_SANDBOX   (NETWORK_RANGE + 2)
#define NETWORK_PEER      (NETWORK_RANGE + 3)
#define NETWORK_HOST      0xc0a84d01U
#define NETWORK_LAN       0xc0a84d02U
#define NETWORK_INTERNET  0x09090909U
#define NETWORK_OTHER     0x0909090aU /* on the internet, too */
#define NETWORK_LOCALHOST 0x7f000001U

#define NETWORK_RESOLVER_UID 64999 /* the resolver's user; nobody's on this machine */

#define SANDBOX_ID "000000000002"
#define PEER_ID    "000000000003"

typedef struct Network {
        char *directory; /* the firewall's */
        int host, lan;   /* namespaces */
        int guests[2];   /* with network_add_guests() */
        int taps[2];     /* with network_add_taps() */
        AttackPlace place;
} Network;

/* Leaves this process in the host's namespace. `is_filtering`: bridged frames pass the hooks of IP,
 * too, as Docker has it. Bails out on failure. */
Network *network_new(bool is_isolated, bool is_filtering);
Network *network_free(Network *n);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Network, network_free)

/* Sandboxes whose frames this process sends and reads itself. */
void network_add_taps(Network *n);
/* Sandboxes that are namespaces, with addresses of their own. */
void network_add_guests(Network *n);

void network_enter(int ns);
/* A shell command, which has to succeed. */
void network_run(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool network_try(const char *command);

Firewall *network_open_firewall(const Network *n);
/* Profiles "isolated", "internet", "lan" (which allows TCP ports 80-81 of the LAN's host) and
 * "named"; the sandbox and its peer with these, and what is published. */
int network_load(Firewall *fw, const char *profile, const char *peer_profile,
                 const FirewallPort *ports, size_t n_ports, Fault *f);
FirewallSandbox network_sandbox(unsigned i, const char *profile);
