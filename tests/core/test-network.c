/* SPDX-License-Identifier: MIT */

/* Who may have which network, and how a sandbox comes to have it. */

#include "tests/core/networks.h"

static const char settings[] = "stop_timeout = 0s\nttl_default = infinity\nnetwork_leases = 3\n";

static int try_create(const char *profile, const char *const *ports)
{
        return create_networked("x", profile, ports);
}

/* -- who may have what ------------------------------------------------------------------------ */

static void test_profiles(void)
{
        g_autofree char *before = NULL;

        need(import_image("base", IMAGE), "import");
        before = describe_world();
        is_refused(try_create("other", NULL), FAULT_INVALID_ARGUMENT,
                   "there is no profile that networks.conf has not");
        tap_ok(strstr(fixture.fault.message, "'other'"), "and that is said");
        is_refused(try_create("secret", NULL), FAULT_DENIED, "some are for root alone");
        is_refused(try_create("none", ARGV("80:80")), FAULT_INVALID_ARGUMENT,
                   "without a network no port can be published");
        is_same_world(before, "nothing came of it");
        fixture.caller.uid = 0;
        is_done(try_create("secret", NULL), "root may give them");
        is_network("x", "up secret", "and it has it");
        need(destroy_sandbox("x"), "destroy");
        fixture.caller.uid = 1000;
        need(create_networked("x", NULL, NULL), "create");
        is_network("x", "none none", "whoever asks for no network has none");
        tap_ok(!*network_of("x").address && fake_host_nics(id_of("x")) == 0, "and no interface");
        need(destroy_sandbox("x"), "destroy");
}

/* -- ports ------------------------------------------------------------------------------------ */

