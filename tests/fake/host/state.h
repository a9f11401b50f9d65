/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of tests/fake/host know of each other. */

#include "host/agent.h"
#include "tests/fake/host.h"

typedef struct FakeDomain {
        char *id;
        DomainState state;
        char *socket;
        GPtrArray *targets, *paths; /* of its disks */
        bool agent_answers, is_frozen;
        GHashTable *files; /* path → GBytes */
} FakeDomain;

typedef struct FakeHost {
        GMutex lock; /* all below, and the domains */
        GCond released;
        bool is_held, is_connected, power_button_works;
        unsigned held, calls, fail_at, lose_at, die_at, hold_at;
        bool answer_is_lost; /* of the call that is in libvirt now */
        FaultCode fail_code;
        bool stops;
        int death_fd;
        uint64_t disk_free;
        GHashTable *domains; /* by id */
        GPtrArray *foreign;  /* of char *name, char *path in turn */
        GQueue news;

        /* The loop's alone. */
        Hypervisor *hypervisor;
        bool agents_answer, freeze_works, keeps_processes;
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

typedef struct FakeNews {
        bool is_of_connection, is_connected;
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

/* Writes what the file `from` holds to the end of `to`. */
void fake_append(const char *from, const char *to);

/* The domain whose agent listens there. */
FakeDomain *fake_domain_of(const char *socket);

/* Tells every agent's observer whether it answers now. On the loop. */
void fake_agents_update(void);
/* Ends every task of an agent that goes away: FAULT_CANCELLED. */
void fake_tasks_end(const Agent *a);
void fake_guest_reset(void);
FakeDomain *fake_domain_of_agent(const Agent *a);
