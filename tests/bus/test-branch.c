/* SPDX-License-Identifier: MIT */
#include "tests/bus/fixture.h"

#include "base/quantity.h"

#define S INTERFACE_SANDBOX

static const char *source;

static const char *read_path(sd_bus_message *reply)
{
        const char *path = "";

        if (!reply || sd_bus_message_read(reply, "o", &path) < 0)
                tap_bail_out(bus_error_message);
        return path;
}

static const char *get(const char *path, const char *property)
{
        return bus_property(fixture.client, path, S, property);
}

static const char *wait_ready(const char *path)
{
        const char *reached = "";
        sd_bus_message *reply =
                bus_call(fixture.client, path, S, "Wait", "st", "ready", 60 * USEC_PER_SEC);

        if (reply && sd_bus_message_read(reply, "s", &reached) < 0)
                tap_bail_out("Wait() replies nonsense");
        return reached;
}

/* How many snapshots of that sandbox the ObjectManager shows, and the names of all, in no order. */
static unsigned count_snapshots(const char *sandbox, const char *name)
{
        sd_bus_message *reply =
                bus_call(fixture.client, PATH_ROOT, "org.freedesktop.DBus.ObjectManager",
                         "GetManagedObjects", "");
        unsigned n = 0;
        const char *path;

        if (!reply || sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}") < 0)
                tap_bail_out("GetManagedObjects() replies nonsense");
        while (sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}") > 0) {
                if (sd_bus_message_read(reply, "o", &path) < 0 ||
                    sd_bus_message_skip(reply, "a{sa{sv}}") < 0 ||
                    sd_bus_message_exit_container(reply) < 0)
                        tap_bail_out("GetManagedObjects() replies nonsense");
                n += g_str_has_prefix(path, PATH_SNAPSHOT "/") &&
                     g_str_equal(bus_property(fixture.client, path, INTERFACE_SNAPSHOT, "Sandbox"),
                                 sandbox) &&
                     (!name ||
                      g_str_equal(bus_property(fixture.client, path, INTERFACE_SNAPSHOT, "Name"),
                                  name));
        }
        return n;
}

static void test_of_disk(void)
{
        sd_bus_message *m = bus_call_begin(fixture.client, source, S, "Branch");
        g_autofree char *signal = NULL;
        const char *branch;

        (void) sd_bus_message_append(m, "sa{sv}", "disk", 5, "name", "s", "b1", "agent", "s", "ada",
                                     "ttl_usec", "t", 3600 * USEC_PER_SEC, "idle_timeout_usec", "t",
                                     UINT64_C(600) * USEC_PER_SEC, "labels", "a{ss}", 1, "a", "b");
        branch = read_path(bus_call_end(fixture.client, m));
        bus_is_error("", "a sandbox is made on a snapshot");
        signal = g_strdup_printf("InterfacesAdded %s %s", branch, S);
        tap_ok(bus_heard(signal), "which is told");
        tap_is_str(wait_ready(branch), "ready", "and gets ready");
        tap_is_str(get(branch, "Name"), "b1", "its name is what was asked");
        tap_is_str(get(branch, "Agent"), "ada", "and so is who works in it");
        tap_is_str(get(branch, "IdleTimeoutUSec"), "600000000", "and its time to be idle");
        tap_ok(!g_str_equal(get(branch, "ExpiresUSec"), get(source, "ExpiresUSec")),
               "and its time to live");
        tap_is_str(get(branch, "Head"), "disk", "it stands on the snapshot");
        tap_is_str(get(branch, "Template"), "base", "and on the template of its source");
        tap_is_str(get(branch, "StartedFrom"), "boot", "without memory it boots");
        tap_is_int(count_snapshots(branch, "disk"), 1, "it has the snapshot, by the same name");
        tap_is_int(count_snapshots(branch, NULL), 1, "and no other");
        tap_is_str(get(source, "Head"), "whole", "its source stays as it is");
}

static void test_of_memory(void)
{
        const char *branch =
                read_path(bus_call(fixture.client, source, S, "Branch", "sa{sv}", "whole", 0));
        const char *cold;

        tap_is_str(wait_ready(branch), "ready", "a branch of a snapshot with memory gets ready");
        tap_is_str(get(branch, "StartedFrom"), "memory", "and runs on from it");
        tap_is_str(get(branch, "Name"), id_of_path(branch), "without a name it has its id's");
        tap_is_int(count_snapshots(branch, NULL), 2, "it has what the snapshot stands on, too");
        cold = read_path(bus_call(fixture.client, source, S, "Branch", "sa{sv}", "whole", 1,
                                  "boots", "b", 1));
        tap_is_str(wait_ready(cold), "ready", "it may boot instead");
        tap_is_str(get(cold, "StartedFrom"), "boot", "where that is asked for");
        (void) bus_call(fixture.client, cold, S, "Destroy", "");
        (void) bus_call(fixture.client, branch, S, "Destroy", "");
}

