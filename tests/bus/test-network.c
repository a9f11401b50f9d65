/* SPDX-License-Identifier: MIT */

/* Network profiles, and the network of a sandbox. */

#include "tests/bus/fixture.h"

#include "base/quantity.h"

#define S     INTERFACE_SANDBOX
#define LATER (60 * USEC_PER_SEC)

static const char *path;

static const char *get(const char *property)
{
        return bus_property(fixture.client, path, S, property);
}

static const char *read_path(sd_bus_message *reply)
{
        const char *made = "";

        if (!reply || sd_bus_message_read(reply, "o", &made) < 0)
                tap_bail_out(bus_error_message);
        return made;
}

static const char *wait_for(const char *wanted)
{
        sd_bus_message *reply = bus_call(fixture.client, path, S, "Wait", "st", wanted, LATER);
        const char *reached = "";

        if (reply && sd_bus_message_read(reply, "s", &reached) < 0)
                tap_bail_out("Wait() replies nonsense");
        return reached;
}

static sd_bus_message *get_variant(const char *property, const char *type)
{
        sd_bus_message *reply = bus_call(fixture.client, path, "org.freedesktop.DBus.Properties",
                                         "Get", "ss", S, property);

        if (!reply || sd_bus_message_enter_container(reply, 'v', type) < 0)
                tap_bail_out(bus_error_message);
        return reply;
}

/* Valid until the next call. */
static const char *published(void)
{
        static char text[256];
        g_auto(GStrv) ports = NULL;
        g_autofree char *joined = NULL;

        if (sd_bus_message_read_strv(get_variant("PublishedPorts", "as"), &ports) < 0)
                tap_bail_out("PublishedPorts is nonsense");
        joined = ports ? g_strjoinv(" ", ports) : g_strdup("");
        (void) g_strlcpy(text, joined, sizeof text);
        return text;
}

static void set_network(const char *profile)
{
        (void) bus_call(fixture.client, path, S, "SetNetwork", "sa{sv}", profile, 0);
}

/* -- profiles --------------------------------------------------------------------------------- */

/* "NAME" or "NAME!" for what is root's, in a row. */
static char *list_names(void)
{
        sd_bus_message *reply =
                bus_call(fixture.client, PATH_ROOT, INTERFACE_MANAGER, "ListNetworks", "");
        g_autoptr(GString) names = g_string_new(NULL);
        const char *key[3], *name, *description;
        int admins_only;

        if (!reply || sd_bus_message_enter_container(reply, 'a', "a{sv}") < 0)
                tap_bail_out("ListNetworks() replies nonsense");
        while (sd_bus_message_read(reply, "a{sv}", 3, &key[0], "s", &name, &key[1], "s",
                                   &description, &key[2], "b", &admins_only) > 0)
                if (g_str_equal(key[0], "name") && g_str_equal(key[1], "description") &&
                    g_str_equal(key[2], "admins_only") && *description)
                        g_string_append_printf(names, "%s%s ", name, admins_only ? "!" : "");
        return g_string_free(g_steal_pointer(&names), FALSE);
}

static void test_profiles(void)
{
        g_autofree char *names = list_names();

        tap_is_str(names, "none internet isolated mirror secret! ",
                   "the profiles are listed, each with what it reaches and for whom it is");
        tap_is_str(bus_property(fixture.client, PATH_ROOT, INTERFACE_MANAGER, "NetworkFault"), "",
                   "sandboxes can have networks here");
}

/* -- without ---------------------------------------------------------------------------------- */

static void test_none(void)
{
        path = fixture_sandbox(fixture.client, "alone");
        tap_ok(g_str_equal(get("Network"), "none") && g_str_equal(get("NetworkState"), "none") &&
                       !*get("NetworkReason") && !*get("Address") && !*get("MacAddress") &&
                       !*get("NetworkInterface") && !*published(),
               "a sandbox has no network unless it is asked for");
        tap_ok(sd_bus_message_at_end(get_variant("NetworkCounters", "a(stt)"), 0) == 0 &&
                       sd_bus_message_read(get_variant("NetworkCounters", "a(stt)"), "a(stt)", 0) >
                               0,
               "and nothing to be counted");
        (void) bus_call(fixture.client, path, S, "GetNetworkRules", "");
        bus_is_error("WrongState", "it has no rules");
        (void) bus_call(fixture.client, path, S, "ListDrops", "");
        bus_is_error("WrongState", "and nothing that was refused");
        (void) bus_call(fixture.client, path, S, "ExplainNetwork", "sqs", "192.0.2.1", 443, "tcp");
        bus_is_error("WrongState", "and can reach nothing");
        (void) bus_call(fixture.client, path, S, "SetNetwork", "sa{sv}", "none", 1, "publish", "as",
                        1, "8080:80");
        bus_is_error("InvalidArgument", "it has no ports that could be published");
}

