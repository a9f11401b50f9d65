/* SPDX-License-Identifier: MIT */

/* Warm templates and pools: what fluid keeps for itself is on no list. */

#include "tests/bus/fixture.h"

#include "base/quantity.h"

#define T     INTERFACE_TEMPLATE
#define LATER (60 * USEC_PER_SEC)

static const char *template;

static const char *get(const char *property)
{
        return bus_property(fixture.client, template, T, property);
}

static const char *property_of(const char *sandbox, const char *property)
{
        return bus_property(fixture.client, sandbox, INTERFACE_SANDBOX, property);
}

static void warm(void)
{
        (void) bus_call(fixture.client, template, T, "Warm", "a{sv}", 0);
}

static void wait_warm(uint64_t timeout_usec)
{
        (void) bus_call(fixture.client, template, T, "WaitWarm", "t", timeout_usec);
}

/* All sandboxes and snapshots that root can see, by any way. */
static unsigned count_objects(void)
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
                n += !g_str_has_prefix(path, PATH_TEMPLATE "/") && !g_str_equal(path, PATH_ROOT);
        }
        reply = bus_call(fixture.client, PATH_ROOT, INTERFACE_MANAGER, "ListSandboxes", "a{sv}", 0);
        if (!reply || sd_bus_message_enter_container(reply, 'a', "(oa{sv})") < 0)
                tap_bail_out("ListSandboxes() replies nonsense");
        while (sd_bus_message_skip(reply, "(oa{sv})") > 0)
                n++;
        return n;
}

static const char *create(const char *option)
{
        sd_bus_message *m =
                bus_call_begin(fixture.client, PATH_ROOT, INTERFACE_MANAGER, "CreateSandbox");
        const char *path = "";
        sd_bus_message *reply;

        (void) sd_bus_message_append(m, "s", "base");
        if (option)
                (void) sd_bus_message_append(m, "a{sv}", 1, option, "b", 1);
        else
                (void) sd_bus_message_append(m, "a{sv}", 0);
        reply = bus_call_end(fixture.client, m);
        if (!reply || sd_bus_message_read(reply, "o", &path) < 0)
                tap_bail_out(bus_error_message);
        (void) bus_call(fixture.client, path, INTERFACE_SANDBOX, "Wait", "st", "ready", LATER);
        return path;
}

static void destroy(const char *path)
{
        (void) bus_call(fixture.client, path, INTERFACE_SANDBOX, "Destroy", "");
}

static void test_cold(void)
{
        const char *sandbox = create(NULL);

        tap_is_str(get("Warm"), "0", "a template is cold at first");
        tap_ok(g_str_equal(get("Pool"), "0") && g_str_equal(get("PoolReady"), "0") &&
                       g_str_equal(get("WarmBytes"), "0") && !*get("WarmPhase") &&
                       !*get("WarmReason"),
               "and nothing is done for it");
        wait_warm(0);
        bus_is_error("", "so that nothing has to be waited for");
        tap_is_str(property_of(sandbox, "StartedFrom"), "boot", "its sandboxes boot");
        destroy(sandbox);
}

static void test_warm(void)
{
        g_autofree char *signal =
                g_strdup_printf("PropertiesChanged %s %s State,Sha256", template, T);
        const char *sandbox;

        (void) g_ptr_array_set_size(fixture.signals, 0);
        fake_host_set_agents(false);
        warm();
        bus_is_error("", "it can be made warm");
        tap_is_str(get("WarmPhase"), "booting", "which begins with a boot");
        warm();
        bus_is_error("", "to ask again does nothing");
        (void) bus_call(fixture.client, template, T, "Warm", "a{sv}", 1, "vcpus", "u", 3);
        bus_is_error("Busy", "one size is made at a time");
        fake_host_set_agents(true);
        wait_warm(LATER);
        bus_is_error("", "it is warm in the end");
        tap_ok(g_str_equal(get("Warm"), "1") && !*get("WarmPhase"), "and says so");
        tap_ok(!g_str_equal(get("WarmBytes"), "0"), "with the room that it takes");
        tap_ok(bus_heard(signal), "which is told");
        tap_ok(!bus_heard("InterfacesAdded"), "but nothing of the sandbox that it was made in");
        tap_is_int(count_objects(), 0, "which is on no list");
        sandbox = create(NULL);
        tap_is_str(property_of(sandbox, "State"), "ready", "its sandboxes get ready");
        tap_is_str(property_of(sandbox, "StartedFrom"), "memory", "and run on from its image");
        tap_is_str(property_of(sandbox, "Head"), "@booted", "they stand on what it was then");
        tap_is_int(count_objects(), 3, "which is a snapshot that one can see");
        (void) bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "CreateSnapshot", "sa{sv}",
                        "one", 0);
        (void) bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "CreateSnapshot", "sa{sv}",
                        "@booted", 0);
        bus_is_error("InvalidArgument", "and that nobody can make");
        destroy(sandbox);
        sandbox = create("boots");
        tap_is_str(property_of(sandbox, "StartedFrom"), "boot", "unless they are to boot");
        destroy(sandbox);
        (void) bus_call(fixture.client, template, T, "Warm", "a{sv}", 1, "size", "u", 1);
        bus_is_error("UnknownOption", "unknown options are refused");
        (void) bus_call(fixture.client, template, T, "Warm", "a{sv}", 1, "memory_bytes", "t",
                        UINT64_C(1));
        bus_is_error("InvalidArgument", "and sizes that no sandbox may have");
        fixture_restart();
        tap_is_str(get("Warm"), "1", "it is warm after a restart of the daemon, too");
}

