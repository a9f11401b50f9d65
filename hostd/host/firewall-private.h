/* SPDX-License-Identifier: MIT */
#pragma once

/* What the parts of host/firewall.h share. */

#include "base/name.h"
#include "host/firewall.h"

#include <libmnl/libmnl.h>
#include <net/if.h>
#include <netinet/in.h> /* before linux/in.h */
#include <nftables/libnftables.h>

#define FIREWALL_LAST_MAX 65536 /* refused destinations that are remembered, of all sandboxes */
#define FIREWALL_LAST_SEC 180

/* Addresses that names led to, per sandbox; then those whose time is over are forgotten. */
#define FIREWALL_NAMES_MAX 1024
/* How long a connection may outlive the TTL of the name that it was made by. */
#define FIREWALL_NAMED_SEC (24 * 60 * 60)

/* An address that a name led to; until when, monotonic, in microseconds. */
typedef struct Allowed {
        gint64 begin_until; /* connections to it may be begun */
        gint64 open_until;  /* and may be open */
} Allowed;

typedef struct Profile {
        char *name;
        bool has_internet, has_names;
        GArray *rules; /* of FirewallRule */
        uint32_t connections_max, connections_per_sec;
} Profile;

typedef struct Sandbox {
        Id id;
        char interface[IFNAMSIZ];
        uint8_t mac[MAC_SIZE], gateway_mac[MAC_SIZE];
        uint32_t address;
        const Profile *profile;
        GArray *ports;     /* of FirewallPort */
        GHashTable *names; /* address → Allowed */
} Sandbox;

/* What ought to be in the kernel, as people said it. */
typedef struct Model {
        GHashTable *profiles;  /* name → Profile */
        GHashTable *sandboxes; /* id → Sandbox, which owns its key */
        GArray *local;         /* of AddressRange, none within another */
} Model;

struct Firewall {
        char *directory, *bridge;
        AddressRange range;
        uint32_t gateway;
        uint16_t resolver_port;
        uid_t resolver_uid;
        ResolverUpstream upstreams[RESOLVER_UPSTREAMS_MAX]; /* that it asks */
        unsigned n_upstreams;

        Model *model;
        GHashTable *owners;    /* "10.0.0.2", MAC, "tcp 127.0.0.1:80" → Sandbox */
        GHashTable *structure; /* what the kernel had right after our load: firewall-verify.c */

        unsigned localhost_ports;  /* of all sandboxes */
        unsigned bridge_index;     /* that was set up last, */
        bool bridge_has_localhost; /* and how */

        struct nft_ctx *nft;
        struct mnl_socket *netlink;
        uint32_t sequence;
};

/* -- the model ---------------------------------------------------------------- firewall-model.c */

Model *model_new(void);
Model *model_free(Model *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Model, model_free)

/* Copies, after having checked every value. */
int model_add_profile(Model *m, const FirewallProfile *profile, Fault *f);
int sandbox_new(const Firewall *fw, const Model *m, const FirewallSandbox *sandbox, Sandbox **ret,
                Fault *f);
Sandbox *firewall_sandbox_free(Sandbox *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sandbox, firewall_sandbox_free)
void model_set_local(Model *m, const AddressRange *local, size_t n);

/* Notes whose the addresses, MACs and ports are; FAULT_EXISTS where they are another's. */
int owners_add(GHashTable *owners, Sandbox *s, Fault *f);
void owners_remove(GHashTable *owners, const Sandbox *s);

/* -- changes ------------------------------------------------------------------------ firewall.c */

/* A change of what is not a sandbox's, which the model has already: of the files, of the kernel,
 * and of what is remembered of it. Where it did not come to the kernel, the model and the files
 * have to be put back. */
int tables_change(Firewall *fw, const char *text, bool *ret_has_changed, Fault *f);

/* -- texts ------------------------------------------------------------------ firewall-compose.c */

/* The lines "add element …" of one sandbox, with these counters; NULL: from 0. */
void compose_sandbox(const Sandbox *s, const FirewallCounters *counters, GString *out);
/* What makes the kernel's elements of `old` those of `next`; either may be NULL. What is in both
 * stays, with its counters. */
void compose_change(const Sandbox *old, const Sandbox *next, GString *out);
/* The chain of a profile. */
void compose_profile(const Profile *p, GString *out);
/* Both tables, without sandboxes. */
void compose_tables(const Firewall *fw, const Model *m, GString *out);
/* The elements of the set "local", or nothing. */
void compose_local(const Model *m, GString *out);
/* The rules for whom the resolver asks, each a line with that before it. */
void compose_upstreams(const Firewall *fw, const char *before, GString *out);
/* Lines of the same set become one: read in half the time. */
void compose_grouped(const GString *lines, GString *out);

