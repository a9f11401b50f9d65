/* SPDX-License-Identifier: MIT */
#pragma once

/* Network links of this host: the taps of sandboxes and the bridge that they are ports of, its
 * routes, and news of them from the kernel (rtnetlink and nfnetlink, through libnl).
 *
 * All calls are short and for one thread, the loop's. Addresses are IPv4, in host byte order. A
 * name is as the kernel has it, at most 15 bytes: what follows the prefix was chosen by whoever
 * made the link. */

#include "base/address.h"
#include "base/fault.h"

#include <glib.h>
#include <net/if.h>
#include <stdint.h>
#include <systemd/sd-event.h>

typedef struct Links Links;

typedef struct Link {
        int index;
        char name[IFNAMSIZ];
        uint8_t mac[MAC_SIZE];
        char master[IFNAMSIZ];                     /* the bridge that it is a port of, or "" */
        bool is_up;                                /* administratively */
        bool is_isolated;                          /* as a port */
        uint64_t received_packets, received_bytes; /* by the host, from the guest */
        uint64_t sent_packets, sent_bytes;
} Link;

/* All are called from the loop, and may call what is below but for links_free(). */
typedef struct LinksObserver {
        /* A link whose name begins with `prefix`, or the bridge, is there, changed, or is gone:
         * then `link` is NULL. `name` is its present name; a renamed link is told as gone first.
         * Told is what there is when it is told: not every step on the way, and no counters. What
         * links_new() found is not told. */
        void (*link)(const char *name, const Link *link, void *userdata);
        /* This host's addresses or routes changed. */
        void (*networks)(void *userdata);
        /* Somebody else committed a change of an nftables table "fluid", of family bridge or inet,
         * or of all tables; once for each transaction. Whatever the thread that called links_new()
         * commits is this process's own. `pid` is of the task in the first pid namespace;
         * `program` is its name, which it chose itself, escaped as by escape_print(). */
        void (*ruleset)(uint32_t pid, const char *program, void *userdata);
        /* That address, of the bridge's network, answered ARP, or was made a neighbour by somebody
         * who knows its MAC: a DHCP server. Told again whenever that happens again. */
        void (*neighbor)(uint32_t address, void *userdata);
        /* The kernel dropped news: anything may have changed, and is not told again. */
        void (*overrun)(void *userdata);
} LinksObserver;

/* FAULT_IO where the kernel has no nftables. All of the observer are set. */
int links_new(sd_event *event, const char *prefix, const char *bridge,
              const LinksObserver *observer, void *userdata, Links **ret, Fault *f);
Links *links_free(Links *l);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Links, links_free)

/* FAULT_NOT_FOUND; so do all below where there is no link of that name, or no bridge. */
int links_get(Links *l, const char *name, Link *ret, Fault *f);
/* An array of all Links whose names begin with the prefix; the caller frees it. */
int links_list(Links *l, GArray **ret, Fault *f);

int links_set_up(Links *l, const char *name, bool is_up, Fault *f);
/* Makes it an isolated port of the bridge, whatever it was. It is down for the moment in which it
 * is a port and not isolated yet, and where the call fails in between. */
int links_set_port(Links *l, const char *name, Fault *f);
int links_set_mac(Links *l, const char *name, const uint8_t mac[MAC_SIZE], Fault *f);

/* Asks for the address with ARP on the bridge, at once, and again for some seconds; neighbor()
 * tells of an answer, also where the kernel knew it before. */
int links_probe(Links *l, uint32_t address, Fault *f);

/* An array of AddressRange: the networks that this host is in, or has routes to (no default route,
 * nor its two halves), by other links than the bridge, loopback too. Sorted; none overlap. The
 * caller frees it. */
int links_networks(Links *l, GArray **ret, Fault *f);
