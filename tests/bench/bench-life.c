/* SPDX-License-Identifier: MIT */

/* A sandbox's life on the bus: the call that creates it, being listed, destruction. One boots at a
 * time; how long until it is there is bench-create's. */

#include "base/quantity.h"
#include "dbus/names.h"
#include "tests/bench/bus.h"
#include "tests/bench/samples.h"

#define SANDBOXES 4
#define LISTS     50

int main(void)
{
        g_autoptr(sd_bus) bus = bus_open();
        Samples call = {0}, listed = {0}, destroyed = {0};
        char *sandboxes[SANDBOXES];

        for (unsigned i = 0; i < SANDBOXES; i++) {
                g_autofree char *name = g_strdup_printf("bench-life-%u", i);
                uint64_t since = now_monotonic_usec();
                sandboxes[i] = bus_create_sandbox(bus, name);
                samples_add_since(&call, since);
                bus_wait_until_ready(bus, sandboxes[i]);
        }
        for (unsigned i = 0; i < LISTS; i++) {
                uint64_t since = now_monotonic_usec();
                sd_bus_message_unref(
                        bus_call(bus, PATH_ROOT, INTERFACE_MANAGER, "ListSandboxes", "a{sv}", 0));
                samples_add_since(&listed, since);
        }
        for (unsigned i = 0; i < SANDBOXES; i++) {
                uint64_t since = now_monotonic_usec();
                bus_destroy_sandbox(bus, sandboxes[i]);
                samples_add_since(&destroyed, since);
                g_free(sandboxes[i]);
        }
        samples_print(&call, "create_call_ms");
        samples_print(&listed, "list_ms");
        samples_print(&destroyed, "destroy_ms");
        return 0;
}