/* -- made with one ---------------------------------------------------------------------------- */

static void test_create(void)
{
        g_autofree char *interface = NULL;

        path = read_path(bus_call(fixture.client, PATH_ROOT, INTERFACE_MANAGER, "CreateSandbox",
                                  "sa{sv}", "base", 3, "name", "s", "web", "network", "s", "mirror",
                                  "publish", "as", 2, "127.0.0.1:8080:80", "53:5353/udp"));
        bus_is_error("", "a sandbox can be made with a network");
        (void) wait_for("ready");
        tap_is_str(wait_for("online"), "ready", "one can wait until its address answers");
        interface = g_strdup_printf("fl-%s", id_of_path(path));
        tap_is_str(get("Network"), "mirror", "it has its profile");
        tap_is_str(get("NetworkState"), "up", "and is connected");
        tap_is_str(get("NetworkReason"), "", "which has to be explained to nobody");
        tap_ok(g_str_has_prefix(get("Address"), "10.213."), "it has an address");
        tap_is_int(strlen(get("MacAddress")), 17, "and a MAC");
        tap_is_str(get("NetworkInterface"), interface, "and an interface that is named after it");
        tap_is_str(published(), "127.0.0.1:8080:80/tcp 0.0.0.0:53:5353/udp", "and its ports");
}

static const struct {
        const char *option, *value, *error;
        bool is_list;
} wrong[] = {
        {"network", "nope", "InvalidArgument", false},
        {"network", "mirror", "InvalidArgument", true},
        {"publish", "8080", "InvalidArgument", true},
        {"publish", "8080:80", "InvalidArgument", false},
};

static void test_create_refusals(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                sd_bus_message *m = bus_call_begin(fixture.client, PATH_ROOT, INTERFACE_MANAGER,
                                                   "CreateSandbox");

                if (wrong[i].is_list)
                        (void) sd_bus_message_append(m, "sa{sv}", "base", 1, wrong[i].option, "as",
                                                     1, wrong[i].value);
                else
                        (void) sd_bus_message_append(m, "sa{sv}", "base", 1, wrong[i].option, "s",
                                                     wrong[i].value);
                (void) bus_call_end(fixture.client, m);
                bus_is_error(wrong[i].error, "no sandbox is made with a network that there is not");
        }
        tap_is_int(audit_count("sandbox.create", "refused", "InvalidArgument"), G_N_ELEMENTS(wrong),
                   "each refusal is audited");
}

/* -- what can be asked ------------------------------------------------------------------------ */

static char *list_counters(void)
{
        sd_bus_message *reply = get_variant("NetworkCounters", "a(stt)");
        g_autoptr(GString) names = g_string_new(NULL);
        uint64_t packets, bytes;
        const char *what;

        if (sd_bus_message_enter_container(reply, 'a', "(stt)") < 0)
                tap_bail_out("NetworkCounters is nonsense");
        while (sd_bus_message_read(reply, "(stt)", &what, &packets, &bytes) > 0)
                g_string_append_printf(names, "%s %" PRIu64 " %" PRIu64 ", ", what, packets, bytes);
        return g_string_free(g_steal_pointer(&names), FALSE);
}

static bool has_counters(sd_bus_message *reply)
{
        const char *name;
        bool has = false;

        if (!reply || sd_bus_message_enter_container(reply, 'a', "{sv}") < 0)
                tap_bail_out("GetAll() replies nonsense");
        while (sd_bus_message_enter_container(reply, 'e', "sv") > 0) {
                if (sd_bus_message_read(reply, "s", &name) < 0 ||
                    sd_bus_message_skip(reply, "v") < 0 || sd_bus_message_exit_container(reply) < 0)
                        tap_bail_out("GetAll() replies nonsense");
                has |= g_str_equal(name, "NetworkCounters");
        }
        return has;
}

