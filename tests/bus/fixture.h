/* SPDX-License-Identifier: MIT */
#pragma once

/* A daemon's inside on a private bus: real api, core, store and loop on the host in memory, and
 * clients, all on one loop and one thread. The loop runs while a client waits for its reply, so
 * nothing sleeps for luck. */

#include "api/api.h"
#include "dbus/names.h"
#include "tests/fake/host.h"
#include "tests/tap.h"

#include <systemd/sd-bus.h>

typedef struct Fixture {
        sd_event *event;
        char *directory; /* scratch; all goes at the end */
        char *address;   /* of the bus */
        pid_t bus_pid;
        Manager *manager;
        Api *api;
        const char *policy; /* a file for the bus to include; set before fixture_start(), or NULL */
        sd_bus *client;     /* this user's */
        unsigned lost;      /* how often the api said that the bus is gone */
        /* What `client` heard: "InterfacesAdded PATH INTERFACE", "InterfacesRemoved PATH
         * INTERFACE", "PropertiesChanged PATH INTERFACE NAME,NAME". */
        GPtrArray *signals;
} Fixture;

extern Fixture fixture;

/* `settings` are lines for fluid.conf, or NULL. Beside the built-in network profiles there are
 * "mirror" (192.0.2.0/24 port 443) and "secret", for root alone. Bails out where it cannot. */
void fixture_start(const char *settings);
void fixture_stop(void);

/* Ends the daemon's inside and starts it again on the same state, as a restart would. */
void fixture_restart(void);

/* Runs the loop until the condition holds; false after 10 s. After each of its steps what is kept
 * for the list of sandboxes is held against what they are: bails out where that is not of now. */
bool fixture_until(bool (*condition)(void *userdata), void *userdata);

/* Another connection, of that user (only for root), on the same loop. Closed at the end. */
sd_bus *fixture_connect(uid_t uid);

/* -- calls ------------------------------------------------------------------------------------ */

/* Calls and waits for the reply; NULL where it is an error, whose name without BUS_ERROR_PREFIX is
 * then in bus_error, "" else. Replies are freed at the end. */
sd_bus_message *bus_call(sd_bus *bus, const char *path, const char *interface, const char *member,
                         const char *types, ...);
extern char bus_error[128], bus_error_message[1024];

/* The same with options that the caller appends: bus_call_begin(), sd_bus_message_append(),
 * bus_call_end(). */
sd_bus_message *bus_call_begin(sd_bus *bus, const char *path, const char *interface,
                               const char *member);
sd_bus_message *bus_call_end(sd_bus *bus, sd_bus_message *m);

/* One case: the call that was made last ended with this error ("" for none). */
static inline void bus_is_error(const char *expected, const char *sentence)
{
        if (!tap_is_str(bus_error, expected, "%s", sentence))
                tap_note("%s", bus_error_message);
}

/* Starts a call without waiting; its number of replies so far is counted in `replies`. */
void bus_call_later(sd_bus *bus, unsigned *replies, const char *path, const char *interface,
                    const char *member, const char *types, ...);

/* A property as text; "" where it cannot be read. Valid until the end. */
const char *bus_property(sd_bus *bus, const char *path, const char *interface, const char *name);

/* Whether `client` heard a signal that begins with `beginning`. */
bool bus_heard(const char *beginning);

/* The last part of a path. */
const char *id_of_path(const char *path);

/* How many rows of the audit trail have that kind, phase and error. */
unsigned audit_count(const char *kind, const char *phase, const char *error);

/* -- objects ---------------------------------------------------------------------------------- */

/* A descriptor with that content, for reading. */
int fixture_file(const char *content);

/* A ready template and a ready sandbox of the caller's: bus paths, valid until the end. */
const char *fixture_template(const char *name);
const char *fixture_sandbox(sd_bus *bus, const char *name);