static bool is_filled(G_GNUC_UNUSED void *userdata)
{
        return g_str_equal(get("PoolReady"), "2");
}

static bool is_gone(G_GNUC_UNUSED void *userdata)
{
        return g_str_equal(get("PoolReady"), "0");
}

static void test_pool(void)
{
        g_autofree char *signal = NULL;
        const char *sandbox;

        (void) bus_call(fixture.client, template, T, "SetPool", "u", UINT32_MAX);
        bus_is_error("LimitsExceeded", "a pool that the host has no memory for is refused");
        (void) g_ptr_array_set_size(fixture.signals, 0);
        (void) bus_call(fixture.client, template, T, "SetPool", "u", 2);
        bus_is_error("", "a pool can be asked for");
        tap_is_str(get("Pool"), "2", "which is told");
        tap_ok(fixture_until(is_filled, NULL), "and is filled");
        tap_ok(!bus_heard("InterfacesAdded"), "nothing of what is in it is told");
        tap_is_int(count_objects(), 0, "and it is on no list");
        sandbox = create(NULL);
        signal = g_strdup_printf("InterfacesAdded %s %s", sandbox, INTERFACE_SANDBOX);
        tap_is_str(property_of(sandbox, "StartedFrom"), "pool", "a sandbox is taken from it");
        tap_is_str(property_of(sandbox, "State"), "ready", "and gets ready");
        tap_ok(bus_heard(signal), "and is told then");
        tap_is_str(property_of(sandbox, "OwnerUid"), "0", "it is the caller's");
        tap_is_str(property_of(sandbox, "Name"), id_of_path(sandbox), "its name is its id");
        tap_is_int(count_objects(), 3, "and alone on the lists, with its snapshot");
        tap_ok(fixture_until(is_filled, NULL), "the pool is filled again");
        destroy(sandbox);
        (void) bus_call(fixture.client, template, T, "SetPool", "u", 0);
        bus_is_error("", "a pool can be given up");
        tap_ok(fixture_until(is_gone, NULL), "and is emptied");
        tap_is_str(get("Warm"), "1", "the template stays warm");
}

static void test_cool(void)
{
        (void) bus_call(fixture.client, template, T, "SetPool", "u", 1);
        (void) bus_call(fixture.client, template, T, "Cool", "");
        bus_is_error("", "it can be made cold");
        tap_ok(g_str_equal(get("Warm"), "0") && g_str_equal(get("Pool"), "0") &&
                       g_str_equal(get("WarmBytes"), "0"),
               "and has no image and no pool then");
        tap_is_int(fake_host_domains(), 0, "and there is no domain of them");
        (void) bus_call(fixture.client, template, T, "Cool", "");
        bus_is_error("", "to ask again does nothing");
}

static void test_failure(void)
{
        const char *sandbox;

        fake_host_set_agents(false);
        warm();
        wait_warm(0);
        bus_is_error("TimedOut", "one can ask without waiting");
        wait_warm(LATER);
        tap_ok(*bus_error && !g_str_equal(bus_error, "Internal"),
               "a guest that does not boot cannot be made warm");
        tap_ok(*get("WarmReason") && g_str_equal(get("Warm"), "0"), "and the template tells why");
        wait_warm(0);
        tap_ok(*bus_error, "as does who asks later");
        fake_host_set_agents(true);
        sandbox = create(NULL);
        tap_is_str(property_of(sandbox, "StartedFrom"), "boot", "its sandboxes boot meanwhile");
        destroy(sandbox);
        wait_warm(LATER);
        (void) bus_call(fixture.client, template, T, "Cool", "");
        bus_is_error("", "it can be made cold");
        tap_is_str(get("WarmReason"), "", "and nothing has to be explained any more");
}

static void test_audit(void)
{
        tap_ok(audit_count("template.warm", "done", "") == 2 &&
                       audit_count("template.warm", "refused", "Busy") == 1 &&
                       audit_count("template.warm", "refused", "UnknownOption") == 1 &&
                       audit_count("template.warm", "refused", "InvalidArgument") == 1,
               "what makes templates warm is audited");
        tap_ok(audit_count("template.pool", "done", "") == 3 &&
                       audit_count("template.pool", "refused", "LimitsExceeded") == 1,
               "and what changes pools");
        tap_is_int(audit_count("template.cool", "done", ""), 3, "and what makes them cold");
}

int main(void)
{
        fixture_start(NULL);
        template = fixture_template("base");
        test_cold();
        test_warm();
        test_pool();
        test_cool();
        test_failure();
        test_audit();
        fixture_stop();
        return tap_done();
}