static void test_counters(void)
{
        g_autofree char *names = list_counters();
        sd_bus_message *reply;
        const char *object;

        tap_is_str(names,
                   "passed 3 300, forged 0 0, protocol 0 0, host 0 0, reach 2 120, limit 0 0, ",
                   "what it sent is counted, by what became of it");
        tap_ok(!has_counters(bus_call(fixture.client, path, "org.freedesktop.DBus.Properties",
                                      "GetAll", "s", S)),
               "who asks for all properties does not ask the kernel");
        reply = bus_call(fixture.client, PATH_ROOT, INTERFACE_MANAGER, "ListSandboxes", "a{sv}", 1,
                         "state", "s", "ready");
        if (!reply || sd_bus_message_enter_container(reply, 'a', "(oa{sv})") < 0 ||
            sd_bus_message_enter_container(reply, 'r', "oa{sv}") < 0 ||
            sd_bus_message_read(reply, "o", &object) < 0)
                tap_bail_out("ListSandboxes() replies nonsense");
        tap_ok(!has_counters(reply), "nor does who lists sandboxes");
}

static void explain(const char *address, unsigned port, const char *protocol, int expected,
                    const char *sentence)
{
        sd_bus_message *reply =
                bus_call(fixture.client, path, S, "ExplainNetwork", "sqs", address, port, protocol);
        int is_allowed = -1;
        const char *why = "";

        if (reply && sd_bus_message_read(reply, "bs", &is_allowed, &why) < 0)
                tap_bail_out("ExplainNetwork() replies nonsense");
        tap_ok(is_allowed == expected && *why, "%s", sentence);
}

static void test_questions(void)
{
        sd_bus_message *reply;
        const char *rules = "";

        explain("192.0.2.7", 443, "tcp", 1, "what the profile allows is explained");
        explain("192.0.2.7", 80, "tcp", 0, "and what it does not");
        explain("198.51.100.1", 0, "icmp", 0, "also where there is no port");
        (void) bus_call(fixture.client, path, S, "ExplainNetwork", "sqs", "example.com", 1, "tcp");
        bus_is_error("InvalidArgument", "names are resolved by who asks");
        (void) bus_call(fixture.client, path, S, "ExplainNetwork", "sqs", "192.0.2.7", 1, "sctp");
        bus_is_error("InvalidArgument", "there are no other protocols");
        reply = bus_call(fixture.client, path, S, "GetNetworkRules", "");
        tap_ok(reply && sd_bus_message_read(reply, "s", &rules) > 0 && *rules,
               "its rules can be read");
        reply = bus_call(fixture.client, path, S, "ListDrops", "");
        tap_ok(reply && sd_bus_message_skip(reply, "a(sssqt)a(sstt)") > 0 &&
                       sd_bus_message_at_end(reply, 1) > 0,
               "and what was refused last");
}

/* -- changed ---------------------------------------------------------------------------------- */

static void test_change(void)
{
        g_autofree char *signal = g_strdup_printf("PropertiesChanged %s %s State,Reason", path, S);
        g_autofree char *address = g_strdup(get("Address"));

        (void) g_ptr_array_set_size(fixture.signals, 0);
        set_network("isolated");
        bus_is_error("", "a network can be changed while the sandbox runs");
        tap_is_str(get("Network"), "isolated", "and is another then");
        tap_ok(bus_heard(signal), "which is told");
        tap_is_str(get("Address"), address, "its address is the same");
        tap_is_str(published(), "127.0.0.1:8080:80/tcp 0.0.0.0:53:5353/udp", "and its ports stay");
        explain("192.0.2.7", 443, "tcp", 0, "what it reached is not reached any more");
        (void) bus_call(fixture.client, path, S, "SetNetwork", "sa{sv}", "isolated", 1, "publish",
                        "as", 1, "8443:443");
        tap_is_str(published(), "0.0.0.0:8443:443/tcp", "unless others are given");
        (void) bus_call(fixture.client, path, S, "SetNetwork", "sa{sv}", "isolated", 1, "publish",
                        "as", 0);
        bus_is_error("", "or none");
        tap_is_str(published(), "", "and they are gone");
        set_network("none");
        bus_is_error("", "a network can be taken away");
        tap_ok(g_str_equal(get("NetworkState"), "none") && !*get("Address"), "with its address");
        set_network("internet");
        bus_is_error("", "and given again");
        tap_is_str(wait_for("online"), "ready", "and answers again");
        tap_is_str(get("NetworkState"), "up", "as before");
}

static void test_change_refusals(void)
{
        set_network("nope");
        bus_is_error("InvalidArgument", "there has to be such a profile");
        tap_ok(strstr(bus_error_message, "nope"), "which is named");
        set_network("../internet");
        bus_is_error("InvalidArgument", "by its name");
        (void) bus_call(fixture.client, path, S, "SetNetwork", "sa{sv}", "internet", 1, "publish",
                        "as", 1, "80");
        bus_is_error("InvalidArgument", "a port has to be one");
        (void) bus_call(fixture.client, path, S, "SetNetwork", "sa{sv}", "internet", 1, "ports",
                        "as", 0);
        bus_is_error("UnknownOption", "unknown options are refused");
        tap_is_str(get("Network"), "internet", "a refusal changes nothing");
        tap_ok(audit_count("sandbox.network", "done", "") == 5 &&
                       audit_count("sandbox.network", "refused", "InvalidArgument") == 4 &&
                       audit_count("sandbox.network", "refused", "UnknownOption") == 1,
               "each change and each refusal is audited once");
}