static void test_port_texts(void)
{
        static const char *const bad[] = {
                "",         "80",        "a:80",           "80:a",     "0:80",   "80:0",
                "65536:80", "1:2:3:4",   "1.2.3:1:2",      "80:80/ip", "80:80/", "80:80/tcp/udp",
                " 80:80",   "::1:80:80", "localhost:80:80"};
        static const char *const good[][2] = {{"80:8080", "0.0.0.0:80:8080/tcp"},
                                              {"127.0.0.1:80:8080/udp", "127.0.0.1:80:8080/udp"},
                                              {"65535:1/tcp", "0.0.0.0:65535:1/tcp"}};
        FirewallPort port;

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                is_refused(network_port_parse(bad[i], &port, fresh_fault()), FAULT_INVALID_ARGUMENT,
                           "'%s' is no port to publish", bad[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                g_autofree char *text = NULL;

                need(network_port_parse(good[i][0], &port, &fixture.fault), good[i][0]);
                text = network_port_format(&port);
                tap_is_str(text, good[i][1], "'%s' is one", good[i][0]);
        }
}

static void test_port_conflicts(void)
{
        const char *many[66] = {NULL};
        g_autofree char *before = NULL;
        g_auto(GStrv) ports = NULL;
        g_autofree char *joined = NULL;
        unsigned begun;

        need(create_networked("web", "isolated", ARGV("127.0.0.1:80:8080", "53:53/udp")), "create");
        ports = sandbox_network_ports(get_sandbox("web"));
        joined = g_strjoinv(" ", ports);
        tap_is_str(joined, "127.0.0.1:80:8080/tcp 0.0.0.0:53:53/udp", "ports are published");
        are_rules("web", "isolated 127.0.0.1:80:8080/tcp 0.0.0.0:53:53/udp", "in the kernel, too");
        before = describe_world();
        begun = count_audit("sandbox.create", "begin", NULL);
        is_refused(try_create("isolated", ARGV("127.0.0.1:80:1")), FAULT_EXISTS,
                   "another sandbox cannot have one of them");
        is_refused(try_create("isolated", ARGV("80:1")), FAULT_EXISTS,
                   "nor as one of all of this host's addresses");
        is_refused(try_create("isolated", ARGV("192.0.2.1:53:1/udp")), FAULT_EXISTS,
                   "nor one address's where it has all");
        is_refused(try_create("isolated", ARGV("90:1", "90:2")), FAULT_INVALID_ARGUMENT,
                   "the same cannot be published twice");
        is_refused(try_create("isolated", ARGV("90")), FAULT_INVALID_ARGUMENT,
                   "nor what is no port");
        for (size_t i = 0; i < 65; i++)
                many[i] = "1:1";
        is_refused(try_create("isolated", many), FAULT_LIMITS_EXCEEDED, "nor more than 64");
        tap_is_int(count_audit("sandbox.create", "begin", NULL) - begun, 0, "none of it was begun");
        is_same_world(before, "nothing came of it");
        is_done(try_create("isolated", ARGV("127.0.0.1:80:1/udp", "192.0.2.1:80:2")),
                "another protocol, or another address, is another port");
        need(destroy_sandbox("web"), "destroy");
        is_done(set_network("x", "isolated", ARGV("80:1")), "what was destroyed has no ports");
        need(destroy_sandbox("x"), "destroy");
}

/* -- addresses -------------------------------------------------------------------------------- */

static void test_addresses(void)
{
        need(create_networked("a", "isolated", NULL), "create");
        need(create_networked("b", "isolated", NULL), "create");
        need(create_networked("c", "isolated", NULL), "create");
        is_refused(try_create("isolated", NULL), FAULT_LIMITS_EXCEEDED,
                   "there are so many addresses as network_leases says");
        is_done(set_network("a", "mirror", NULL),
                "who has one can have another profile all the same");
        is_done(try_create("none", NULL), "and one without a network can be made");
        is_refused(set_network("x", "isolated", NULL), FAULT_LIMITS_EXCEEDED,
                   "which cannot be given one later");
        need(destroy_sandbox("x"), "destroy");
        is_well("all have their own");
        need(destroy_sandbox("a"), "destroy");
        need(destroy_sandbox("b"), "destroy");
        need(destroy_sandbox("c"), "destroy");
}

static void test_address_order(void)
{
        g_autofree char *first = NULL;
        unsigned last;

        need(create_networked("a", "isolated", NULL), "create");
        first = g_strdup(network_of("a").address);
        last = row_of("a")->address_number;
        need(destroy_sandbox("a"), "destroy");
        need(create_networked("a", "isolated", NULL), "create");
        tap_is_int(row_of("a")->address_number, last % 3 + 1,
                   "an address rests as long as can be before another sandbox has it");
        restart_manager();
        tap_is_int(row_of("a")->address_number, last % 3 + 1, "a restart changes no address");
        is_network("a", "up isolated", "nor anything else");
        need(create_networked("b", "isolated", NULL), "create");
        tap_is_int(row_of("b")->address_number, (last + 1) % 3 + 1,
                   "the next ones follow the last that is in use");
        need(destroy_sandbox("a"), "destroy");
        need(destroy_sandbox("b"), "destroy");
}

/* -- how it comes to it ----------------------------------------------------------------------- */

static void test_boot(void)
{
        SandboxNetwork network;
        Link link;

        fake_host_trace(true);
        is_done(create_networked("web", "isolated", NULL), "a sandbox boots with a network");
        is_traced(ARGV("firewall_set", "firewall_verify", "hypervisor_create_domain",
                       "hypervisor_attach_nic", "hypervisor_set_nic_link",
                       "hypervisor_resume_domain"),
                  "its rules were read back before there was a domain, and its NIC was there "
                  "before its CPUs ran");
        is_network("web", "up isolated", "it is up");
        network = network_of("web");
        link = link_of("web");
        tap_ok(g_str_has_prefix(network.address, "10.213.0.") &&
                       g_str_has_prefix(network.mac, "02:fd:0a:d5:00:") &&
                       g_str_has_prefix(network.interface, "fl-") && !*network.reason,
               "with an address, a MAC and a tap of its own");
        tap_ok(link.is_up && link.is_isolated && g_str_equal(link.master, "fluidbr0") &&
                       has_cable("web"),
               "which is an isolated port of the bridge");
        are_rules("web", "isolated", "and with its rules");
        is_well("all is well");
        need(stop_sandbox("web", true), "stop");
        is_network("web", "down isolated", "one that is stopped has none");
        are_rules("web", "isolated", "but its rules");
        fake_host_trace(true);
        is_done(start_sandbox("web"), "it is started");
        is_traced(ARGV("firewall_set", "firewall_verify", "hypervisor_start_domain_paused",
                       "hypervisor_attach_nic", "hypervisor_set_nic_link",
                       "hypervisor_resume_domain"),
                  "its NIC is there before its CPUs run");
        is_network("web", "up isolated", "it is up");
        need(stop_sandbox("web", true), "stop");
        fake_host_set_domain(id_of("web"), DOMAIN_RUNNING);
        settle();
        is_network("web", "up isolated", "one that somebody else starts gets it, too");
        is_well("all is well");
        need(destroy_sandbox("web"), "destroy");
        tap_is_int(fake_host_count_rules(), 0, "what is destroyed has no rules");
}

static void test_online(void)
{
        Outcome o = {0};
        uint32_t address;

        fake_host_set_addresses(false);
        need(create_networked("web", "isolated", NULL), "create");
        need(sandbox_wait(get_sandbox("web"), "online", PATIENCE_USEC, on_outcome, &o,
                          fresh_fault()),
             "wait");
        settle();
        tap_ok(!o.has_ended, "a guest that has not its address yet is not online");
        need(address_parse(network_of("web").address, &address, &fixture.fault), "address");
        fake_host_tell_neighbor(address + 1);
        settle();
        tap_ok(!o.has_ended, "nor when another one has");
        fake_host_tell_neighbor(address);
        settle();
        tap_ok(o.has_ended && o.r == 0, "it is when it answers for it");
        need(stop_sandbox("web", true), "stop");
        is_done(wait_sandbox(get_sandbox("web"), "online"), "one that is stopped never is");
        fake_host_set_addresses(true);
        need(start_sandbox("web"), "start");
        is_done(wait_sandbox(get_sandbox("web"), "online"), "it is when it was started again");
        tap_ok(get_sandbox("web")->is_online, "and its address answers");
        need(destroy_sandbox("web"), "destroy");
}

static void test_refused(void)
{
        g_autofree char *before = describe_world();

        fake_host_set_firewall(false);
        is_refused(try_create("isolated", NULL), FAULT_IO,
                   "where the kernel takes no rules no sandbox gets a network");
        is_same_world(before, "and nothing is left of it");
        is_done(try_create("none", NULL), "one without is made all the same");
        is_refused(set_network("x", "isolated", NULL), FAULT_IO, "and cannot be given one");
        is_network("x", "none none", "it stays as it is");
        fake_host_set_firewall(true);
        settle_networks();
        is_done(set_network("x", "isolated", NULL), "until the kernel does");
        need(destroy_sandbox("x"), "destroy");
        is_well("all is well");
}

/* -- copies ----------------------------------------------------------------------------------- */

static void is_created_with_network(const char *how)
{
        fake_host_trace(true);
        is_done(create_networked("web", "isolated", NULL), "%s is asked for with a network", how);
        is_traced(ARGV("firewall_set", "firewall_verify", "the end of a guest task",
                       "hypervisor_attach_nic", "firewall_verify", "hypervisor_set_nic_link"),
                  "it gets its NIC when it is another guest, and its cable last");
        is_network("web", "up isolated", "it is up when it is ready");
        tap_ok(sandbox_timing(get_sandbox("web"), &(size_t){0})[TIMING_NETWORK].usec > 0,
               "and it is known how long that took");
        tap_ok(!g_str_equal(row_of("web")->started_from, "boot"), "it has not booted");
        need(destroy_sandbox("web"), "destroy");
}

static void test_copies(void)
{
        g_autofree char *address = NULL;

        prepare_warm();
        is_created_with_network("a copy of a warm template");
        need(set_pool("base", 1), "pool");
        tap_ok(until_pool(1), "a pool is filled");
        is_created_with_network("one of a pool");
        tap_ok(until_pool(1), "the pool is filled again");
        fake_host_set_firewall(false);
        is_refused(create_networked("web", "isolated", NULL), FAULT_IO,
                   "what cannot be filtered is not handed out");
        fake_host_set_firewall(true);
        tap_ok(is_pool_ready(GUINT_TO_POINTER(1)), "and stays in the pool");
        need(cool_template("base"), "cool");
        need(create_networked("web", "isolated", NULL), "create");
        fake_host_set_memory(id_of("web"), "a session");
        address = g_strdup(network_of("web").address);
        is_done(take_memory_snapshot("web", "s"), "a memory is taken of one with a network");
        is_network("web", "up isolated", "which has it again");
        is_done(branch_as("web", "s", &(SandboxSpec){.name = "b", .network = "mirror"}),
                "a branch of it is made with another network");
        is_network("b", "up mirror", "which it has");
        tap_ok(!g_str_equal(network_of("b").address, address), "with an address of its own");
        is_memory("b", "a session", "it is that guest");
        is_done(branch_sandbox("web", "s", "c"), "another one without");
        is_network("c", "none none", "has none");
        is_well("all is well");
        need(destroy_sandbox("web"), "destroy");
        need(destroy_sandbox("b"), "destroy");
        need(destroy_sandbox("c"), "destroy");
}

static bool has_no_network_fault(void *userdata)
{
        (void) userdata;
        return !*manager_network_fault(fixture.manager);
}

static void test_no_nic(void)
{
        need(create_networked("web", "isolated", NULL), "create");
        need(stop_sandbox("web", true), "stop");
        fake_host_remove_link("fluidbr0");
        fake_host_set_foreign_network(true);
        settle();
        is_refused(start_sandbox("web"), FAULT_NETWORK_FAILED,
                   "without libvirt's network nothing that has one is started");
        tap_is_str(state_of("web"), "stopped", "it stays as it is");
        is_refused(try_create("isolated", NULL), FAULT_NETWORK_FAILED, "nor made");
        tap_ok(strstr(manager_network_fault(fixture.manager), "not made by fluid"),
               "and it is said why");
        is_done(try_create("none", NULL), "all else is");
        need(destroy_sandbox("x"), "destroy");
        fake_host_set_foreign_network(false);
        tap_ok(until(has_no_network_fault, NULL), "when it is there all is well, unasked");
        settle();
        is_done(start_sandbox("web"), "and it is started");
        need(destroy_sandbox("web"), "destroy");
}

/* The fake kernel has dropped two frames of each. */
static void test_drops(void)
{
        unsigned before = count_audit("network.drops", "done", NULL);

        need(create_networked("dropping", "isolated", NULL), "create");
        settle_networks();
        network_tell_drops(fixture.manager);
        unsigned first = count_audit("network.drops", "done", NULL);
        tap_ok(first > before, "what was dropped of a sandbox is in the trail");
        network_tell_drops(fixture.manager);
        tap_is_int(count_audit("network.drops", "done", NULL), first, "once");
        network_tell_last_drops(get_sandbox("dropping"));
        tap_is_int(count_audit("network.drops", "done", NULL), first,
                   "also when it is destroyed, if there was no more");
        need(destroy_sandbox("dropping"), "destroy");
}

int main(void)
{
        start_fixture(settings);
        test_profiles();
        test_port_texts();
        test_port_conflicts();
        test_addresses();
        test_address_order();
        test_boot();
        test_online();
        test_refused();
        test_no_nic();
        test_copies();
        test_drops();
        stop_fixture();
        return tap_done();
}
