/* SPDX-License-Identifier: MIT */
#pragma once

/* A host in memory, in place of hostd/host: link the sources in tests/fake/host and not those in
 * hostd/host.
 *
 * It keeps the promises of those headers (what blocks may be called from worker threads, news come
 * on the loop, done() never before its starter returned) and has one state for the whole process,
 * which survives hypervisor_free(): a second hypervisor_new() finds the domains as a restarted
 * daemon would.
 *
 * Image calls make small real files, so that what is left behind can be seen on disk. An image that
 * begins with "refuse" is refused; one that begins with "QFI\xfb" is qcow2, all else raw. A layer
 * is a line that names what it stands on, and then what was written to it. A memory that begins
 * with "bad", in any of its files, cannot be loaded; nor can one on other disks than its own, or
 * one that was made with another abi.
 *
 * What guests can run, by the last part of argv[0]:
 *   true, false, exit N        end with 0, 1, N
 *   echo WORDS…, env, cat      write the words, the environment, the input to stdout
 *   complain WORDS…            write the words to stderr
 *   yes BYTES                  writes that much to stdout
 *   sleep                      never ends, until it is killed or its time is up
 *   vanish                     starts, and the agent then loses it: FAULT_AGENT_REFUSED
 * All else is FAULT_COMMAND_NOT_RUN. */

#include "host/hypervisor.h"
#include "host/links.h"

/* Forgets all: no domains, no files, connected, agents answer, nothing fails. Never while a
 * hypervisor or a worker exists. */
void fake_host_reset(void);

/* -- faults ----------------------------------------------------------------------------------- */

/* Of all calls into this host that may fail, counted from this one on, lets the nth (1, 2, …)
 * fail with `code`; 0: none. A guest task counts twice: its start and its end; and so does every
 * call that loads, saves or bakes a memory, or flattens: the second is in its midst. */
void fake_host_fail_nth(unsigned n, FaultCode code);

/* The next of that name fails: "hypervisor_detach_nic". */
void fake_host_fail_next(const char *what, FaultCode code);

/* The nth, if it is one into libvirt, does what it should, but its answer is lost:
 * FAULT_HYPERVISOR_UNAVAILABLE, and libvirtd is away from then on. */
void fake_host_lose_nth(unsigned n);

/* Before the nth the process ends as by kill -9; what outlives it (domains, what runs in guests) is
 * written to `fd` before. */
void fake_host_die_nth(unsigned n, int fd);
/* Before every one, and after those into libvirt, that is written, and the process stops itself
 * with SIGSTOP. -1: not any more. */
void fake_host_stop_at_each(int fd);
/* Makes a new process's host what was written. */
void fake_host_load(int fd);

/* Counts as one such call: for steps of others, such as commits. False if it has to fail. */
bool fake_host_step(const char *what);

/* The names of such calls from now on, one a line, after an empty one; fake_host_traced() has them,
 * freed by the caller. */
void fake_host_trace(bool is_kept);
char *fake_host_traced(void);

/* How many there were since: a loop over n ends when this is below n. */
unsigned fake_host_calls(void);

/* While held, calls into libvirt wait in their worker thread. */
void fake_host_hold(bool is_held);
/* From the nth call on: after fake_host_fail_nth(), which counts anew. */
void fake_host_hold_nth(unsigned n);
/* How many of them wait. */
unsigned fake_host_held(void);
/* While held, what takes long by nature, baking and flattening, waits in its midst, and all else
 * goes on. A flatten that is ended by something else waits no longer. */
void fake_host_hold_jobs(bool are_held);
/* How many of them wait. */
unsigned fake_host_jobs(void);

/* -- libvirt ---------------------------------------------------------------------------------- */

void fake_host_set_connected(bool is_connected);
/* Domains that somebody made or changed behind fluid's back; the observer hears of it if connected.
 */
void fake_host_set_domain(const char *id, DomainState state);
DomainState fake_host_domain(const char *id);
/* Its guest reboots: one that went on from a memory cannot do it by itself. */
void fake_host_reboot(const char *id);
unsigned fake_host_domains(void);
/* The file that disk number `i` of the domain writes to, or NULL. Freed by the caller. */
char *fake_host_disk(const char *id, unsigned i);
/* One of fluid's name that this daemon does not know, with one disk. */
void fake_host_add_domain(const char *id, const char *disk_path, DomainState state);
/* Whether pressing the power button turns domains off (true at first). */
void fake_host_set_power_button(bool works);
/* A foreign, shut-off domain with one raw disk, and a blueprint. */
void fake_host_add_foreign(const char *name, const char *disk_path);

/* -- memory ----------------------------------------------------------------------------------- */

