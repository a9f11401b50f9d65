/* SPDX-License-Identifier: MIT */
#include "tests/bench/bus.h"

#include "base/quantity.h"
#include "dbus/names.h"

#include <err.h>
#include <stdarg.h>
#include <string.h>

#define CALL_USEC (180 * USEC_PER_SEC)

sd_bus *bus_open(void)
{
        sd_bus *bus = NULL;

        if (sd_bus_open_system(&bus) < 0 || sd_bus_set_method_call_timeout(bus, CALL_USEC) < 0)
                errx(1, "no system bus");
        return bus;
}

sd_bus_message *bus_call(sd_bus *bus, const char *object, const char *interface, const char *method,
                         const char *types, ...)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        va_list args;

        va_start(args, types);
        if (sd_bus_call_methodv(bus, BUS_NAME, object, interface, method, &error, &reply, types,
                                args) < 0)
                errx(1, "%s of %s: %s", method, object, error.message ? error.message : "failed");
        va_end(args);
        return reply;
}

char *bus_create_sandbox(sd_bus *bus, const char *name)
{
        g_autoptr(sd_bus_message) reply =
                bus_call(bus, PATH_ROOT, INTERFACE_MANAGER, "CreateSandbox", "sa{sv}", "mini", 1,
                         "name", "s", name);
        const char *sandbox;

        if (sd_bus_message_read(reply, "o", &sandbox) < 0)
                errx(1, "CreateSandbox returned no object");
        return g_strdup(sandbox);
}

void bus_wait_until_ready(sd_bus *bus, const char *sandbox)
{
        g_autoptr(sd_bus_message) reply =
                bus_call(bus, sandbox, INTERFACE_SANDBOX, "Wait", "st", "ready", CALL_USEC);
        const char *state;

        if (sd_bus_message_read(reply, "s", &state) < 0 || !g_str_equal(state, "ready"))
                errx(1, "%s did not become ready", sandbox);
}

void bus_destroy_sandbox(sd_bus *bus, const char *sandbox)
{
        sd_bus_message_unref(bus_call(bus, sandbox, INTERFACE_SANDBOX, "Destroy", ""));
}

void bus_run_script(sd_bus *bus, const char *sandbox, const char *script)
{
        g_autoptr(sd_bus_message) reply = bus_call(bus, sandbox, INTERFACE_SANDBOX, "Run",
                                                   "asa{sv}", 3, "/bin/sh", "-c", script, 0);
        int status;

        if (sd_bus_message_read(reply, "i", &status) < 0 || status != 0)
                errx(1, "a script failed in %s: %s", sandbox, script);
}

char *bus_domain_name(const char *sandbox)
{
        return g_strconcat("fluid-", strrchr(sandbox, '/') + 1, NULL);
}
