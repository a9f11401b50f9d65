/* SPDX-License-Identifier: MIT */
#pragma once

/* The parts of host-service: what it holds, and what its objects do with it. */

#include "base/fault.h"
#include "dbus/names.h"

#include <glib.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#define HOSTILE     "evil\x1b[31m\xe2\x80\xae"
#define OBJECTS_MAX 64

typedef struct Sandbox {
        const char *id;
        char *name, *agent, *state, *reason, *labels;
        const char *head, *started_from; /* NULL: "template", "" */
        char *network, *ports;           /* NULL: "none", ""; ports with blanks between them */
        uint32_t vcpus;
        uint64_t memory_bytes, expires_usec, idle_timeout_usec, paused_usec;
        bool gone, boots;
} Sandbox;

typedef struct Command {
        char id[16];
        const char *sandbox, *state, *reason;
        char **argv;
        GString *out, *err;
        int exit_status, signal;
        bool truncated;
        sd_bus_message *waiter; /* of "sleep", which ends by a signal alone */
} Command;

typedef struct Template {
        const char *id;
        char *name;
        const char *state, *phase, *reason; /* NULL: "" */
        uint32_t pool;
        bool gone, warm;
} Template;

typedef struct Snapshot {
        const char *id;
        char *name;
        const char *sandbox, *parent; /* an id; a name, NULL: "template" */
        const char *consistency, *reason;
        bool gone, has_memory;
} Snapshot;

extern Sandbox sandboxes[OBJECTS_MAX];
extern Command commands[OBJECTS_MAX];
extern Template templates[OBJECTS_MAX];
extern Snapshot snapshots[OBJECTS_MAX];
extern unsigned n_sandboxes, n_commands, n_templates, n_snapshots;

extern const sd_bus_vtable manager_vtable[], sandbox_vtable[], template_vtable[], snapshot_vtable[],
        command_vtable[];

/* Answers of every kind. */
int refuse(sd_bus_message *m, FaultCode code, const char *message);
int reply_path(sd_bus_message *m, const char *prefix, const char *id);
int reply_text(sd_bus_message *m, const char *text);
const char *or_empty(const char *text);

/* One entry of a{sv}: the key, and its value as text ("" for what is no text or number). */
int next_option(sd_bus_message *m, char **ret_key, char **ret_value, int *ret_fd);

/* Playbooks, of which there are none at first. */
void playbooks_add(sd_bus *bus);

/* The options of a new sandbox; the key of an unknown one, or NULL. */
const char *read_sandbox(sd_bus_message *m, Sandbox *s);
int add_sandbox(sd_bus_message *m);

/* Methods and properties of Sandbox that are in files of their own. */
int create_snapshot(sd_bus_message *m, void *userdata, sd_bus_error *e);
int restore(sd_bus_message *m, void *userdata, sd_bus_error *e);
int branch(sd_bus_message *m, void *userdata, sd_bus_error *e);
int exec(sd_bus_message *m, void *userdata, sd_bus_error *e);
int diff(sd_bus_message *m, void *userdata, sd_bus_error *e);
int read_file_at(sd_bus_message *m, void *userdata, sd_bus_error *e);
int extract_at(sd_bus_message *m, void *userdata, sd_bus_error *e);
int export_playbook(sd_bus_message *m, void *userdata, sd_bus_error *e);
/* Keeps the archive as "imported.tar" beside the documents. */
int import_playbook(sd_bus_message *m, void *userdata, sd_bus_error *e);
int set_network(sd_bus_message *m, void *userdata, sd_bus_error *e);
int explain_network(sd_bus_message *m, void *userdata, sd_bus_error *e);
int list_drops(sd_bus_message *m, void *userdata, sd_bus_error *e);
int get_network_rules(sd_bus_message *m, void *userdata, sd_bus_error *e);
int get_network_counters(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *e);
int get_network_property(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *e);
