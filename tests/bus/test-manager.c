/* SPDX-License-Identifier: MIT */
#include "tests/bus/fixture.h"

#include "base/cleanup.h"
#include "base/quantity.h"

#include <unistd.h>

#define M     INTERFACE_MANAGER
#define LATER (60 * USEC_PER_SEC)

static sd_bus_message *create(const char *template, const char *key, const char *type, ...)
{
        sd_bus_message *m = bus_call_begin(fixture.client, PATH_ROOT, M, "CreateSandbox");
        va_list ap;
        int r = sd_bus_message_append(m, "s", template);

        va_start(ap, type);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0 && key) {
                r = sd_bus_message_open_container(m, 'e', "sv");
                if (r >= 0)
                        r = sd_bus_message_append(m, "s", key);
                if (r >= 0)
                        r = sd_bus_message_open_container(m, 'v', type);
                if (r >= 0)
                        r = sd_bus_message_appendv(m, type, ap);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        }
        va_end(ap);
        if (r < 0 || sd_bus_message_close_container(m) < 0)
                tap_bail_out("the options cannot be written");
        return bus_call_end(fixture.client, m);
}

static const char *read_path(sd_bus_message *reply)
{
        const char *path = "";

        if (reply && sd_bus_message_read(reply, "o", &path) < 0)
                tap_bail_out("the reply is not a path");
        return path;
}

static void await(const char *path, const char *state)
{
        (void) bus_call(fixture.client, path, INTERFACE_SANDBOX, "Wait", "st", state, LATER);
}

/* -- the host --------------------------------------------------------------------------------- */

static bool heard(void *userdata)
{
        return bus_heard(userdata);
}

static void test_host(void)
{
        char signal[] = "PropertiesChanged " PATH_ROOT " " INTERFACE_MANAGER " State";
        char name[256] = "";

        (void) gethostname(name, sizeof name - 1);
        tap_is_str(bus_property(fixture.client, PATH_ROOT, M, "Version"), "1.2.3",
                   "Version is the daemon's");
        tap_is_str(bus_property(fixture.client, PATH_ROOT, M, "HostName"), name,
                   "HostName is the host's");
        tap_is_str(bus_property(fixture.client, PATH_ROOT, M, "Capacity"), "a{sv}",
                   "it tells its capacity");
        tap_is_str(bus_property(fixture.client, PATH_ROOT, M, "Features"), "as",
                   "and its features");
        tap_is_str(bus_property(fixture.client, PATH_ROOT, M, "State"), "running", "it is running");
        fake_host_set_connected(false);
        tap_ok(fixture_until(heard, signal), "a change of its state is told to all");
        tap_is_str(bus_property(fixture.client, PATH_ROOT, M, "State"), "degraded",
                   "without libvirtd it is degraded");
        (void) bus_call(fixture.client, PATH_ROOT, M, "ListDomains", "");
        bus_is_error("HypervisorUnavailable", "and cannot list domains");
        (void) create("base", NULL, NULL);
        bus_is_error("HypervisorUnavailable", "or create sandboxes");
        g_ptr_array_set_size(fixture.signals, 0);
        fake_host_set_connected(true);
        tap_ok(fixture_until(heard, signal), "libvirtd's return is told too");
}

static void test_domains(void)
{
        sd_bus_message *reply;
        const char *key, *name = "", *uuid, *state = "";

        fake_host_add_foreign("mail", "/dev/null");
        reply = bus_call(fixture.client, PATH_ROOT, M, "ListDomains", "");
        bus_is_error("", "foreign domains are listed");
        if (reply && sd_bus_message_read(reply, "aa{sv}", 1, 3, &key, "s", &name, &key, "s", &uuid,
                                         &key, "s", &state) < 0)
                tap_bail_out("ListDomains() replies nonsense");
        tap_is_str(name, "mail", "by name");
        tap_is_str(state, "shut-off", "with their state");
}

/* -- templates -------------------------------------------------------------------------------- */

