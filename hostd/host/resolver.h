/* SPDX-License-Identifier: MIT */
#pragma once

/* DNS for sandboxes whose profile allows some names only: fluid-resolver, an unprivileged program
 * in a unit of its own, kept running and told whom to answer what. It asks the resolvers of this
 * host, and answers a guest when the address it found has been allowed.
 *
 * It listens on one address and port. Questions of clients that are not set go unanswered; names
 * that no pattern matches do not exist (NXDOMAIN), for their askers to fail at once.
 *
 * All calls are for one thread, the loop's, and short. Addresses are IPv4, in host byte order. */

#include "base/fault.h"
#include "base/resolver-message.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

typedef struct Resolver Resolver;

/* That a client reaches at a time. Who owns a name that it may ask for could else fill this host's
 * memory; what is beyond is refused. */
#define RESOLVER_REACHABLE_MAX 512

typedef struct ResolverSettings {
        uint32_t gateway; /* where it listens; the address need not be there yet */
        uint16_t port;
        /* Whom it asks: addresses, IPv4 or IPv6, each with a port or without: "192.0.2.53",
         * "192.0.2.53:5353", "[2001:db8::1]:53". NULL-terminated, at most RESOLVER_UPSTREAMS_MAX;
         * or NULL: those of resolv_conf, which is read again when it has changed. */
        const char *const *upstreams;
        const char *resolv_conf; /* NULL: /etc/resolv.conf */
} ResolverSettings;

typedef struct ResolverObserver {
        /* A name that the client may ask for has that address, which is no special one, and a
         * private one only where the client may reach those. 0: the client can reach it now, and is
         * told of it, for so long; else it is not. */
        int (*allowed)(uint32_t client, const char *name, uint32_t address, uint32_t ttl_sec,
                       void *userdata);
        /* The client asked for that name, so many times of late, and did not get an address. May
         * be NULL. The name is safe to print. */
        void (*refused)(uint32_t client, const char *name, ResolverReason reason, unsigned times,
                        void *userdata);
        /* resolver_upstreams() are others from now on; those are asked once this returned. May be
         * NULL. */
        void (*upstreams_changed)(void *userdata);
        /* fluid-resolver ended, or was ended because it broke the protocol; it is started again
         * after a pause, which grows. */
        void (*died)(const char *reason, void *userdata);
} ResolverObserver;

/* "no pattern matches it", "it has no address that may be reached". */
const char *resolver_reason_to_string(ResolverReason reason);

/* Asks fluid-resolver's unit for it (loop/child.h). The strings are copied. FAULT_INVALID_ARGUMENT:
 * an upstream is no address; FAULT_IO: the unit cannot be reached. That it cannot listen there is
 * told as its death. */
int resolver_new(sd_event *event, const ResolverSettings *settings,
                 const ResolverObserver *observer, void *userdata, Resolver **ret, Fault *f);
/* Ends the program. NULL is allowed; not from within the observer. */
Resolver *resolver_free(Resolver *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Resolver, resolver_free)

typedef struct ResolverClient {
        uint32_t address;
        const char *const *patterns; /* as domain_pattern_parse() takes them */
        size_t n_patterns;
        bool allows_private; /* addresses, which are not on the internet (base/address-scope.h) */
} ResolverClient;

/* From now on that client may ask for these names; a second time: for these instead. In one step:
 * there is no moment at which it may ask for less than both lists have in common, or for more than
 * either. Equal lists are kept once. FAULT_INVALID_ARGUMENT: a pattern is none, or there are more
 * than RESOLVER_PATTERNS_MAX; FAULT_LIMITS_EXCEEDED: more than RESOLVER_CLIENTS_MAX clients, or
 * RESOLVER_LISTS_MAX different lists. */
int resolver_set_client(Resolver *r, const ResolverClient *client, Fault *f);

/* It may ask for nothing. 0 where it is absent. */
void resolver_remove_client(Resolver *r, uint32_t address);

/* -- for people ----------------------------------------------------------------------------- */

/* Of one client, since it was first set. Some 200 ms behind. */
typedef struct ResolverCounters {
        uint64_t questions; /* all; the others are among them */
        uint64_t refused;   /* for either reason */
        uint64_t limited;   /* more than it may ask at a time: dropped */
        uint64_t failed;    /* no upstream answered, or this process not in time */
} ResolverCounters;
/* FAULT_NOT_FOUND. */
int resolver_counters(const Resolver *r, uint32_t client, ResolverCounters *ret, Fault *f);

/* The names that were refused last: each once, newest first, at most RESOLVER_REFUSALS_MAX. */
#define RESOLVER_REFUSALS_MAX 16
typedef struct ResolverRefusal {
        char name[DOMAIN_NAME_MAX]; /* safe to print */
        ResolverReason reason;
        uint64_t times;
        uint64_t age_usec; /* since the last time */
} ResolverRefusal;
/* `*ret` is an array of ResolverRefusal; the caller frees it. FAULT_NOT_FOUND. */
int resolver_refusals(const Resolver *r, uint32_t client, GArray **ret, Fault *f);

/* Whom it asks. */
const ResolverUpstream *resolver_upstreams(const Resolver *r, unsigned *ret_n);

/* How often the program was started. */
unsigned resolver_starts(const Resolver *r);
