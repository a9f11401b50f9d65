/* SPDX-License-Identifier: MIT */
#include "tests/bus/fixture.h"

#include "base/cleanup.h"
#include "base/quantity.h"

#define T INTERFACE_TEMPLATE

static const char *path;

static void test_properties(void)
{
        tap_is_str(bus_property(fixture.client, path, T, "Id"), id_of_path(path),
                   "Id is the path's last part");
        tap_is_str(bus_property(fixture.client, path, T, "Name"), "base", "Name is what was asked");
        tap_is_str(bus_property(fixture.client, path, T, "State"), "ready", "it is ready");
        tap_is_str(bus_property(fixture.client, path, T, "Source"), "image",
                   "it comes from an image");
        tap_is_int((int64_t) strlen(bus_property(fixture.client, path, T, "Sha256")), 64,
                   "its hash is known");
        tap_ok(*bus_property(fixture.client, path, T, "SizeBytes"), "and its size");
        tap_ok(*bus_property(fixture.client, path, T, "CreatedUSec"), "and its age");
}

static void test_defaults(void)
{
        sd_bus_message *reply = bus_call(fixture.client, path, "org.freedesktop.DBus.Properties",
                                         "Get", "ss", T, "Defaults");
        const char *key, *format = "", *boot = "", *cmdline = "";
        uint64_t virtual_size = 0, memory = 0;
        uint32_t vcpus = 0;

        if (!reply || sd_bus_message_read(reply, "v", "a{sv}", 6, &key, "s", &format, &key, "t",
                                          &virtual_size, &key, "u", &vcpus, &key, "t", &memory,
                                          &key, "s", &boot, &key, "s", &cmdline) < 0)
                tap_bail_out("Defaults is nonsense");
        tap_is_str(format, "raw", "its format is known");
        tap_is_int((int64_t) virtual_size, 17, "and its virtual size");
        tap_ok(vcpus == 1 && memory == UINT64_C(512) << 20, "its sizes are the host's defaults");
        tap_is_str(boot, "disk", "it boots from its disk");
}

static void test_wait(void)
{
        (void) bus_call(fixture.client, path, T, "Wait", "t", UINT64_C(0));
        bus_is_error("", "a ready template need not be waited for");
        (void) bus_call(fixture.client, path, T, "Wait", "t", UINT64_MAX);
        bus_is_error("", "however long one would");
}

static void test_remove(void)
{
        g_autofree char *signal = g_strdup_printf("InterfacesRemoved %s %s", path, T);
        const char *sandbox = fixture_sandbox(fixture.client, "web");

        (void) bus_call(fixture.client, path, T, "Remove", "");
        bus_is_error("InUse", "a template that a sandbox stands on stays");
        (void) bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "Destroy", "");
        (void) bus_call(fixture.client, path, T, "Remove", "");
        bus_is_error("", "without sandboxes it can be removed");
        tap_ok(bus_heard(signal), "which is told");
        (void) bus_call(fixture.client, path, T, "Remove", "");
        bus_is_error("NotFound", "a removed template is gone");
        tap_ok(audit_count("template.remove", "refused", "InUse") == 1 &&
                       audit_count("template.remove", "done", "") == 1 &&
                       audit_count("template.remove", "refused", "NotFound") == 1,
               "each of these is audited");
}

static void test_domain(void)
{
        g_autofree char *disk = g_build_filename(fixture.directory, "bus.conf", NULL);
        sd_bus_message *reply;
        const char *clone = NULL;

        fake_host_add_foreign("mail", disk);
        reply = bus_call(fixture.client, PATH_ROOT, INTERFACE_MANAGER, "ImportTemplate", "sa{sv}",
                         "mail", 1, "domain", "s", "mail");
        if (!reply || sd_bus_message_read(reply, "o", &clone) < 0)
                tap_bail_out(bus_error_message);
        (void) bus_call(fixture.client, clone, T, "Wait", "t", 60 * USEC_PER_SEC);
        bus_is_error("", "a foreign domain becomes a template");
        tap_is_str(bus_property(fixture.client, clone, T, "Source"), "domain:mail",
                   "that names its source");
}

int main(void)
{
        g_autofree char *signal = NULL;

        fixture_start(NULL);
        (void) bus_property(fixture.client, PATH_ROOT, INTERFACE_MANAGER, "Version");
        path = fixture_template("base");
        signal = g_strdup_printf("PropertiesChanged %s %s State,Sha256", path, T);
        tap_ok(bus_heard(signal), "the end of an import is told");
        test_properties();
        test_defaults();
        test_wait();
        test_domain();
        test_remove();
        fixture_stop();
        return tap_done();
}
