/* SPDX-License-Identifier: MIT */
#pragma once

/* What several verbs do with sandboxes, and with the commands in them. */

#include "dbus/ctl/bus.h"
#include "dbus/ctl/ctl.h"
#include "dbus/ctl/place.h"

/* A new string, the path of the sandbox (template) of that name or id. */
int sandbox_find(Ctl *ctl, const char *name, char **ret_path, Fault *f);
int template_find(Ctl *ctl, const char *name, char **ret_path, Fault *f);

/* A new string, the path of that snapshot of the sandbox at that path. */
int snapshot_find(Ctl *ctl, const char *sandbox, const char *name, char **ret_path, Fault *f);

/* Waits with progress until a template is complete. It is not given up where the user gives up. */
int template_wait(Ctl *ctl, const char *path, const char *name, uint64_t timeout_usec, Fault *f);

/* The state that the template is in as the result of a verb. */
int template_print(Ctl *ctl, const char *path, Fault *f);

/* Waits with progress for Sandbox.Wait(state) up to `timeout_usec` (USEC_INFINITY: as long as it
 * takes), and writes the state that was reached: it may be another. FAULT_TIMED_OUT,
 * FAULT_CANCELLED. `name` is for the progress. */
int sandbox_wait(Ctl *ctl, const char *path, const char *name, const char *state,
                 uint64_t timeout_usec, char **ret_reached, Fault *f);

/* The same, where any state but that one is a failure, told with the sandbox's Reason. */
int sandbox_wait_for(Ctl *ctl, const char *path, const char *name, const char *state,
                     uint64_t timeout_usec, Fault *f);

/* The same of one that has got ready, until its address answers; the time counts from
 * `begun_usec` on, in CLOCK_MONOTONIC. */
int sandbox_wait_online(Ctl *ctl, const char *path, const char *name, uint64_t timeout_usec,
                        uint64_t begun_usec, Fault *f);

/* Calls a method of the sandbox without arguments or results. */
int sandbox_call(Ctl *ctl, const char *path, const char *method, Fault *f);

/* The state that it is in now as the result of a verb. */
int sandbox_print(Ctl *ctl, const char *path, Fault *f);

/* A line for each of its published ports. */
void sandbox_print_ports(Json *sandbox);

/* How much of its time is left, which stands still while it is paused, or an approval
 * of it waits. The caller frees it. */
char *sandbox_format_expiry(Json *sandbox);

/* Calls "ReadFileAt" or "ExtractAt" for the place, with a bound where `size_max` is not 0. The fd
 * that is read from is the reply's. */
int sandbox_read_at(Ctl *ctl, const Place *place, const char *method, uint64_t size_max,
                    BusMessage **ret_reply, int *ret_fd, Fault *f);

/* command.c */

/* The path of a command's object; FAULT_INVALID_ARGUMENT unless it is an id. */
int command_find(Ctl *ctl, const char *id, char **ret_path, Fault *f);

/* Waits until it has ended, with progress. Ctrl-C interrupts the command the first time, the second
 * time this: FAULT_CANCELLED, and the command is left running. */
int command_wait(Ctl *ctl, const char *path, Fault *f);

/* Copies what it wrote to stdout and stderr, or with --json prints all of it as one object, and
 * warns of what was cut. With `raw` a terminal gets its bytes as they are. `ret_properties` are
 * those that it had before. */
int command_print(Ctl *ctl, const char *path, bool raw, Json **ret_properties, Fault *f);

/* The exit status that stands for its end; FAULT_COMMAND_NOT_RUN or TIMED_OUT where there is none.
 */
int command_status(Json *properties, Fault *f);
