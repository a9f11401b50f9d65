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

char *bus_read_object(sd_bus_message *reply)
{
        const char *object;

        if (sd_bus_message_read(reply, "o", &object) < 0)
                errx(1, "a reply holds no object");
        return g_strdup(object);
}

static sd_bus_message *get(sd_bus *bus, const char *object, const char *interface,
                           const char *property)
{
        return bus_call(bus, object, "org.freedesktop.DBus.Properties", "Get", "ss", interface,
                        property);
}

uint64_t bus_get_number(sd_bus *bus, const char *object, const char *interface,
                        const char *property)
{
        g_autoptr(sd_bus_message) reply = get(bus, object, interface, property);
        const char *type;
        uint32_t number;
        uint64_t long_number;

        if (sd_bus_message_peek_type(reply, NULL, &type) < 0)
                errx(1, "%s of %s cannot be read", property, object);
        if (g_str_equal(type, "u") && sd_bus_message_read(reply, "v", "u", &number) >= 0)
                return number;
        if (g_str_equal(type, "t") && sd_bus_message_read(reply, "v", "t", &long_number) >= 0)
                return long_number;
        errx(1, "%s of %s is not a number", property, object);
}

char *bus_get_text(sd_bus *bus, const char *object, const char *interface, const char *property)
{
        g_autoptr(sd_bus_message) reply = get(bus, object, interface, property);
        const char *text;

        if (sd_bus_message_read(reply, "v", "s", &text) < 0)
                errx(1, "%s of %s is not a text", property, object);
        return g_strdup(text);
}

/* -- sandboxes ------------------------------------------------------------------------------ */

char *bus_create_sandbox_of(sd_bus *bus, const char *template, const char *name, bool boots)
{
        g_autoptr(sd_bus_message) reply =
                bus_call(bus, PATH_ROOT, INTERFACE_MANAGER, "CreateSandbox", "sa{sv}", template, 2,
                         "name", "s", name, "boots", "b", boots);

        return bus_read_object(reply);
}

char *bus_create_sandbox(sd_bus *bus, const char *name)
{
        return bus_create_sandbox_of(bus, "mini", name, false);
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

void bus_check_started_from(sd_bus *bus, const char *sandbox, const char *expected)
{
        g_autofree char *from = bus_get_text(bus, sandbox, INTERFACE_SANDBOX, "StartedFrom");

        if (!g_str_equal(from, expected))
                errx(1, "%s was started from '%s', not from '%s'", sandbox, from, expected);
}

void bus_run_true(sd_bus *bus, const char *sandbox)
{
        g_autoptr(sd_bus_message) reply =
                bus_call(bus, sandbox, INTERFACE_SANDBOX, "Run", "asa{sv}", 1, "/bin/true", 0);
        int status;

        if (sd_bus_message_read(reply, "i", &status) < 0 || status != 0)
                errx(1, "/bin/true failed in %s", sandbox);
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

/* -- templates ------------------------------------------------------------------------------ */

char *bus_warm_template(sd_bus *bus, const char *name)
{
        g_autoptr(sd_bus_message) reply =
                bus_call(bus, PATH_ROOT, INTERFACE_MANAGER, "GetTemplate", "s", name);
        char *template = bus_read_object(reply);

        sd_bus_message_unref(bus_call(bus, template, INTERFACE_TEMPLATE, "Warm", "a{sv}", 0));
        sd_bus_message_unref(
                bus_call(bus, template, INTERFACE_TEMPLATE, "WaitWarm", "t", CALL_USEC));
        return template;
}

void bus_cool_template(sd_bus *bus, const char *template)
{
        sd_bus_message_unref(bus_call(bus, template, INTERFACE_TEMPLATE, "Cool", ""));
}