/* What hypervisor_memory_abi() says. */
void fake_host_set_abi(const char *abi);
/* What a guest has in its RAM: nothing when it has booted; a copy has what its original had. */
void fake_host_set_memory(const char *id, const char *text);
/* Freed by the caller; NULL where there is no such domain. */
char *fake_host_memory(const char *id);

/* -- networks --------------------------------------------------------------------------------- */

/* libvirt's network of that name is somebody else's (false at first). */
void fake_host_set_foreign_network(bool is_foreign);
/* Guests let go of their NICs when asked (true at first), or never. */
void fake_host_set_let_go(bool works);
/* They answer for their address as soon as they are on the network (true at first). */
void fake_host_set_addresses(bool have_them);
void fake_host_tell_neighbor(uint32_t address);
/* Somebody plugs an interface in, with its cable, which cannot be pulled where `network` is ""; the
 * tap, if it has a name, is in "br0". */
void fake_host_add_nic(const char *id, const char *network, const char *interface, const char *mac);
unsigned fake_host_nics(const char *id);
/* False where it has none of that MAC. */
bool fake_host_nic(const char *id, const char *mac, bool *ret_has_cable);
/* A guest that runs and sends into a network past all rules, in words, or NULL. Freed by the
 * caller. A tap of fluid's with no rules of its own is mute. */
char *fake_host_leak(void);
/* The first that there was, at some call since this was asked last. */
char *fake_host_leaked(void);

/* This host is in that network, too; NULL: in none. */
void fake_host_set_network(const char *range);
/* False where there is none. */
bool fake_host_link(const char *name, Link *ret);
/* Somebody gives it another master, MAC, isolation, or state. */
void fake_host_change_link(const char *name, const Link *changed);
/* A bridge's ports stay, and are nobody's. */
void fake_host_remove_link(const char *name);
/* News were lost. */
void fake_host_overrun(void);

/* The kernel takes rules (true at first), or refuses every change. */
void fake_host_set_firewall(bool works);
/* "ADDRESS MAC PROFILE PORTS…", or NULL where the sandbox has none in the kernel; all that has;
 * what a profile there lets to, or NULL; this host's networks; the address that a name was allowed
 * with last, or NULL. Freed by the caller. */
char *fake_host_rules(const char *id);
unsigned fake_host_count_rules(void);
char *fake_host_profile(const char *name);
char *fake_host_local(void);
char *fake_host_allowed(const char *id);
/* Somebody deletes a sandbox's elements, or, with NULL, all tables. */
void fake_host_take_rules(const char *id);

/* The network's dnsmasq ends; whether one runs that is watched. */
void fake_host_end_network_server(void);
bool fake_host_has_network_server(void);

/* The names that the client may ask for, or NULL. Valid until they change. */
const char *fake_host_names(uint32_t client);
/* From now on this host asks a resolver on that port, and fluid-resolver does. */
void fake_host_set_upstream(uint16_t port);
/* The port of the one resolver that the rules let it ask; 0 where there are none, or more. */
unsigned fake_host_asked(void);
/* It has asked for one, and it has that address. Returns what the observer said. */
int fake_host_resolve(uint32_t client, const char *name, uint32_t address, uint32_t ttl_sec);

/* -- guests ----------------------------------------------------------------------------------- */

/* Whether agents of running domains answer: all, or that of one domain. */
void fake_host_set_agents(bool answer);
void fake_host_set_agent(const char *id, bool answers);
/* Freezing works (true at first) or is FAULT_AGENT_REFUSED. */
void fake_host_set_freeze(bool works);
bool fake_host_is_frozen(const char *id);
/* A file in the guest; NULL where there is none. Valid until it changes. */
void fake_host_put_file(const char *id, const char *path, const void *bytes, size_t size);
GBytes *fake_host_file(const char *id, const char *path);
/* Programs that run in guests, paused ones, too. */
unsigned fake_host_processes(void);
/* Who a guest is: what it was given, kept in its memory, and forgotten by nothing. */
typedef struct FakeIdentity {
        char *hostname, *machine_id, *ssh_host_key, *seed; /* the last ones, or NULL */
        unsigned renewals;                                 /* with a new machine id */
        unsigned clocks;                                   /* how often its clock was set */
        bool has_settled;
} FakeIdentity;
/* Valid until it changes. */
const FakeIdentity *fake_host_identity(const char *id);
/* Guests take a new identity (true at first), or renewing it is FAULT_AGENT_REFUSED. */
void fake_host_set_identity(bool works);
/* The next n times that a guest's clock is set take it 0.8 s. */
void fake_host_delay_clocks(unsigned n);

/* -- disks ------------------------------------------------------------------------------------ */

void fake_host_set_disk_free(uint64_t bytes);
/* What the layer stands on, or NULL where it is none. Freed by the caller. */
char *fake_host_backing(const char *path);
