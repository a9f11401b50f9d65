/* SPDX-License-Identifier: MIT */
#include "tests/bus/fixture.h"

#include "base/quantity.h"

#define N INTERFACE_SNAPSHOT

static const char *sandbox;

static const char *create(const char *name)
{
        sd_bus_message *reply = bus_call(fixture.client, sandbox, INTERFACE_SANDBOX,
                                         "CreateSnapshot", "sa{sv}", name, 0);
        const char *path = "";

        if (!reply || sd_bus_message_read(reply, "o", &path) < 0)
                tap_bail_out(bus_error_message);
        return path;
}

static void test_properties(const char *one, const char *two)
{
        g_autofree char *signal = g_strdup_printf("InterfacesAdded %s %s Id,Name,Sandbox", one, N);

        tap_ok(bus_heard(signal), "a new snapshot is told");
        tap_is_str(bus_property(fixture.client, one, N, "Id"), id_of_path(one),
                   "Id is the path's last part");
        tap_is_str(bus_property(fixture.client, one, N, "Name"), "one", "Name is what was asked");
        tap_is_str(bus_property(fixture.client, one, N, "Sandbox"), sandbox,
                   "it belongs to its sandbox");
        tap_is_str(bus_property(fixture.client, one, N, "Parent"), "template",
                   "the first stands on the template");
        tap_is_str(bus_property(fixture.client, two, N, "Parent"), "one",
                   "the second on the first");
        tap_is_str(bus_property(fixture.client, one, N, "HasMemory"), "0", "it has no memory");
        tap_is_str(bus_property(fixture.client, one, N, "Consistency"), "frozen",
                   "the guest was frozen");
        tap_is_str(bus_property(fixture.client, one, N, "Reason"), "",
                   "nothing has to be explained");
        tap_ok(*bus_property(fixture.client, one, N, "SizeBytes"), "it has a size");
        tap_ok(!fake_host_is_frozen(id_of_path(sandbox)), "and the guest is thawed");
}

static void test_crash_consistent(void)
{
        const char *path;

        fake_host_set_freeze(false);
        path = create("crash");
        tap_is_str(bus_property(fixture.client, path, N, "Consistency"), "crash",
                   "a guest that cannot freeze is snapshotted as it is");
        tap_ok(*bus_property(fixture.client, path, N, "Reason"), "and the snapshot tells why");
        fake_host_set_freeze(true);
}

static void test_off(void)
{
        const char *path;

        (void) bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "Stop", "b", 1);
        (void) bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "Wait", "st", "stopped",
                        10 * USEC_PER_SEC);
        path = create("off");
        tap_is_str(bus_property(fixture.client, path, N, "Consistency"), "off",
                   "a stopped sandbox is snapshotted too");
}

static void test_delete(const char *one, const char *two)
{
        g_autofree char *signal = g_strdup_printf("InterfacesRemoved %s %s", two, N);

        (void) bus_call(fixture.client, one, N, "Delete", "a{sv}", 1, "force", "b", 1);
        bus_is_error("UnknownOption", "there are no options yet");
        (void) bus_call(fixture.client, one, N, "Delete", "a{sv}", 0);
        bus_is_error("InUse", "what others stand on stays");
        (void) bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "Restore", "s", "one");
        for (const char *const *name = (const char *const[]){"off", "crash", NULL}; *name; name++) {
                sd_bus_message *reply =
                        bus_call(fixture.client, PATH_ROOT, "org.freedesktop.DBus.ObjectManager",
                                 "GetManagedObjects", "");
                const char *path;

                if (!reply || sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}") < 0)
                        tap_bail_out("GetManagedObjects() replies nonsense");
                while (sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}") > 0) {
                        if (sd_bus_message_read(reply, "o", &path) < 0 ||
                            sd_bus_message_skip(reply, "a{sa{sv}}") < 0 ||
                            sd_bus_message_exit_container(reply) < 0)
                                tap_bail_out("GetManagedObjects() replies nonsense");
                        if (g_str_has_prefix(path, PATH_SNAPSHOT "/") &&
                            g_str_equal(bus_property(fixture.client, path, N, "Name"), *name))
                                (void) bus_call(fixture.client, path, N, "Delete", "a{sv}", 0);
                }
        }
        (void) bus_call(fixture.client, two, N, "Delete", "a{sv}", 0);
        bus_is_error("", "what nothing stands on is deleted");
        tap_ok(bus_heard(signal), "which is told");
        (void) bus_call(fixture.client, two, N, "Delete", "a{sv}", 0);
        bus_is_error("NotFound", "and it is gone then");
        (void) bus_call(fixture.client, one, N, "Delete", "a{sv}", 0);
        bus_is_error("InUse", "what the head stands on stays");
        tap_is_int(audit_count("snapshot.delete", "done", ""), 3, "deletions are audited");
        tap_is_int(audit_count("snapshot.delete", "refused", "InUse"), 2, "and refusals");
}

int main(void)
{
        const char *one, *two;

        fixture_start(NULL);
        (void) fixture_template("base");
        sandbox = fixture_sandbox(fixture.client, "web");
        one = create("one");
        two = create("two");
        test_properties(one, two);
        test_crash_consistent();
        test_off();
        test_delete(one, two);
        fixture_stop();
        return tap_done();
}
