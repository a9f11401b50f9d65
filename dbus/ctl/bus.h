/* SPDX-License-Identifier: MIT */
#pragma once

/* Calls on the daemon, and its answers as JSON.
 *
 * Every error of the bus becomes a Fault: those of the contract by their names, those of D-Bus
 * itself with words that say what to do. The connection is made by the first call. */

#include "base/json.h"
#include "dbus/ctl/ctl.h"
#include "dbus/names.h"

typedef sd_bus_message BusMessage;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BusMessage, sd_bus_message_unref)

#define BUS_TIMEOUT_USEC (25 * UINT64_C(1000000))
/* A person may have to type a password first. */
#define BUS_TIMEOUT_PERSON_USEC (180 * UINT64_C(1000000))
#define BUS_TIMEOUT_LONG_USEC   (3600 * UINT64_C(1000000)) /* for what copies or compares disks */
#define BUS_TIMEOUT_APPLY_USEC  (25 * 3600 * UINT64_C(1000000)) /* for a playbook on many hosts */

/* A call to fill with arguments. An argument that cannot be appended is reported by bus_call(). */
int bus_method(Ctl *ctl, const char *path, const char *interface, const char *member,
               BusMessage **ret, Fault *f);

/* Sends it and awaits the answer, drawing the progress that is under way. FAULT_CANCELLED where
 * that was interrupted by the user; FAULT_TIMED_OUT after `timeout_usec`. `ret_reply` may be NULL.
 */
int bus_call(Ctl *ctl, BusMessage *m, uint64_t timeout_usec, BusMessage **ret_reply, Fault *f);

/* The same, and calls `tick` as often as it draws the progress, which has to be under way; that may
 * make calls itself. */
typedef void (*BusTick)(void *userdata);
int bus_call_with(Ctl *ctl, BusMessage *m, uint64_t timeout_usec, BusTick tick, void *userdata,
                  BusMessage **ret_reply, Fault *f);

/* Both in one, with arguments as sd_bus_message_append() takes them. */
int bus_request(Ctl *ctl, uint64_t timeout_usec, const char *path, const char *interface,
                const char *member, BusMessage **ret_reply, Fault *f, const char *types, ...);

/* Reads from a reply as sd_bus_message_read() does; FAULT_INTERNAL where it has other types. */
int bus_read(BusMessage *reply, Fault *f, const char *types, ...);

/* bus_call() of a method that answers an object's path, which the caller frees. */
int bus_call_path(Ctl *ctl, BusMessage *m, uint64_t timeout_usec, char **ret_path, Fault *f);

/* One property of an object, as JSON. */
int bus_property(Ctl *ctl, const char *path, const char *interface, const char *name, Json **ret,
                 Fault *f);

/* Entries of an a{sv} that has been opened by bus_options_open(). A NULL, zero or false value is
 * left out; a list of strings may be empty. */
void bus_options_open(BusMessage *m);
void bus_options_close(BusMessage *m);
void bus_option_string(BusMessage *m, const char *key, const char *value);
void bus_option_strings(BusMessage *m, const char *key, const GPtrArray *values);
void bus_option_bytes(BusMessage *m, const char *key, const void *bytes, size_t size);
void bus_option_u64(BusMessage *m, const char *key, uint64_t value);
void bus_option_u32(BusMessage *m, const char *key, uint64_t value);
void bus_option_bool(BusMessage *m, const char *key, bool value);

/* The properties of one interface of an object: {"owner_uid":0,…}, the names in snake case, and
 * "object" with its path. */
int bus_properties(Ctl *ctl, const char *path, const char *interface, Json **ret, Fault *f);

/* An array of such objects: all that the ObjectManager shows with that interface and, unless
 * `sandbox` is NULL, with that path as property Sandbox; sorted by the number `sort_key`. */
int bus_objects(Ctl *ctl, const char *interface, const char *sandbox, const char *sort_key,
                Json **ret, Fault *f);

/* The next complete value of a message. Dictionaries of variants are objects with their keys in
 * snake case, other dictionaries, and arrays of (st), are objects with their keys as they are. */
int bus_read_json(BusMessage *m, Json **ret, Fault *f);

void bus_close(Ctl *ctl);
