/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of tests/fake/host know of each other. */

#include "host/agent.h"
#include "host/links.h"
#include "host/resolver.h"
#include "tests/fake/host.h"

/* What is in a guest's memory. */
typedef struct FakeGuest {
        uint64_t boot; /* which one it is of all that this host has seen; programs end with it */
        char *text;
        FakeIdentity identity;
} FakeGuest;

typedef struct FakeNic {
        char *network, *interface;
        char mac[MAC_TEXT_MAX];
        bool has_cable;
} FakeNic;

typedef struct FakeDomain {
        char *id;
        DomainState state;
        char *socket;
        GPtrArray *targets, *paths; /* of its disks */
        GPtrArray *nics;            /* of FakeNic */
        bool agent_answers, is_frozen;
        bool is_transient; /* goes with the process */
        bool is_loaded;    /* it went on from a memory, and cannot boot */
        GHashTable *files; /* path → GBytes */
        FakeGuest guest;
        char *saved;         /* where its memory was written to last, or NULL */
        unsigned ended_jobs; /* how often that was done to it that ends a flatten */
} FakeDomain;

/* Of nftables; all NULL where there are none. By name, or id, a line of text. */
typedef struct FakeTables {
        GHashTable *profiles, *sandboxes, *allowed;
        char *local;
} FakeTables;

typedef struct FakeHost {
        GMutex lock; /* all below, and the domains */
        GCond released;
        bool is_held, is_connected, power_button_works, jobs_are_held;
        unsigned held, jobs, calls, fail_at, lose_at, die_at, hold_at;
        uint64_t last_boot;
        char *abi;
        bool answer_is_lost; /* of the call that is in libvirt now */
        FaultCode fail_code;
        const char *fail_what; /* or NULL */
        bool stops;
        int death_fd;
        uint64_t disk_free;
        GHashTable *domains; /* by id */
        GPtrArray *foreign;  /* of char *name, char *path in turn */
        GQueue news;
        GString *trace;    /* or NULL */
        FakeTables tables; /* in the kernel */
        GHashTable *links; /* by name */
        GQueue link_news;  /* of FakeLinkNews */
        Links *watcher;    /* who is told of them */
        char *leak;        /* the first that there was, or NULL */
        char *bridge;      /* of the network, where there is one */
        char *network;     /* another one that this host is in, or NULL */
        bool firewall_works, guests_let_go, guests_have_addresses, network_is_foreign;

        /* The loop's alone. */
        Hypervisor *hypervisor;
        struct Resolver *resolver;
        struct NetworkServer *server;
        ResolverUpstream host_upstream; /* whom this host asks */
        ResolverUpstream
                upstreams[RESOLVER_UPSTREAMS_MAX]; /* whom the rules let the resolver ask */
        unsigned n_upstreams;
        bool agents_answer, freeze_works, identity_works;
        unsigned late_clocks;
        GPtrArray *agents, *processes, *tasks;
} FakeHost;

extern FakeHost fake;

void fake_lock(void);
void fake_unlock(void);

/* With the lock held. */
GHashTable *fake_domains(void);
FakeDomain *fake_domain_find(const char *id);
FakeDomain *fake_domain_add(const char *id);
void fake_set_state(FakeDomain *d, DomainState state);
bool fake_is_on(const FakeDomain *d);
void fake_set_disks(FakeDomain *d, const DomainDisk *disks, size_t n);
int fake_check_disks(const FakeDomain *d, Fault *f);
/* Waits while jobs are held; the domain may be another one, or NULL, afterwards. */
FakeDomain *fake_wait_in_job(const char *id);

/* A call into libvirt: the lock is held when this returns 0, and until fake_leave(). */
int fake_enter(const char *what, Fault *f);
/* FAULT_HYPERVISOR_FAILED where there is no such domain. */
int fake_enter_domain(const char *what, const char *id, FakeDomain **ret, Fault *f);
int fake_leave(int r, Fault *f);

/* -- network.c, firewall.c, links.c; with the lock held -- */

void fake_nic_free(void *data);
FakeNic *fake_nic_add(FakeDomain *d, const char *network, const char *interface, const char *mac);
void fake_unplug_all(FakeDomain *d);
char *fake_leak(void);
/* What outlives the daemon. */
#define FAKE_NICS_TYPE    "a(sssb)"
#define FAKE_NETWORK_TYPE "(sa(sssbb)ba{ss}a{ss}a{ss}s)"
GVariant *fake_nics_save(const FakeDomain *d);
void fake_nics_load(FakeDomain *d, GVariant *saved);
GVariant *fake_network_save(void);
void fake_network_load(GVariant *saved);

void fake_tables_init(FakeTables *t);
void fake_tables_clear(FakeTables *t);

typedef enum FakeLinkNewsKind {
        FAKE_NEWS_LINK,
        FAKE_NEWS_NETWORKS,
        FAKE_NEWS_RULESET,
        FAKE_NEWS_NEIGHBOR,
        FAKE_NEWS_OVERRUN,
} FakeLinkNewsKind;

typedef struct FakeLinkNews {
        FakeLinkNewsKind kind;
        char name[IFNAMSIZ];
        uint32_t address;
} FakeLinkNews;
void fake_push_link_news(FakeLinkNews news);

GHashTable *fake_links(void);
Link *fake_link_add(const char *name, const char *master);
void fake_link_remove(const char *name);

/* -- memory.c; with the lock held -- */
/* It boots, into that state, or goes on from spec->memory. On failure it is off. */
int fake_boot(FakeDomain *d, DomainState state, Fault *f);
int fake_load(FakeDomain *d, const DomainSpec *spec, Fault *f);
GVariant *fake_guest_save(const FakeGuest *guest);
void fake_guest_load(FakeGuest *guest, GVariant *saved);
void fake_guest_clear(FakeGuest *guest);

typedef enum FakeNewsKind {
        FAKE_NEWS_DOMAIN,
        FAKE_NEWS_CONNECTION,
        FAKE_NEWS_DEVICES,
        FAKE_NEWS_RESET,
} FakeNewsKind;

typedef struct FakeNews {
        FakeNewsKind kind;
        bool is_connected;
        char *id;
        DomainState state;
} FakeNews;
void fake_push_news(FakeNews news);
/* Counts a call that may fail, and fails it, or ends the process, if its turn has come. */
int fake_count(const char *what, Fault *f);

/* The same, of any thread, without the lock. */
int fake_call(const char *what, Fault *f);

/* Writes what outlives the process, and ends or stops it. With the lock held. */
void fake_die(void);
void fake_stop(void);

/* What runs in guests, for fake_host_load(). */
GVariant *fake_processes_save(void);
void fake_processes_load(GVariant *saved);

/* Lets the loop look at news and agents. Any thread. */
void fake_wake(void);

/* Writes what was written to the layer `from` to the end of `to`. */
void fake_append(const char *from, const char *to);
/* What a layer on `backing` begins with. */
char *fake_header(const char *path, const char *backing, const char *format);
/* Copies all that lies between the two into `path`, which stands on `base` then. */
int fake_flatten(const char *path, const char *base, Fault *f);

/* The domain whose agent listens there. */
FakeDomain *fake_domain_of(const char *socket);

bool fake_agent_answers(const Agent *a);
/* Tells every agent's observer whether it answers now. On the loop. */
void fake_agents_update(void);
/* Ends every task of an agent that goes away: FAULT_CANCELLED. */
void fake_tasks_end(const Agent *a);
/* Lets those go on whose guest is not paused any more. */
void fake_tasks_wake(void);
void fake_guest_reset(void);
FakeDomain *fake_domain_of_agent(const Agent *a);