/* -- elements --------------------------------------------------------------- firewall-element.c */

typedef enum FirewallSet {
        SET_PINNED,
        SET_FRAMES,
        SET_ANSWERS,
        SET_ADDRESSED,
        SET_CLIENTS,
        SET_HARDWARE,
        SET_MACS,
        SET_BRIDGE_NOTING,
        SET_FORGED,
        SET_PROTOCOL,
        SET_NOTING,
        SET_PASSED,
        SET_HOST,
        SET_REACH,
        SET_LIMIT,
        SET_RATE,
        SET_OPEN,
        SET_PROFILE,
        SET_RESOLVED,
        SET_LISTENING,
        SET_PUBLISHED,
        SET_PUBLISHED_ANY,
        SET_NAMES,
        SET_NAMED,
        SET_LAST_FORGED,
        SET_LAST_PROTOCOL,
        SET_LAST_HOST,
        SET_LAST_REACH,
        SET_LAST_LIMIT,
        _SET_MAX,
} FirewallSet;

typedef struct SetName {
        uint8_t family; /* NFPROTO_BRIDGE or NFPROTO_INET */
        const char *name;
} SetName;
extern const SetName set_names[_SET_MAX];

#define ELEMENT_KEY_MAX  36
#define ELEMENT_DATA_MAX 8

/* An element as the kernel keeps it: concatenated fields begin at multiples of 4 bytes. */
typedef struct Element {
        FirewallCount count;   /* not compared */
        uint64_t expires_msec; /* 0: never; not compared */
        FirewallSet set;
        uint32_t rate, burst; /* 0: no limit */
        uint32_t open;        /* 0: no limit */
        uint8_t key[ELEMENT_KEY_MAX], data[ELEMENT_DATA_MAX];
        char chain[40]; /* the verdict "goto", or "" */
        uint8_t key_size, data_size;
        bool is_over; /* the limit matches what is above it */
        bool is_counter;
} Element;

/* All elements of a sandbox but those of names, in an array of Element; the caller frees it. */
GArray *sandbox_elements(const Sandbox *s);
/* One of a set whose key is the interface, or the address, alone. */
Element sandbox_element(const Sandbox *s, FirewallSet set);
Element name_element(const Sandbox *s, FirewallSet set, uint32_t address);
bool elements_equal(const Element *a, const Element *b);
guint element_hash(gconstpointer element);
gboolean element_same_key(gconstpointer a, gconstpointer b);
/* In words, for messages. */
char *element_to_string(const Element *e);

/* -- the kernel -------------------------------------------------------------- firewall-kernel.c */

int kernel_open(Firewall *fw, Fault *f);
void kernel_close(Firewall *fw);
/* One transaction. */
int kernel_run(Firewall *fw, const char *commands, Fault *f);
/* As above, with what libnftables printed. */
int kernel_ask(Firewall *fw, const char *commands, char **ret, Fault *f);

/* Asks for `n` elements by key. `found[i]` tells which are there, `ret[i]` how; both have `n`. */
int kernel_get(Firewall *fw, const Element *elements, size_t n, Element *ret, bool *found,
               Fault *f);
/* All elements of a set; -ENOENT without a fault where it is not there. */
typedef void (*KernelElement)(const Element *e, void *userdata);
int kernel_list(Firewall *fw, FirewallSet set, KernelElement element, void *userdata, Fault *f);

/* A dump of messages of the nf_tables subsystem; `table` and `set` may be NULL. */
int kernel_dump(Firewall *fw, uint16_t type, uint8_t family, const char *table, const char *set,
                mnl_cb_t message, void *userdata, Fault *f);
/* The number of the kernel's ruleset, which each transaction adds one to. */
int kernel_generation(Firewall *fw, uint32_t *ret, Fault *f);

/* -- the rest ---------------------------------------------------------------------------------- */

/* firewall-verify.c: what is in the kernel but elements of sandboxes, by name. */
int structure_read(Firewall *fw, GHashTable **ret, Fault *f);

/* firewall-file.c */
int files_write_all(Firewall *fw, const Model *m, Fault *f);
int files_write_tables(Firewall *fw, const Model *m, Fault *f);
int files_write_sandbox(Firewall *fw, const Sandbox *s, Fault *f);
int files_remove_sandbox(Firewall *fw, const char *id, Fault *f);

/* firewall-bridge.c: what the rules need of the bridge, where it is there, and of routing. */
int bridge_prepare(Firewall *fw, bool is_forced, Fault *f);
/* How many ports of it are published on 127.0.0.1; `s` may be NULL. */
unsigned bridge_localhost_ports(const Sandbox *s);

/* firewall-connection.c: makes the kernel forget all connections from and to that address. */
int connections_end(uint32_t address, Fault *f);
