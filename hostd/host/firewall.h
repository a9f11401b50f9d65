/* SPDX-License-Identifier: MIT */
#pragma once

/* The rules in the kernel's nftables that hold each sandbox to what it may reach.
 *
 * `table bridge fluid` pins interface, MAC, address and ARP, and drops whatever else comes from an
 * interface of ours; `table inet fluid` decides where a pinned address gets, by verdict maps: one
 * element per sandbox, so that adding one costs the same whatever their number. The texts are in
 * nft/, with holes. Every change is one transaction, through libnftables in this process; no other
 * table is ever touched.
 *
 * An accept of ours is final for our tables alone: firewalld, Docker or libvirt may still drop, and
 * where one of them does (Docker's FORWARD has policy drop) the administrator has to let the bridge
 * through there.
 *
 * Only whole IPv4 packets of TCP, UDP and ICMP without options leave a sandbox, ARP of itself, and
 * DHCP. Fragments are dropped as forged: only whole packets can be judged below IP, and a guest's
 * own packets fit the bridge's MTU. What it is sent in fragments arrives.
 *
 * Beside nftables three things are set, by rtnetlink, with a load and where they change: on the
 * bridge, route_localnet, only while a port is published on 127.0.0.1 (or on any address), and
 * group_fwd_mask for LLDP, which nftables would not see otherwise; and a routing rule, number 10,
 * that nothing from the bridge is routed back into the sandboxes' range, also after a flush of
 * nftables. A bridge that is made anew needs a firewall_restore() or another change.
 * net.ipv4.ip_forward is libvirt's.
 *
 * A Firewall remembers what ought to be in the kernel, and writes it, before the kernel has it, to
 * files that the hook in libvirtd puts back where this process is not there:
 *
 *     DIRECTORY/ruleset.nft          all of it: the tables, and the next ones by "include"
 *     DIRECTORY/sandboxes/ID.nft     one sandbox's elements
 *
 * They are replaced as a whole, but not synced: after a power cut no domain runs, and the daemon
 * loads before it starts one; a lost file leaves its sandbox mute. DIRECTORY is best below /run: on
 * ext4 a file that is replaced costs as much as the change in the kernel.
 *
 * All calls are for one thread, the loop's, in the network namespace that firewall_new() was called
 * in. A change takes about a millisecond, whatever the number of sandboxes (among 4,000 the kernel
 * adds half a one to check the verdict map for loops); firewall_load(), firewall_restore() and
 * firewall_verify_all() take 150 and 30 microseconds for each sandbox there is. Addresses are IPv4,
 * in host byte order.
 */

#include "base/address.h"
#include "base/fault.h"
#include "base/resolver-message.h"

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

/* Of the tap of sandbox ID: "fl-ID", 15 characters. What has such a name and no rules is mute. */
#define FIREWALL_INTERFACE_PREFIX "fl-"
#define FIREWALL_INTERFACE_SIZE   16
static inline void firewall_interface(const char *id, char ret[FIREWALL_INTERFACE_SIZE])
{
        (void) g_snprintf(ret, FIREWALL_INTERFACE_SIZE, FIREWALL_INTERFACE_PREFIX "%s", id);
}

typedef struct Firewall Firewall;

typedef struct FirewallSettings {
        const char *directory;  /* made where it is absent, mode 0700 */
        const char *bridge;     /* of the sandboxes' network */
        AddressRange range;     /* the sandboxes' addresses */
        uint32_t gateway;       /* the host's own address there, which has DHCP and DNS */
        uint16_t resolver_port; /* where the resolver of profiles with names listens on it */
        uid_t resolver_uid;     /* whose that resolver is; 0: no user's, and nobody is held to it */
} FirewallSettings;

/* What an administrator allows or denies by address. */
typedef struct FirewallRule {
        bool allows;
        AddressRange to;
        uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP; 0: any of these, and no ports
                           */
        uint16_t port_first, port_last; /* 0, 0: any */
} FirewallRule;

/* Every packet of a connection is judged by the address and port that it was begun to, so a change
 * holds for open ones, too. Tried in this order: the rules, the first that matches; addresses that
 * the resolver allowed (has_names); with `has_internet` all but this host, its local networks
 * and what is not on the internet (RFC 1918, 6598, 3927, 5771 and the like); the rest is refused.
 * DHCP and DNS of the gateway are always there; a rule may allow a local network, but never this
 * host, and never another sandbox. */
typedef struct FirewallProfile {
        const char *name; /* [a-z][a-z0-9-]{0,30} */
        bool has_internet;
        bool has_names; /* DNS goes to the resolver, which fills in addresses */
        const FirewallRule *rules;
        size_t n_rules;
        uint32_t connections_max;     /* open at a time, per sandbox: as conntrack sees them */
        uint32_t connections_per_sec; /* new ones, per sandbox */
} FirewallProfile;

typedef struct FirewallPort {
        uint8_t protocol;      /* IPPROTO_TCP or IPPROTO_UDP */
        uint32_t host_address; /* 127.0.0.1 or another address of this host, or 0: any */
        uint16_t host_port, sandbox_port;
} FirewallPort;