static void test_import(void)
{
        g_autofree char *path = g_build_filename(fixture.directory, "bus.conf", NULL);
        g_autofree char *none = g_build_filename(fixture.directory, "none", NULL);
        autofd fd = fixture_file("another disk"), bad = fixture_file("refuse this");
        g_autofree char *signal = NULL;
        const char *template;
        sd_bus_message *reply;

        (void) bus_call(fixture.client, PATH_ROOT, M, "ImportTemplate", "sa{sv}", "base", 1,
                        "image", "h", fd);
        bus_is_error("Exists", "a template's name is used once");
        (void) bus_call(fixture.client, PATH_ROOT, M, "ImportTemplate", "sa{sv}", "a/b", 1, "image",
                        "h", fd);
        bus_is_error("InvalidArgument", "and follows the rules for names");
        (void) bus_call(fixture.client, PATH_ROOT, M, "ImportTemplate", "sa{sv}", "new", 0);
        bus_is_error("InvalidArgument", "an image has to be given");
        (void) bus_call(fixture.client, PATH_ROOT, M, "ImportTemplate", "sa{sv}", "new", 2, "image",
                        "h", fd, "image_path", "s", path);
        bus_is_error("InvalidArgument", "but not twice");
        (void) bus_call(fixture.client, PATH_ROOT, M, "ImportTemplate", "sa{sv}", "new", 1,
                        "image_path", "s", "bus.conf");
        bus_is_error("InvalidArgument", "its path has to be absolute");
        (void) bus_call(fixture.client, PATH_ROOT, M, "ImportTemplate", "sa{sv}", "new", 1,
                        "image_path", "s", none);
        bus_is_error("NotFound", "and has to exist");
        (void) bus_call(fixture.client, PATH_ROOT, M, "ImportTemplate", "sa{sv}", "new", 1, "size",
                        "t", UINT64_C(1));
        bus_is_error("UnknownOption", "unknown options are refused");
        tap_is_int(audit_count("template.import", "refused", "InvalidArgument"), 4,
                   "each refusal is audited once");
        reply = bus_call(fixture.client, PATH_ROOT, M, "ImportTemplate", "sa{sv}", "bad", 1,
                         "image", "h", bad);
        template = read_path(reply);
        bus_is_error("", "an import begins at once");
        (void) bus_call(fixture.client, template, INTERFACE_TEMPLATE, "Wait", "t", LATER);
        bus_is_error("ImageRefused", "and its end tells why it failed");
        signal = g_strdup_printf("InterfacesRemoved %s", template);
        (void) fixture_until(heard, signal);
        (void) bus_call(fixture.client, template, INTERFACE_TEMPLATE, "Wait", "t", LATER);
        bus_is_error("ImageRefused", "also when it is over before one asks");
        reply = bus_call(fixture.client, PATH_ROOT, M, "ImportTemplate", "sa{sv}", "path", 1,
                         "image_path", "s", path);
        template = read_path(reply);
        (void) bus_call(fixture.client, template, INTERFACE_TEMPLATE, "Wait", "t", LATER);
        bus_is_error("", "root may name a file by its path");
        tap_is_str(read_path(bus_call(fixture.client, PATH_ROOT, M, "GetTemplate", "s", "path")),
                   template, "a template is found by its name");
        (void) bus_call(fixture.client, PATH_ROOT, M, "GetTemplate", "s", "bad");
        bus_is_error("NotFound", "one whose import failed is gone");
}

/* -- sandboxes -------------------------------------------------------------------------------- */

static void test_create(void)
{
        const char *path;
        g_autofree char *signal = NULL;

        (void) create("none", NULL, NULL);
        bus_is_error("NotFound", "a sandbox needs a template");
        (void) create("base", "colour", "s", "red");
        bus_is_error("UnknownOption", "unknown options are refused");
        (void) create("base", "vcpus", "t", UINT64_C(1));
        bus_is_error("InvalidArgument", "and so are values of another type");
        (void) create("base", "name", "s", "../x");
        bus_is_error("InvalidArgument", "names follow the rules for names");
        (void) create("base", "network", "s", "nope");
        bus_is_error("InvalidArgument", "network profiles are those that there are");
        (void) create("base", "labels", "a{ss}", 2, "a", "1", "a", "2");
        bus_is_error("InvalidArgument", "a label can be given once");
        tap_ok(audit_count("sandbox.create", "refused", "InvalidArgument") == 4 &&
                       audit_count("sandbox.create", "refused", "UnknownOption") == 1,
               "each refusal is audited once");
        path = read_path(create("base", "labels", "a{ss}", 1, "ticket", "42"));
        bus_is_error("", "a sandbox is created at once");
        await(path, "ready");
        signal = g_strdup_printf("InterfacesAdded %s %s Id,Name,Agent", path, INTERFACE_SANDBOX);
        tap_ok(bus_heard(signal), "its owner heard of it, with its properties");
        tap_is_str(bus_property(fixture.client, path, INTERFACE_SANDBOX, "Name"), id_of_path(path),
                   "without a name its id is its name");
        path = read_path(create("base", "name", "s", "web"));
        await(path, "ready");
        (void) create("base", "name", "s", "web");
        bus_is_error("Exists", "a name is used once");
        tap_is_str(read_path(bus_call(fixture.client, PATH_ROOT, M, "GetSandbox", "s", "web")),
                   path, "a sandbox is found by its name");
        tap_is_str(read_path(bus_call(fixture.client, PATH_ROOT, M, "GetSandbox", "s",
                                      id_of_path(path))),
                   path, "and by its id");
        (void) bus_call(fixture.client, PATH_ROOT, M, "GetSandbox", "s", "none");
        bus_is_error("NotFound", "what is not there is not found");
}

