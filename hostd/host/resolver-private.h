/* SPDX-License-Identifier: MIT */
#pragma once

/* What the parts of host/resolver.h share: resolver.c is what is wanted and what is known,
 * resolver-program.c the program and the channel to it, resolver-upstream.c whom it asks. */

#include "host/resolver.h"

typedef struct PatternList {
        uint32_t id;
        unsigned refs; /* clients that have it */
        bool allows_private;
        char **patterns; /* sorted, each once */
        char *key;       /* all of this as one text */
} PatternList;

typedef struct KnownClient {
        uint32_t address;
        PatternList *list;
        ResolverCounters counters;
        GArray *refusals;      /* of PastRefusal, newest last */
        GHashTable *reachable; /* address to until when, of what was allowed: seconds, monotonic */
} KnownClient;

typedef struct PastRefusal {
        ResolverReason reason;
        uint64_t times;
        uint64_t at_usec;
        char name[DOMAIN_NAME_MAX];
} PastRefusal;

typedef struct ResolverProgram ResolverProgram;

struct Resolver {
        sd_event *event;
        ResolverObserver observer;
        void *userdata;

        GHashTable *lists;   /* key to PatternList */
        GHashTable *clients; /* address to KnownClient */
        uint32_t last_list_id;

        ResolverUpstream upstreams[RESOLVER_UPSTREAMS_MAX];
        unsigned n_upstreams;
        char *resolv_conf; /* NULL: the upstreams are given */
        sd_event_source *reread;

        ResolverProgram *program;
};

/* -- resolver.c ----------------------------------------------------------------------------- */

/* Tells a program that has just started all there is to know. */
void resolver_tell_all(Resolver *r);
/* What the program said, checked. FAULT_INTERNAL where it may not say that. */
int resolver_hear(Resolver *r, const ResolverMessage *m, Fault *f);

/* -- resolver-program.c --------------------------------------------------------------------- */

int resolver_program_new(Resolver *r, const ResolverSettings *settings, ResolverProgram **ret,
                         Fault *f);
ResolverProgram *resolver_program_free(ResolverProgram *p);
/* Now, or when it reads again. Where there is no program, nothing: the next one is told all. */
void resolver_program_tell(ResolverProgram *p, const ResolverMessage *m);
unsigned resolver_program_starts(const ResolverProgram *p);

/* -- resolver-upstream.c -------------------------------------------------------------------- */

/* One address, with a port or without. FAULT_INVALID_ARGUMENT. */
int resolver_upstream_parse(const char *text, ResolverUpstream *ret, Fault *f);
/* Those of a file as in resolv.conf(5); this host where it names none, or is not there. */
unsigned resolver_upstreams_read(const char *path,
                                 ResolverUpstream ret[static RESOLVER_UPSTREAMS_MAX]);
/* Takes them from the settings, and begins to look for changes. */
int resolver_upstreams_init(Resolver *r, const ResolverSettings *settings, Fault *f);
/* Tells the program. */
void resolver_upstreams_tell(Resolver *r);