typedef struct FirewallSandbox {
        const char *id;
        uint8_t mac[MAC_SIZE];
        uint32_t address;
        const char *profile;
        const FirewallPort *ports; /* published */
        size_t n_ports;
} FirewallSandbox;

/* Makes the object; nothing is in the kernel or on disk yet. The strings are copied. */
int firewall_new(const FirewallSettings *settings, Firewall **ret, Fault *f);
/* The rules stay in the kernel. NULL is allowed. */
Firewall *firewall_free(Firewall *fw);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Firewall, firewall_free)

/* -- what ought to be there -------------------------------------------------------------------- */

/* Sets all at once, and loads it, in one transaction that replaces both tables: at start, when
 * networks.conf changed. FAULT_INVALID_ARGUMENT where a sandbox's profile is not there. `local` are
 * this host's own networks. On failure the kernel has what it had. What the resolver allowed before
 * is lost, since the profile may be another: it is asked again. */
int firewall_load(Firewall *fw, const FirewallProfile *profiles, size_t n_profiles,
                  const FirewallSandbox *sandboxes, size_t n_sandboxes, const AddressRange *local,
                  size_t n_local, Fault *f);

/* This host's networks changed: no sandbox with has_internet gets to them. */
int firewall_set_local(Firewall *fw, const AddressRange *local, size_t n_local, Fault *f);

/* A new one; or the same id with another profile or other ports: those of its connections that it
 * could not make any more end. FAULT_EXISTS for an address, MAC or published port of another one,
 * and for another address or MAC of its own. FAULT_WRONG_STATE where the kernel has not what it
 * ought to: firewall_restore() comes first. */
int firewall_set(Firewall *fw, const FirewallSandbox *sandbox, Fault *f);

/* 0 where it is absent. Its connections end, and conntrack forgets them, so that the next one with
 * that address hears nothing of them. Where others changed the rules, all is loaded anew. */
int firewall_remove(Firewall *fw, const char *id, Fault *f);

/* For `ttl_sec` the sandbox may reach that address; of the resolver. Again: the longer of both. A
 * connection that was begun in that time may go on for a day. FAULT_LIMITS_EXCEEDED where 1,024
 * addresses are allowed at the time. */
int firewall_allow(Firewall *fw, const char *id, uint32_t address, uint32_t ttl_sec, Fault *f);

/* The resolver's user may send DNS to these, and answers to guests, and nothing else: it reads what
 * guests and the internet write. To none, until this is called; also before a load. */
int firewall_set_upstreams(Firewall *fw, const ResolverUpstream *upstreams, unsigned n, Fault *f);

/* -- what is there ----------------------------------------------------------------------------- */

/* Asks the kernel whether all tables, chains, rules and sets are as they ought to be, and this
 * sandbox's elements: FAULT_WRONG_STATE, with what is wrong in words. Costs the same whatever their
 * number. */
int firewall_verify(Firewall *fw, const char *id, Fault *f);

/* The same with the elements of all, and none beside them. Not seen: what the kernel counted and
 * remembers, names that end before their time, and the bridge's settings. */
int firewall_verify_all(Firewall *fw, Fault *f);

/* Loads all anew, in one transaction, with what is left of the time of what the resolver allowed.
 */
int firewall_restore(Firewall *fw, Fault *f);

/* Why a frame or packet went nowhere. */
typedef enum FirewallReason {
        FIREWALL_FORGED,   /* another's MAC or address, also inside ARP and DHCP; a fragment */
        FIREWALL_PROTOCOL, /* IPv6, VLAN, STP, LLDP, multicast, IP options, a DHCP server's answer,
                              … */
        FIREWALL_HOST,     /* an address of the host, but not the gateway's DHCP and DNS */
        FIREWALL_REACH,    /* where the profile does not let it */
        FIREWALL_LIMIT,    /* more connections than the profile gives */
        _FIREWALL_REASON_MAX,
} FirewallReason;
const char *firewall_reason_to_string(FirewallReason reason);

typedef struct FirewallCount {
        uint64_t packets, bytes;
} FirewallCount;

/* Since its rules were loaded: a load or restore of all takes over what the kernel still has. */
typedef struct FirewallCounters {
        FirewallCount passed; /* from the sandbox, into any network */
        FirewallCount dropped[_FIREWALL_REASON_MAX];
} FirewallCounters;
int firewall_counters(Firewall *fw, const char *id, FirewallCounters *ret, Fault *f);

/* The destinations that were refused last, of three minutes, newest first. The kernel remembers
 * 65,536 of a reason for all, and of each sandbox one more per second after the first 32. */
typedef struct FirewallDrop {
        FirewallReason reason;
        uint32_t address;
        uint8_t protocol;
        uint16_t port; /* 0 where it has none */
        uint64_t age_usec;
} FirewallDrop;
/* `*ret` is an array of FirewallDrop; the caller frees it. */
int firewall_drops(Firewall *fw, const char *id, GArray **ret, Fault *f);

/* What is in the kernel of one sandbox, as nft would show it, for people. The caller frees it. */
int firewall_describe(Firewall *fw, const char *id, char **ret, Fault *f);
