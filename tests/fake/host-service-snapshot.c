/* SPDX-License-Identifier: MIT */
#include "tests/fake/host-service.h"

#include "base/cleanup.h"
#include "base/quantity.h"

static Snapshot *find_snapshot(const Sandbox *s, const char *name)
{
        for (unsigned i = 0; i < n_snapshots; i++)
                if (!snapshots[i].gone && g_str_equal(snapshots[i].sandbox, s->id) &&
                    g_str_equal(snapshots[i].name, name))
                        return snapshots + i;
        return NULL;
}

static Snapshot *add_snapshot(Sandbox *s, char *name, bool has_memory)
{
        Snapshot *new = snapshots + n_snapshots;

        g_assert(n_snapshots < OBJECTS_MAX);
        *new = (Snapshot){
                .id = g_strdup_printf("0000000004%02x", n_snapshots++),
                .name = name,
                .sandbox = s->id,
                .parent = s->head,
                .consistency = "crash",
                .reason = "",
                .has_memory = has_memory,
        };
        s->head = new->name;
        return new;
}

int create_snapshot(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        bool frozen = true, memory = false;
        Sandbox *s = userdata;
        const char *name;
        char *key, *value;
        int fd;

        (void) e;
        g_assert(sd_bus_message_read(m, "s", &name) > 0);
        if (find_snapshot(s, name))
                return refuse(m, FAULT_EXISTS, "a snapshot of that name already exists");
        g_assert(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (next_option(m, &key, &value, &fd) > 0)
                *(g_str_equal(key, "memory") ? &memory : &frozen) = g_str_equal(value, "true");
        Snapshot *new = add_snapshot(s, g_strdup(name), memory);
        if (g_str_equal(name, "thawed"))
                new->reason = "the guest refused\x1b[31m";
        else if (frozen && !memory)
                new->consistency = "frozen";
        return reply_path(m, PATH_SNAPSHOT, new->id);
}

int restore(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Sandbox *s = userdata;
        const char *name;

        (void) e;
        g_assert(sd_bus_message_read(m, "s", &name) > 0);
        if (!find_snapshot(s, name) && !g_str_equal(name, "template"))
                return refuse(m, FAULT_NOT_FOUND, "there is no such snapshot");
        const Snapshot *point = find_snapshot(s, name);
        s->head = g_strdup(name);
        s->started_from = point && point->has_memory ? "memory" : "boot";
        if (g_str_equal(s->state, "ready"))
                s->state = (char *) "starting";
        return sd_bus_reply_method_return(m, NULL);
}

int branch(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Sandbox *source = userdata, *s = sandboxes + n_sandboxes;
        const char *name, *unknown;
        Snapshot *point;

        (void) e;
        g_assert(n_sandboxes < OBJECTS_MAX);
        g_assert(sd_bus_message_read(m, "s", &name) > 0);
        unknown = read_sandbox(m, s);
        if (unknown)
                return refuse(m, FAULT_UNKNOWN_OPTION, unknown);
        if (g_str_equal(name, "now"))
                point = add_snapshot(source, g_strdup_printf("branch-%s", s->id),
                                     g_str_equal(source->state, "ready") && !s->boots);
        else
                point = find_snapshot(source, name);
        if (!point)
                return refuse(m, FAULT_NOT_FOUND, "there is no such snapshot");
        s->head = point->name;
        s->started_from = point->has_memory && !s->boots ? "memory" : "boot";
        return add_sandbox(m);
}

static int delete_snapshot(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Snapshot *s = userdata;
        bool cascade = false;
        char *key, *value;
        int fd;

        (void) e;
        g_assert(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (next_option(m, &key, &value, &fd) > 0)
                cascade = g_str_equal(key, "cascade") && g_str_equal(value, "true");
        for (unsigned i = 0; i < n_sandboxes; i++)
                if (g_str_equal(sandboxes[i].id, s->sandbox) &&
                    g_strcmp0(sandboxes[i].head, s->name) == 0)
                        return refuse(m, FAULT_IN_USE, "the head stands on it");
        for (unsigned i = 0; i < n_snapshots; i++)
                if (!snapshots[i].gone && g_str_equal(snapshots[i].sandbox, s->sandbox) &&
                    g_strcmp0(snapshots[i].parent, s->name) == 0) {
                        if (!cascade)
                                return refuse(m, FAULT_IN_USE, "another snapshot stands on it");
                        snapshots[i].gone = true;
                }
        s->gone = true;
        return sd_bus_reply_method_return(m, NULL);
}

static int promote(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const char *name;

        (void) userdata, (void) e;
        g_assert(n_templates < OBJECTS_MAX);
        g_assert(sd_bus_message_read(m, "s", &name) > 0);
        if (g_str_equal(name, "t"))
                return refuse(m, FAULT_EXISTS, "template 't' already exists");
        templates[n_templates] = (Template){
                .id = g_strdup_printf("0000000002%02x", n_templates),
                .name = g_strdup(name),
                .state = "importing",
        };
        return reply_path(m, PATH_TEMPLATE, templates[n_templates++].id);
}

static int get_snapshot_property(sd_bus *bus, const char *path, const char *interface,
                                 const char *property, sd_bus_message *reply, void *userdata,
                                 sd_bus_error *e)
{
        const Snapshot *s = userdata;

        (void) bus, (void) path, (void) interface, (void) e;
        if (g_str_equal(property, "Sandbox")) {
                g_autofree char *of = g_strdup_printf(PATH_SANDBOX "/%s", s->sandbox);
                return sd_bus_message_append(reply, "o", of);
        }
        if (g_str_equal(property, "HasMemory"))
                return sd_bus_message_append(reply, "b", s->has_memory);
        if (g_str_equal(property, "CreatedUSec"))
                return sd_bus_message_append(reply, "t",
                                             UINT64_C(1700000000000000) +
                                                     (uint64_t) (s - snapshots) * USEC_PER_SEC);
        if (g_str_has_suffix(property, "Bytes"))
                return sd_bus_message_append(reply, "t",
                                             *property == 'S' ? UINT64_C(3) << 20
                                             : s->has_memory  ? UINT64_C(120) << 20
                                                              : 0);
        return sd_bus_message_append(reply, "s",
                                     g_str_equal(property, "Id")            ? s->id
                                     : g_str_equal(property, "Name")        ? s->name
                                     : g_str_equal(property, "Consistency") ? s->consistency
                                     : g_str_equal(property, "Reason")      ? s->reason
                                     : s->parent                            ? s->parent
                                                                            : "template");
}

const sd_bus_vtable snapshot_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Delete", "a{sv}", "", delete_snapshot, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Promote", "s", "o", promote, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", get_snapshot_property, 0, 0),
        SD_BUS_PROPERTY("Name", "s", get_snapshot_property, 0, 0),
        SD_BUS_PROPERTY("Sandbox", "o", get_snapshot_property, 0, 0),
        SD_BUS_PROPERTY("Parent", "s", get_snapshot_property, 0, 0),
        SD_BUS_PROPERTY("Consistency", "s", get_snapshot_property, 0, 0),
        SD_BUS_PROPERTY("Reason", "s", get_snapshot_property, 0, 0),
        SD_BUS_PROPERTY("HasMemory", "b", get_snapshot_property, 0, 0),
        SD_BUS_PROPERTY("SizeBytes", "t", get_snapshot_property, 0, 0),
        SD_BUS_PROPERTY("MemoryBytes", "t", get_snapshot_property, 0, 0),
        SD_BUS_PROPERTY("CreatedUSec", "t", get_snapshot_property, 0, 0),
        SD_BUS_VTABLE_END,
};