static void test_of_now(void)
{
        const char *branch =
                read_path(bus_call(fixture.client, source, S, "Branch", "sa{sv}", "now", 0));
        g_autofree char *name = g_strdup_printf("branch-%s", id_of_path(branch));

        tap_is_str(wait_ready(branch), "ready", "a running sandbox is branched");
        tap_is_str(get(branch, "StartedFrom"), "memory", "with its memory");
        tap_is_str(get(branch, "Head"), name, "of a snapshot that was taken for it");
        tap_is_int(count_snapshots(source, name), 1, "which its source has");
        tap_is_str(get(source, "State"), "ready", "and runs on");
        (void) bus_call(fixture.client, branch, S, "Destroy", "");
        bus_is_error("", "a branch can be destroyed");
        tap_is_int(count_snapshots(source, name), 1, "the snapshot stays");
}

static void test_refusals(void)
{
        (void) bus_call(fixture.client, source, S, "Branch", "sa{sv}", "none", 0);
        bus_is_error("NotFound", "a snapshot that is not there is not found");
        (void) bus_call(fixture.client, source, S, "Branch", "sa{sv}", "template", 0);
        bus_is_error("NotFound", "nor is the template, of which one creates");
        (void) bus_call(fixture.client, source, S, "Branch", "sa{sv}", "disk", 1, "name", "s",
                        "b1");
        bus_is_error("Exists", "a name is used once");
        (void) bus_call(fixture.client, source, S, "Branch", "sa{sv}", "disk", 1, "name", "s",
                        "../b");
        bus_is_error("InvalidArgument", "and has to be one");
        (void) bus_call(fixture.client, source, S, "Branch", "sa{sv}", "disk", 1, "vcpus", "u", 2);
        bus_is_error("UnknownOption", "its sizes are those of its source");
        tap_ok(strstr(bus_error_message, "boot_timeout_usec") &&
                       !strstr(bus_error_message, "memory_bytes"),
               "and what can be asked for is told");
        (void) bus_call(fixture.client, source, S, "Branch", "sa{sv}", "disk", 1, "boots", "s",
                        "x");
        bus_is_error("InvalidArgument", "a value of another type is refused");
        tap_ok(audit_count("sandbox.create", "refused", "NotFound") == 2 &&
                       audit_count("sandbox.create", "refused", "Exists") == 1 &&
                       audit_count("sandbox.create", "refused", "UnknownOption") == 1 &&
                       audit_count("sandbox.create", "refused", "InvalidArgument") == 2,
               "each refusal is audited once");
}

static void test_without_source(void)
{
        const char *branch = read_path(
                bus_call(fixture.client, PATH_ROOT, INTERFACE_MANAGER, "GetSandbox", "s", "b1"));

        (void) bus_call(fixture.client, source, S, "Destroy", "");
        bus_is_error("", "a sandbox with branches can be destroyed");
        tap_is_str(get(branch, "State"), "ready", "they live on");
        (void) bus_call(fixture.client, branch, S, "Restore", "s", "disk");
        bus_is_error("", "with the snapshots that are theirs");
        tap_is_str(wait_ready(branch), "ready", "and can stand on them");
        fixture_restart();
        tap_is_str(wait_ready(branch), "ready", "also after a restart of the daemon");
        (void) bus_call(fixture.client, source, S, "Branch", "sa{sv}", "disk", 0);
        bus_is_error("NotFound", "nothing can be branched that is gone");
}

int main(void)
{
        fixture_start(NULL);
        (void) fixture_template("base");
        source = fixture_sandbox(fixture.client, "web");
        (void) bus_call(fixture.client, source, S, "CreateSnapshot", "sa{sv}", "disk", 0);
        (void) bus_call(fixture.client, source, S, "CreateSnapshot", "sa{sv}", "whole", 1, "memory",
                        "b", 1);
        bus_is_error("", "a sandbox has snapshots");
        test_of_disk();
        test_of_memory();
        test_of_now();
        test_refusals();
        test_without_source();
        fixture_stop();
        return tap_done();
}