/* -- others ----------------------------------------------------------------------------------- */

static void test_branch(void)
{
        const char *source = path;
        g_autofree char *address = g_strdup(get("Address"));

        (void) bus_call(fixture.client, source, S, "CreateSnapshot", "sa{sv}", "one", 0);
        path = read_path(bus_call(fixture.client, source, S, "Branch", "sa{sv}", "one", 0));
        (void) wait_for("ready");
        tap_is_str(get("Network"), "none", "a branch has no network of itself");
        path = read_path(bus_call(fixture.client, source, S, "Branch", "sa{sv}", "one", 2,
                                  "network", "s", "mirror", "publish", "as", 1, "9090:90"));
        (void) wait_for("ready");
        tap_is_str(wait_for("online"), "ready", "it gets one where it is asked for");
        tap_is_str(get("Network"), "mirror", "with its own profile");
        tap_is_str(published(), "0.0.0.0:9090:90/tcp", "and ports");
        tap_ok(*get("Address") && !g_str_equal(get("Address"), address), "and an address");
        path = source;
}

static void test_taken_port(void)
{
        (void) bus_call(fixture.client, path, S, "SetNetwork", "sa{sv}", "internet", 1, "publish",
                        "as", 1, "9090:80");
        bus_is_error("Exists", "a port of the host is published once");
        tap_is_str(published(), "", "and who came second has none");
}

static void test_no_answer(void)
{
        set_network("none");
        fake_host_set_addresses(false);
        set_network("internet");
        (void) bus_call(fixture.client, path, S, "Wait", "st", "online", UINT64_C(0));
        bus_is_error("TimedOut", "who does not answer for its address is not online");
        fake_host_set_addresses(true);
        set_network("none");
        set_network("internet");
        tap_is_str(wait_for("online"), "ready", "and is when it does");
}

/* -- without rules ---------------------------------------------------------------------------- */

static const char *host_fault(void)
{
        return bus_property(fixture.client, PATH_ROOT, INTERFACE_MANAGER, "NetworkFault");
}

static bool is_cut_off(G_GNUC_UNUSED void *userdata)
{
        return g_str_equal(get("NetworkState"), "cut-off") && *host_fault();
}

static bool is_up(G_GNUC_UNUSED void *userdata)
{
        return g_str_equal(get("NetworkState"), "up") && !*host_fault();
}

static void test_cut_off(void)
{
        g_autofree char *signal = g_strdup_printf("PropertiesChanged %s %s State,Reason", path, S);

        (void) g_ptr_array_set_size(fixture.signals, 0);
        fake_host_set_firewall(false);
        fake_host_take_rules(NULL);
        tap_ok(fixture_until(is_cut_off, NULL),
               "a sandbox whose rules cannot be put back is cut off");
        tap_ok(*get("NetworkReason"), "and why is told");
        tap_ok(bus_heard(signal), "at once");
        explain("198.51.100.1", 443, "tcp", 0, "it reaches nothing");
        (void) bus_call(fixture.client, PATH_ROOT, INTERFACE_MANAGER, "CreateSandbox", "sa{sv}",
                        "base", 1, "network", "s", "internet");
        bus_is_error("NetworkFailed", "no other can have a network meanwhile");
        fake_host_set_firewall(true);
        tap_ok(fixture_until(is_up, NULL), "it is connected again when they are back");
        tap_is_str(get("NetworkReason"), "", "and nothing has to be explained");
}

static void test_restart(void)
{
        g_autofree char *address = g_strdup(get("Address"));

        fixture_restart();
        (void) wait_for("ready");
        tap_is_str(get("Network"), "internet", "a restart of the daemon changes no network");
        tap_is_str(get("Address"), address, "and no address");
}

int main(void)
{
        fixture_start(NULL);
        (void) fixture_template("base");
        test_profiles();
        test_none();
        test_create();
        test_create_refusals();
        test_counters();
        test_questions();
        test_change();
        test_change_refusals();
        test_branch();
        test_taken_port();
        test_no_answer();
        test_cut_off();
        test_restart();
        fixture_stop();
        return tap_done();
}
