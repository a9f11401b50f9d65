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
 * begins with "refuse" is refused; one that begins with "QFI\xfb" is qcow2, all else raw.
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

/* Forgets all: no domains, no files, connected, agents answer, nothing fails. Never while a
 * hypervisor or a worker exists. */
void fake_host_reset(void);

/* -- faults ----------------------------------------------------------------------------------- */

/* Of all calls into this host that may fail, counted from this one on, lets the nth (1, 2, …)
 * fail with `code`; 0: none. A guest task counts twice: its start and its end. */
void fake_host_fail_nth(unsigned n, FaultCode code);

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

/* How many there were since: a loop over n ends when this is below n. */
unsigned fake_host_calls(void);

/* While held, calls into libvirt wait in their worker thread. */
void fake_host_hold(bool is_held);
/* From the nth call on: after fake_host_fail_nth(), which counts anew. */
void fake_host_hold_nth(unsigned n);
/* How many of them wait. */
unsigned fake_host_held(void);

/* -- libvirt ---------------------------------------------------------------------------------- */

void fake_host_set_connected(bool is_connected);
/* Domains that somebody made or changed behind fluid's back; the observer hears of it if connected.
 */
void fake_host_set_domain(const char *id, DomainState state);
DomainState fake_host_domain(const char *id);
unsigned fake_host_domains(void);
/* The file that disk number `i` of the domain writes to, or NULL. Freed by the caller. */
char *fake_host_disk(const char *id, unsigned i);
/* Whether pressing the power button turns domains off (true at first). */
void fake_host_set_power_button(bool works);
/* A foreign, shut-off domain with one raw disk, and a blueprint. */
void fake_host_add_foreign(const char *name, const char *disk_path);

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
/* Programs that run in guests. */
unsigned fake_host_processes(void);
/* From now on tasks that are cancelled leave their program running, as a killed daemon would. */
void fake_host_keep_processes(bool are_kept);

/* -- disks ------------------------------------------------------------------------------------ */

void fake_host_set_disk_free(uint64_t bytes);