static void test_creation_that_fails(void)
{
        g_autofree char *signal = NULL;
        const char *path;

        fake_host_hold(true);
        path = read_path(create("base", NULL, NULL));
        signal = g_strdup_printf("InterfacesRemoved %s", path);
        fake_host_fail_nth(1, FAULT_HYPERVISOR_FAILED);
        fake_host_hold(false);
        tap_ok(fixture_until(heard, signal), "a sandbox that cannot be made is gone again");
        fake_host_fail_nth(0, FAULT_NONE);
        await(path, "ready");
        bus_is_error("HypervisorFailed", "and who waits for it afterwards is told why");
        (void) bus_call(fixture.client, path, INTERFACE_SANDBOX, "Start", "");
        bus_is_error("NotFound", "but it is not there");
}

static void test_boot_that_fails(void)
{
        const char *path;

        fake_host_set_agents(false);
        path = read_path(create("base", "boot_timeout_usec", "t", USEC_PER_SEC));
        await(path, "ready");
        tap_is_str(bus_property(fixture.client, path, INTERFACE_SANDBOX, "State"), "failed",
                   "a sandbox whose agent does not answer has failed");
        tap_ok(*bus_property(fixture.client, path, INTERFACE_SANDBOX, "Reason"), "and tells why");
        (void) bus_call(fixture.client, path, INTERFACE_SANDBOX, "Destroy", "");
        bus_is_error("", "and can be destroyed");
        fake_host_set_agents(true);
}

static unsigned list(const char *key, const char *value)
{
        sd_bus_message *reply = bus_call(fixture.client, PATH_ROOT, M, "ListSandboxes", "a{sv}",
                                         key ? 1 : 0, key, "s", value);
        unsigned n = 0;

        if (!reply || sd_bus_message_enter_container(reply, 'a', "(oa{sv})") < 0)
                return 0;
        while (sd_bus_message_enter_container(reply, 'r', "oa{sv}") > 0) {
                if (sd_bus_message_skip(reply, "oa{sv}") < 0 ||
                    sd_bus_message_exit_container(reply) < 0)
                        tap_bail_out("ListSandboxes() replies nonsense");
                n++;
        }
        return n;
}

static void test_list(void)
{
        tap_is_int(list(NULL, NULL), 2, "all sandboxes are listed");
        tap_is_int(list("state", "ready"), 2, "or those in a state");
        tap_is_int(list("state", "stopped"), 0, "of which there may be none");
        tap_is_int(list("template", "base"), 2, "or those of a template");
        tap_is_int(list("template", "path"), 0, "and not of another");
        tap_is_int(list("agent", "x"), 0, "or those of an agent");
        (void) list("state", "happy");
        bus_is_error("InvalidArgument", "there is no other state");
        (void) list("color", "red");
        bus_is_error("UnknownOption", "and no other filter");
        (void) bus_call(fixture.client, PATH_ROOT, M, "ListSandboxes", "a{sv}", 1, "owner_uid", "u",
                        0U);
        bus_is_error("", "an owner can be asked for");
}

static void test_managed_objects(void)
{
        sd_bus_message *reply =
                bus_call(fixture.client, PATH_ROOT, "org.freedesktop.DBus.ObjectManager",
                         "GetManagedObjects", "");
        unsigned templates = 0, sandboxes = 0;
        const char *path;

        if (!reply || sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}") < 0)
                tap_bail_out("GetManagedObjects() replies nonsense");
        while (sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}") > 0) {
                if (sd_bus_message_read(reply, "o", &path) < 0 ||
                    sd_bus_message_skip(reply, "a{sa{sv}}") < 0 ||
                    sd_bus_message_exit_container(reply) < 0)
                        tap_bail_out("GetManagedObjects() replies nonsense");
                templates += g_str_has_prefix(path, PATH_TEMPLATE "/");
                sandboxes += g_str_has_prefix(path, PATH_SANDBOX "/");
        }
        tap_is_int(templates, 2, "the ObjectManager has the templates");
        tap_is_int(sandboxes, 2, "and the sandboxes");
}

