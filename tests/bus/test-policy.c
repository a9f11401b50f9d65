/* SPDX-License-Identifier: MIT */

/* dbus/sh.fluid.Host1.conf on a real bus, with a group that exists on every Debian in place of
 * "fluid". */

#include "tests/bus/fixture.h"

#include "base/file.h"

#include <errno.h>
#include <unistd.h>

#define STRANGER 65534 /* nobody */
#define MEMBER   1     /* daemon, of group daemon */

static void write_policy(const char *path)
{
        g_autofree char *text = NULL;
        g_auto(GStrv) parts = NULL;
        g_autofree char *changed = NULL;

        if (file_read("dbus/sh.fluid.Host1.conf", 1 << 16, &text, NULL, NULL) < 0)
                tap_bail_out("run from the top of the tree");
        parts = g_strsplit(text, "group=\"fluid\"", -1);
        tap_is_int(g_strv_length(parts), 2, "one group is let in: fluid");
        changed = g_strjoinv("group=\"daemon\"", parts);
        if (!g_file_set_contents(path, changed, -1, NULL))
                tap_bail_out("the policy cannot be written");
}

static unsigned heard;

static int on_signal(G_GNUC_UNUSED sd_bus_message *m, G_GNUC_UNUSED void *userdata,
                     G_GNUC_UNUSED sd_bus_error *error)
{
        heard++;
        return 0;
}

static bool has_heard(G_GNUC_UNUSED void *userdata)
{
        return bus_heard("PropertiesChanged " PATH_ROOT);
}

static void test_stranger(void)
{
        sd_bus *stranger = fixture_connect(STRANGER);

        if (sd_bus_add_match(stranger, NULL, "type='signal',path_namespace='/sh/fluid'", on_signal,
                             NULL) < 0)
                tap_bail_out("no match");
        (void) bus_call(stranger, PATH_ROOT, INTERFACE_MANAGER, "ListSandboxes", "a{sv}", 0);
        tap_is_str(bus_error, "org.freedesktop.DBus.Error.AccessDenied",
                   "the bus does not let strangers call");
        (void) bus_property(stranger, PATH_ROOT, INTERFACE_MANAGER, "Version");
        tap_is_str(bus_error, "org.freedesktop.DBus.Error.AccessDenied", "or read");
        (void) bus_call(stranger, PATH_ROOT, "org.freedesktop.DBus.Introspectable", "Introspect",
                        "");
        tap_is_str(bus_error, "org.freedesktop.DBus.Error.AccessDenied", "or introspect");
        tap_is_int(sd_bus_request_name(stranger, BUS_NAME, SD_BUS_NAME_QUEUE), -EACCES,
                   "or have the daemon's name");
        fake_host_set_connected(false);
        tap_ok(fixture_until(has_heard, NULL), "root hears the host's signals");
        tap_is_int(heard, 0, "and strangers do not");
}

static void test_member(void)
{
        sd_bus *member = fixture_connect(MEMBER);

        tap_is_str(bus_property(member, PATH_ROOT, INTERFACE_MANAGER, "Version"), "1.2.3",
                   "members of the group may read");
        (void) bus_call(member, PATH_ROOT, INTERFACE_MANAGER, "CreateSandbox", "sa{sv}", "base", 0);
        bus_is_error("AccessDenied", "and are asked about by polkit when they call");
        tap_is_int(sd_bus_request_name(member, BUS_NAME, SD_BUS_NAME_QUEUE), -EACCES,
                   "but cannot have the daemon's name");
}

int main(void)
{
        char path[] = "/tmp/fluid-policy-XXXXXX";

        (void) close(mkstemp(path));
        write_policy(path);
        fixture.policy = path;
        fixture_start(NULL);
        test_stranger();
        test_member();
        fixture_stop();
        (void) unlink(path);
        return tap_done();
}
