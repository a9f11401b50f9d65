/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of core/isolation*.c know of each other. */

#include "core/isolation.h"
#include "host/network-server.h"

struct Isolation {
        Manager *manager;
        Profiles *profiles;
        Firewall *firewall;
        Links *links;       /* NULL where the kernel cannot be asked: then there is no network */
        Resolver *resolver; /* only where a profile has names */
        AddressRange range;
        GHashTable *leaving; /* ids whose rules could not be removed yet */
        GArray *local;       /* of AddressRange: this host's own networks */
        GArray *host;        /* of uint32_t: its own addresses there, when last asked for */
        bool is_loaded;      /* the rules were in the kernel once */
        bool is_local_stale; /* those networks are others than the rules know */
        Fault rules_fault;   /* why the rules are not in the kernel as they ought to be */
        Fault network_fault; /* why libvirt's network is not there */
        bool is_ensuring, was_ensured;
        NetworkServer *server;      /* that network's dnsmasq, where it runs */
        bool has_lost_server;       /* it ended, and was not started again yet, */
        bool is_loss_told;          /* which the trail has */
        uint64_t ensured_usec;      /* when the network was seen to be there */
        uint64_t ensure_pause_usec; /* before the next attempt */
        sd_event_source *ensure_again;
        sd_event_source *retry, *plug_retry;
        uint64_t retry_usec;  /* the next pause */
        unsigned last_number; /* of the address that was given out last */
};

/* All that have a network; the container is freed by the caller. */
GPtrArray *isolation_sandboxes(const Manager *m);
/* NULL where that address is nobody's. */
Sandbox *isolation_sandbox_of(const Manager *m, uint32_t address);
/* All rules, for the first time, and read back. */
int isolation_load(Isolation *i, Fault *f);
/* Those that could not be before. */
int isolation_remove_leaving(Isolation *i, Fault *f);
/* What was put right, or could not be, for the trail; afterwards, as it is urgent. `who` may be
 * NULL. */
void isolation_tell_repair(Isolation *i, const char *object, const char *what, const char *who,
                           int r, const Fault *f);
/* manager_network_fault() may be another one. */
void isolation_tell(const Isolation *i);

/* -- the resolver (core/isolation-resolver.c) -- */

/* Which names that sandbox may ask for. */
int isolation_tell_resolver(Isolation *i, const SandboxRow *row, Fault *f);
/* The same for all; starts the resolver where a profile has names. */
void isolation_tell_resolver_all(Isolation *i);
/* The rules are told whom the resolver asks, where they do not know. */
void isolation_take_upstreams(Isolation *i);

/* -- watching (core/isolation-watch.c) -- */

extern const LinksObserver isolation_observer;
/* The rules are, or are not, in the kernel: what they concern is let on, or cut off. */
void isolation_rules_changed(Isolation *i, int r, const Fault *f);
void isolation_look_at_links(Isolation *i);
/* Something was not put right. */
void isolation_retry(Isolation *i);