/* -- audit ------------------------------------------------------------------------------------ */

static void test_audit(void)
{
        sd_bus_message *reply = bus_call(fixture.client, PATH_ROOT, M, "VerifyAudit", "");
        const char *detail = "";
        uint64_t rows = 0;
        int intact = 0;

        if (reply && sd_bus_message_read(reply, "bts", &intact, &rows, &detail) < 0)
                tap_bail_out("VerifyAudit() replies nonsense");
        tap_ok(intact && rows > 10 && strlen(detail) == 64, "the trail is intact");
        g_autofree char *head = g_strdup(detail);
        bool is_last_known = false;
        reply = bus_call(fixture.client, PATH_ROOT, M, "VerifyAuditHeads", "a(ts)", 1, rows, head);
        if (reply && sd_bus_message_read(reply, "bts", &intact, &rows, &detail) >= 0)
                is_last_known = intact;
        tap_ok(is_last_known, "it has the head that was written down");
        reply = bus_call(fixture.client, PATH_ROOT, M, "VerifyAuditHeads", "a(ts)", 1, UINT64_C(1),
                         head);
        if (reply && sd_bus_message_read(reply, "bts", &intact, &rows, &detail) < 0)
                tap_bail_out("VerifyAuditHeads() replies nonsense");
        tap_ok(!intact && strstr(detail, "row 1 was changed"), "but not as that of another row");
        (void) bus_call(fixture.client, PATH_ROOT, M, "VerifyAuditHeads", "a(ts)", 1, UINT64_C(1),
                        "cafe");
        bus_is_error("InvalidArgument", "a head that is none is refused");
        (void) bus_call(fixture.client, PATH_ROOT, M, "Audit", "a{sv}", 1, "who", "s", "me");
        bus_is_error("UnknownOption", "unknown filters are refused");
        (void) bus_call(fixture.client, PATH_ROOT, M, "Audit", "a{sv}", 1, "before_seq", "t",
                        UINT64_C(1));
        bus_is_error("InvalidArgument", "so is a page before the first row");
        tap_is_int(audit_count("sandbox.create", "done", ""), 2, "what was done is in the trail");
        tap_is_int(audit_count("sandbox.create", "begin", "") -
                           audit_count("sandbox.create", "done", "") -
                           audit_count("sandbox.create", "failed", "AgentUnavailable") -
                           audit_count("sandbox.create", "failed", "HypervisorFailed") -
                           audit_count("sandbox.create", "failed", "TimedOut"),
                   0, "and everything that began has ended");
}

/* Who it is has to be asked of the bus meanwhile. */
static void test_first_calls(void)
{
        sd_bus *bus = fixture_connect(0);
        unsigned replies = 0;

        bus_call_later(bus, &replies, PATH_ROOT, M, "CreateSandbox", "sa{sv}", "base", 1, "name",
                       "s", "early");
        sd_bus_message *reply = bus_call(bus, PATH_ROOT, M, "GetSandbox", "s", "early");
        bus_is_error("", "the first calls of a connection are answered in their order");
        const char *path = "";
        tap_ok(reply && sd_bus_message_read(reply, "o", &path) > 0 && replies == 1, "each");
        (void) bus_call(bus, path, INTERFACE_SANDBOX, "Destroy", "");
        bus_is_error("", "and those after them");
}

static void test_restart(void)
{
        fixture_restart();
        tap_is_int(list(NULL, NULL), 2, "a restarted daemon has the same sandboxes");
        tap_is_str(bus_property(fixture.client, PATH_ROOT, M, "State"), "running", "and runs");
}

static void test_name(void)
{
        Api *second = NULL;
        Fault f = {0};

        tap_is_int(api_new(fixture.event, fixture.manager, NULL, "2", NULL, NULL, &second, &f), 0,
                   "a second daemon can connect");
        tap_ok(api_claim_name(second, &f) < 0 && f.code == FAULT_EXISTS,
               "but cannot have the same name");
        (void) api_free(second);
}

int main(void)
{
        fixture_start("sandboxes_max = 50");
        (void) fixture_template("base");
        test_host();
        test_domains();
        test_import();
        test_create();
        test_creation_that_fails();
        test_boot_that_fails();
        test_list();
        test_managed_objects();
        test_audit();
        test_first_calls();
        test_restart();
        test_name();
        fixture_stop();
        return tap_done();
}
