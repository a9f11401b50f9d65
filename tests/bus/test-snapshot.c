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
        tap_is_str(bus_property(fixture.client, one, N, "MemoryBytes"), "0", "which uses no room");
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

static void restore(const char *name)
{
        const char *reached = "";
        sd_bus_message *reply;

        (void) bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "Restore", "s", name);
        if (*bus_error)
                tap_note("%s", bus_error_message);
        reply = bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "Wait", "st", "ready",
                         60 * USEC_PER_SEC);
        if (!reply || sd_bus_message_read(reply, "s", &reached) < 0 ||
            !g_str_equal(reached, "ready"))
                tap_bail_out("the sandbox does not get ready");
}

static void test_memory(void)
{
        sd_bus_message *reply = bus_call(fixture.client, sandbox, INTERFACE_SANDBOX,
                                         "CreateSnapshot", "sa{sv}", "whole", 1, "memory", "b", 1);
        const char *path = "";

        bus_is_error("", "a running sandbox is snapshotted with its memory");
        if (!reply || sd_bus_message_read(reply, "o", &path) < 0)
                tap_bail_out("CreateSnapshot() replies nonsense");
        tap_is_str(bus_property(fixture.client, path, N, "HasMemory"), "1", "which it has");
        tap_ok(!g_str_equal(bus_property(fixture.client, path, N, "MemoryBytes"), "0"),
               "and which uses room");
        tap_is_str(bus_property(fixture.client, sandbox, INTERFACE_SANDBOX, "State"), "ready",
                   "the sandbox runs on");
        restore("one");
        tap_is_str(bus_property(fixture.client, sandbox, INTERFACE_SANDBOX, "StartedFrom"), "boot",
                   "from a snapshot without memory it boots");
        restore("whole");
        tap_is_str(bus_property(fixture.client, sandbox, INTERFACE_SANDBOX, "StartedFrom"),
                   "memory", "from one with memory it runs on");
        tap_is_str(bus_property(fixture.client, sandbox, INTERFACE_SANDBOX, "Head"), "whole",
                   "and stands on it");
}

static void test_promote(const char *one)
{
        sd_bus_message *reply = bus_call(fixture.client, one, N, "Promote", "s", "promoted");
        const char *template = "";

        bus_is_error("", "a template is made of a snapshot");
        if (!reply || sd_bus_message_read(reply, "o", &template) < 0)
                tap_bail_out("Promote() replies nonsense");
        (void) bus_call(fixture.client, template, INTERFACE_TEMPLATE, "Wait", "t",
                        60 * USEC_PER_SEC);
        bus_is_error("", "which becomes ready");
        tap_is_str(bus_property(fixture.client, template, INTERFACE_TEMPLATE, "Source"),
                   "snapshot:web/one", "and names its source");
        (void) bus_call(fixture.client, one, N, "Promote", "s", "promoted");
        bus_is_error("Exists", "a name is used once");
        (void) bus_call(fixture.client, one, N, "Promote", "s", "../x");
        bus_is_error("InvalidArgument", "and has to be one");
        (void) bus_call(fixture.client, template, INTERFACE_TEMPLATE, "Remove", "");
        bus_is_error("", "it can be removed: the snapshot does not stand on it");
        tap_ok(audit_count("template.import", "refused", "Exists") == 1 &&
                       audit_count("template.import", "refused", "InvalidArgument") == 1,
               "refusals are audited");
}

static void test_cascade(const char *one)
{
        const char *base, *left, *right, *top;

        restore("one");
        base = create("base");
        left = create("left");
        restore("base");
        right = create("right");
        top = create("top");
        (void) bus_call(fixture.client, base, N, "Delete", "a{sv}", 1, "cascade", "b", 1);
        bus_is_error("InUse", "what the head stands on stays, with all below it");
        restore("one");
        (void) bus_call(fixture.client, base, N, "Delete", "a{sv}", 1, "cascade", "b", 0);
        bus_is_error("InUse", "without a wish to, nothing is deleted that others stand on");
        (void) bus_call(fixture.client, base, N, "Delete", "a{sv}", 1, "cascade", "b", 1);
        bus_is_error("", "with it all is deleted that stands on it");
        for (const char *const *gone = (const char *const[]){base, left, right, top, NULL}; *gone;
             gone++) {
                g_autofree char *signal = g_strdup_printf("InterfacesRemoved %s %s", *gone, N);
                tap_ok(bus_heard(signal), "which is told of each");
        }
        tap_is_str(bus_property(fixture.client, one, N, "Name"), "one", "what is below stays");
}

static void test_off(void)
{
        const char *path;

        (void) bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "Stop", "b", 1);
        (void) bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "Wait", "st", "stopped",
                        60 * USEC_PER_SEC);
        path = create("off");
        tap_is_str(bus_property(fixture.client, path, N, "Consistency"), "off",
                   "a stopped sandbox is snapshotted too");
}

static void test_delete(const char *one, const char *two)
{
        g_autofree char *signal = g_strdup_printf("InterfacesRemoved %s %s", two, N);

        (void) bus_call(fixture.client, one, N, "Delete", "a{sv}", 1, "force", "b", 1);
        bus_is_error("UnknownOption", "other options are refused");
        (void) bus_call(fixture.client, one, N, "Delete", "a{sv}", 0);
        bus_is_error("InUse", "what others stand on stays");
        (void) bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "Restore", "s", "one");
        for (const char *const *name = (const char *const[]){"off", "crash", "whole", NULL}; *name;
             name++) {
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
        tap_is_int(audit_count("snapshot.delete", "done", ""), 5, "deletions are audited");
        tap_is_int(audit_count("snapshot.delete", "refused", "InUse"), 4, "and refusals");
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
        test_memory();
        test_promote(one);
        test_cascade(one);
        restore("two");
        test_crash_consistent();
        test_off();
        test_delete(one, two);
        fixture_stop();
        return tap_done();
}
