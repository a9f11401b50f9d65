/* SPDX-License-Identifier: MIT */

/* host-service ADDRESS: speaks dbus/sh.fluid.Host1.*.xml on that bus with canned answers, for tests
 * of its clients. Prints "ready" when it can be called.
 *
 * Names decide what happens: a sandbox "error-X" answers every look-up with error X of the
 * contract, "bus-X" with org.freedesktop.DBus.Error.X, "die" with an exit. There are sandboxes web1
 * (ready), off (stopped), bad (failed) and one whose strings are hostile to terminals. New ones
 * become ready, but "fails…" fails and "slow…" never gets ready, nor "mute…" online. Templates
 * become warm as soon as somebody waits long enough, but "never" does not, and "tepid" fails as if
 * a deadline had passed. What argv[0] of a command does is in commands[]. */

#include "tests/fake/host-service.h"

#include "tests/fake/host-service-approval.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Sandbox sandboxes[OBJECTS_MAX] = {
        {.id = "0000000000a1",
         .name = (char *) "web1",
         .state = (char *) "ready",
         .head = "first",
         .network = (char *) "internet",
         .ports = (char *) "127.0.0.1:8080:80/tcp 53:53/udp"},
        {.id = "0000000000a2", .name = (char *) "off", .state = (char *) "stopped"},
        {.id = "0000000000a3",
         .name = (char *) "bad",
         .state = (char *) "failed",
         .reason = (char *) "the guest agent did not answer within 2min"},
        {.id = "0000000000a4",
         .name = (char *) "hostile",
         .state = (char *) "ready",
         .agent = (char *) HOSTILE,
         .reason = (char *) HOSTILE,
         .network = (char *) HOSTILE},
};
unsigned n_sandboxes = 4;
Command commands[OBJECTS_MAX];
unsigned n_commands;
Template templates[OBJECTS_MAX] = {{.id = "0000000000b1", .name = (char *) "t", .state = "ready"}};
unsigned n_templates = 1;
Snapshot snapshots[OBJECTS_MAX] = {
        {.id = "0000000000c1",
         .name = (char *) "first",
         .sandbox = "0000000000a1",
         .consistency = "frozen",
         .reason = ""},
};
unsigned n_snapshots = 1;

static const char *tail(const char *path)
{
        return strrchr(path, '/') + 1;
}

#define DEFINE_FIND(array, n, is_gone, parent) \
        static int find_##array(sd_bus *bus, const char *path, const char *interface, \
                                void *userdata, void **ret, sd_bus_error *e) \
        { \
                (void) bus, (void) interface, (void) userdata, (void) e; \
                for (unsigned i = 0; i < n; i++) \
                        if (g_str_equal(array[i].id, tail(path)) && !(is_gone)) { \
                                *ret = array + i; \
                                return 1; \
                        } \
                return 0; \
        } \
        static int list_##array(sd_bus *bus, const char *prefix, void *userdata, char ***ret, \
                                sd_bus_error *e) \
        { \
                GPtrArray *paths = g_ptr_array_new(); \
                (void) bus, (void) prefix, (void) userdata, (void) e; \
                for (unsigned i = 0; i < n; i++) \
                        if (!(is_gone)) \
                                g_ptr_array_add(paths, \
                                                g_strdup_printf("%s/%s", parent, array[i].id)); \
                g_ptr_array_add(paths, NULL); \
                *ret = (char **) g_ptr_array_free(paths, FALSE); \
                return 0; \
        }

DEFINE_FIND(sandboxes, n_sandboxes, sandboxes[i].gone, PATH_SANDBOX)
DEFINE_FIND(commands, n_commands, false, PATH_COMMAND)
DEFINE_FIND(templates, n_templates, templates[i].gone, PATH_TEMPLATE)
DEFINE_FIND(snapshots, n_snapshots, snapshots[i].gone, PATH_SNAPSHOT)

static const struct {
        const char *path, *interface;
        const sd_bus_vtable *vtable;
        sd_bus_object_find_t find;
        sd_bus_node_enumerator_t list;
} families[] = {
        {PATH_SANDBOX, INTERFACE_SANDBOX, sandbox_vtable, find_sandboxes, list_sandboxes},
        {PATH_TEMPLATE, INTERFACE_TEMPLATE, template_vtable, find_templates, list_templates},
        {PATH_SNAPSHOT, INTERFACE_SNAPSHOT, snapshot_vtable, find_snapshots, list_snapshots},
        {PATH_COMMAND, INTERFACE_COMMAND, command_vtable, find_commands, list_commands},
};

static sd_bus *serve(const char *address)
{
        sd_bus *bus = NULL;

        g_assert(sd_bus_new(&bus) >= 0);
        g_assert(sd_bus_set_address(bus, address) >= 0);
        g_assert(sd_bus_set_bus_client(bus, true) >= 0);
        g_assert(sd_bus_start(bus) >= 0);
        g_assert(sd_bus_add_object_manager(bus, NULL, PATH_ROOT) >= 0);
        approvals_add(bus);
        playbooks_add(bus);
        g_assert(sd_bus_add_object_vtable(bus, NULL, PATH_ROOT, INTERFACE_MANAGER, manager_vtable,
                                          NULL) >= 0);
        for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
                g_assert(sd_bus_add_fallback_vtable(bus, NULL, families[i].path,
                                                    families[i].interface, families[i].vtable,
                                                    families[i].find, NULL) >= 0);
                g_assert(sd_bus_add_node_enumerator(bus, NULL, families[i].path, families[i].list,
                                                    NULL) >= 0);
        }
        g_assert(sd_bus_request_name(bus, BUS_NAME, 0) >= 0);
        return bus;
}

int main(int argc, char **argv)
{
        if (argc != 2) {
                fputs("usage: host-service ADDRESS\n", stderr);
                return EXIT_FAILURE;
        }
        sd_bus *bus = serve(argv[1]);
        puts("ready");
        (void) fflush(stdout);
        for (;;) {
                int r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
                if (r < 0)
                        return EXIT_SUCCESS;
        }
}
