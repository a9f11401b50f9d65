/* SPDX-License-Identifier: MIT */

/* What others do to rules, links and networks is put right, or what it concerns is cut off. */

#include "tests/core/networks.h"

static const char settings[] = "stop_timeout = 0s\nttl_default = infinity\n";

static void prepare(void)
{
        need(create_networked("web", "isolated", ARGV("8080:80")), "create");
        need(create_networked("other", "mirror", NULL), "create");
}

static bool is_cut_off(void *sandbox)
{
        return g_str_equal(network_of(sandbox).state, "cut-off");
}

static bool is_cut_off_and_down(void *sandbox)
{
        return is_cut_off(sandbox) && !link_of(sandbox).is_up;
}

static bool is_up(void *sandbox)
{
        return g_str_equal(network_of(sandbox).state, "up") && link_of(sandbox).is_up;
}

/* One case. */
static void comes_to(bool (*condition)(void *), const char *sandbox, const char *sentence)
{
        tap_ok(until(condition, (void *) sandbox), "%s", sentence);
        settle();
}

typedef struct LastDetail {
        char *text;
} LastDetail;

static int keep_detail(const AuditRow *row, void *userdata)
{
        LastDetail *last = userdata;

        if (g_str_equal(row->kind, "network.repair") && g_str_equal(row->phase, "begin")) {
                g_free(last->text);
                last->text = g_strdup(row->detail);
        }
        return 0;
}

/* One case: the last repair in the trail tells that. */
static void is_told(const char *text, const char *sentence)
{
        LastDetail last = {0};

        need(store_query_audit(fixture.manager->store, &(AuditFilter){0}, keep_detail, &last,
                               &fixture.fault),
             "audit");
        if (!tap_ok(last.text && strstr(last.text, text), "%s", sentence))
                tap_note("%s", last.text ? last.text : "nothing is told");
        g_free(last.text);
}

/* -- rules ------------------------------------------------------------------------------------ */

static void test_rules(void)
{
        unsigned before = count_repairs("done");

        fake_host_take_rules(id_of("web"));
        settle();
        are_rules("web", "isolated 0.0.0.0:8080:80/tcp",
                  "rules that somebody deletes are put back");
        tap_is_int(count_repairs("done") - before, 1, "which is in the trail");
        is_told("nft[4242]", "with who it was");
        is_network("web", "up isolated", "the sandbox is up");
        fake_host_take_rules(NULL);
        settle();
        are_rules("other", "mirror", "so are they when all are flushed");
        forget_leak();
        tap_is_int(count_repairs("done") - before, 2, "which is in the trail");
        fake_host_take_rules("0123456789ab");
        settle();
        tap_is_int(count_repairs("done") - before, 2,
                   "a change that leaves them as they are is none of fluid's business");
        is_well("all is well");
}

static void test_rules_refused(void)
{
        unsigned failed = count_repairs("failed"), done = count_repairs("done");
        Sandbox *s;

        need(take_snapshot("web", "s"), "snapshot");
        fake_host_set_firewall(false);
        fake_host_take_rules(id_of("web"));
        settle();
        tap_ok(is_cut_off((void *) "web") && is_cut_off((void *) "other"),
               "where rules cannot be put back all sandboxes are cut off");
        tap_ok(!link_of("web").is_up && !link_of("other").is_up, "their taps are down");
        tap_ok(*network_of("web").reason && *manager_network_fault(fixture.manager),
               "it is said why");
        is_refused(sandbox_create(fixture.manager, &fixture.caller,
                                  &(SandboxSpec){.template = "base", .network = "isolated"}, &s,
                                  fresh_fault()),
                   FAULT_NETWORK_FAILED, "no other gets a network");
        for (uint64_t end = now_monotonic_usec() + 500 * USEC_PER_MSEC; now_monotonic_usec() < end;)
                need(sd_event_run(fixture.event, 50 * USEC_PER_MSEC), "sd_event_run");
        tap_is_int(count_repairs("failed") - failed, 1,
                   "that is in the trail once, however often it is tried again");
        is_done(restore_snapshot("web", "s"), "one that is restored meanwhile boots");
        tap_ok(!has_cable("web"), "but not with its network");
        need(stop_sandbox("other", true), "stop");
        is_refused(start_sandbox("other"), FAULT_NETWORK_FAILED, "what has a network cannot start");
        tap_is_str(state_of("other"), "stopped", "and does not");
        fake_host_set_firewall(true);
        comes_to(is_up, "web", "when they can be put back all is up again");
        tap_is_str(manager_network_fault(fixture.manager), "", "and nothing is wrong any more");
        tap_is_int(count_repairs("done") - done, 1, "which is in the trail");
        need(start_sandbox("other"), "start");
        is_network("other", "up mirror", "what was stopped meanwhile, too");
        is_well("all is well");
}

/* Flushed between the look at them and the start. */
static void test_started_without(void)
{
        need(stop_sandbox("web", true), "stop");
        fake_host_hold(true);
        need(sandbox_start(get_sandbox("web"), &fixture.caller, fresh_fault()), "start");
        until_held(1);
        fake_host_set_firewall(false);
        fake_host_take_rules(NULL);
        (void) until(is_cut_off, (void *) "web");
        fake_host_hold(false);
        settle();
        tap_ok(is_cut_off((void *) "web") && has_cable("web") && !link_of("web").is_up,
               "one that was just starting when rules went is cut off as soon as it has a tap");
        fake_host_set_firewall(true);
        comes_to(is_up, "web", "until they are there");
        forget_leak();
        is_well("all is well");
        need(stop_sandbox("web", true), "stop");
        fake_host_hold(true);
        need(sandbox_start(get_sandbox("web"), &fixture.caller, fresh_fault()), "start");
        until_held(1);
        fake_host_fail_next("firewall_verify", FAULT_IO);
        fake_host_hold(false);
        tap_ok(until(is_cut_off_and_down, (void *) "web"),
               "so is one whose rules cannot be read back when it has started");
        comes_to(is_up, "web", "until they can");
        is_well("all is well");
}

/* What was to go is in the kernel still. */
static void test_not_removed(void)
{
        need(create_networked("gone", "isolated", NULL), "create");
        fake_host_set_firewall(false);
        is_done(destroy_sandbox("gone"), "a sandbox is destroyed whose rules the kernel keeps");
        fake_host_set_firewall(true);
        settle_networks();
        tap_is_int(fake_host_count_rules(), 2, "they go later");
        is_well("all is well");
}

/* -- links ------------------------------------------------------------------------------------ */

static void test_link(void (*spoil)(Link *link), const char *told, const char *sentence)
{
        unsigned before = count_repairs("done");
        Link link = link_of("web"), right = link, found;

        spoil(&link);
        fake_host_change_link(link.name, &link);
        settle();
        found = link_of("web");
        tap_ok(found.is_up && found.is_isolated && g_str_equal(found.master, right.master) &&
                       memcmp(found.mac, right.mac, MAC_SIZE) == 0,
               "%s", sentence);
        tap_is_int(count_repairs("done") - before, 1, "which is in the trail");
        is_told(told, "and what it was");
}

static void move_away(Link *link)
{
        (void) g_strlcpy(link->master, "br0", sizeof link->master);
        link->is_isolated = false;
}

static void connect_all(Link *link)
{
        link->is_isolated = false;
}

static void give_mac(Link *link)
{
        link->mac[5] ^= 1;
}

static void test_links(void)
{
        unsigned failed = count_repairs("failed");
        Link link;

        test_link(move_away, "moved", "a tap that somebody moves is put back");
        test_link(connect_all, "not isolated", "one that is not isolated any more is");
        test_link(give_mac, "another MAC", "one with another MAC has its own again");
        forget_leak();
        link = link_of("web");
        move_away(&link);
        fake_host_fail_next("links_set_port", FAULT_IO);
        fake_host_change_link(link.name, &link);
        tap_ok(until(is_cut_off_and_down, (void *) "web"),
               "where it cannot be put back the sandbox is cut off");
        tap_ok(is_up((void *) "other"), "and nobody else");
        tap_is_int(count_repairs("failed") - failed, 1, "which is in the trail");
        link = link_of("web");
        link.is_up = true;
        fake_host_change_link(link.name, &link);
        comes_to(is_up, "web", "when it can, it is up again");
        is_network("web", "up isolated", "and says so");
        forget_leak();
        is_well("all is well");
}

/* A sandbox that is cut off is so whoever sets its tap up. */
static void test_set_up(void)
{
        Link link;

        fake_host_set_firewall(false);
        fake_host_take_rules(id_of("web"));
        settle();
        link = link_of("web");
        link.is_up = true;
        fake_host_change_link(link.name, &link);
        settle();
        tap_ok(!link_of("web").is_up, "the tap of one that is cut off cannot be set up");
        fake_host_set_firewall(true);
        comes_to(is_up, "web", "until its rules are there");
        is_well("all is well");
}

static void test_gone(void)
{
        g_autofree char *interface = g_strdup(network_of("web").interface);

        fake_host_remove_link(interface);
        settle();
        is_network("web", "up isolated", "a sandbox whose tap is deleted gets another one");
        is_well("all is well");
        fake_host_remove_link("fluidbr0");
        settle();
        settle_networks();
        is_network("web", "up isolated", "one whose bridge is deleted is on another one");
        is_network("other", "up mirror", "and so are all");
        forget_leak();
        is_well("all is well");
        stop_manager();
        fake_host_remove_link("fluidbr0");
        start_manager();
        settle_networks();
        is_well("so is one whose bridge was deleted while the daemon was not there");
}

static void test_overrun(void)
{
        g_autofree char *interface = g_strdup(network_of("web").interface);
        Link link = link_of("other");

        fake_host_take_rules(id_of("web"));
        fake_host_remove_link(interface);
        connect_all(&link);
        fake_host_change_link(link.name, &link);
        fake_host_overrun();
        settle();
        is_network("web", "up isolated", "when news are lost all is looked at");
        tap_ok(link_of("other").is_isolated, "each tap");
        settle_networks();
        forget_leak();
        is_well("all is well");
        fake_host_remove_link("fluidbr0");
        fake_host_overrun();
        settle();
        settle_networks();
        forget_leak();
        is_well("the bridge, too");
}

/* -- restarts --------------------------------------------------------------------------------- */

static void test_restarts(void)
{
        unsigned before = count_repairs(NULL);
        g_autofree char *address = g_strdup(network_of("web").address);

        fake_host_set_connected(false);
        settle();
        fake_host_set_connected(true);
        settle();
        is_network("web", "up isolated", "when libvirtd was away all is as it was");
        fake_host_set_connected(false);
        settle();
        fake_host_set_domain(id_of("web"), DOMAIN_SHUT_OFF);
        fake_host_set_domain(id_of("web"), DOMAIN_RUNNING);
        tap_is_int(fake_host_nics(id_of("web")), 0, "a guest was switched off and on meanwhile");
        fake_host_set_connected(true);
        settle();
        is_network("web", "up isolated", "it gets its NIC again");
        is_well("all is well");
        fake_host_trace(true);
        restart_manager();
        is_network("web", "up isolated", "so it is after a restart");
        tap_is_str(network_of("web").address, address, "it has the same address");
        tap_ok(!was_called("hypervisor_detach_nic") && has_cable("web"), "and the same NIC");
        tap_is_int(count_repairs(NULL) - before, 0, "nothing had to be put right");
        is_well("all is well");
        stop_manager();
        fake_host_take_rules(NULL);
        start_manager();
        forget_leak();
        are_rules("web", "isolated 0.0.0.0:8080:80/tcp",
                  "rules that were flushed meanwhile are there again");
        is_well("all is well");
}

static void test_restart_refused(void)
{
        stop_manager();
        fake_host_take_rules(NULL);
        fake_host_set_firewall(false);
        start_manager();
        tap_ok(is_cut_off((void *) "web") && !link_of("web").is_up,
               "where they cannot be loaded at the start sandboxes are cut off");
        tap_is_str(state_of("web"), "ready", "and run on");
        restart_manager();
        tap_ok(is_cut_off((void *) "web") && !link_of("web").is_up,
               "another start changes nothing");
        fake_host_set_firewall(true);
        comes_to(is_up, "web", "until the rules can be loaded");
        settle_networks();
        is_network("other", "up mirror", "then all are up");
        forget_leak();
        is_well("all is well");
        fake_host_set_firewall(false);
        fake_host_take_rules(id_of("web"));
        settle();
        stop_manager();
        fake_host_set_firewall(true);
        start_manager();
        settle_networks();
        is_network("web", "up isolated", "one that was cut off by a daemon is let on by the next");
        is_well("all is well");
}

/* -- what the host is in ------------------------------------------------------------------------
 */

static bool is_kept_from(void *range)
{
        g_autofree char *local = fake_host_local();

        return strstr(local, range);
}

static void test_host_networks(void)
{
        fake_host_set_network("198.51.100.0/24");
        settle();
        tap_ok(is_kept_from((void *) "198.51.100.0/24"),
               "sandboxes are kept from a network that this host came into");
        fake_host_fail_next("links_networks", FAULT_IO);
        fake_host_set_network("203.0.113.0/24");
        tap_ok(until(is_cut_off, (void *) "web"), "where that is not known they are cut off");
        comes_to(is_kept_from, "203.0.113.0/24", "until it is");
        comes_to(is_up, "web", "then they are up");
        fake_host_set_network(NULL);
        settle();
        tap_ok(!is_kept_from((void *) "203.0.113.0/24"), "one that it left is like any other");
        is_well("all is well");
}

static void test_collision(void)
{
        fake_host_set_network("10.213.1.0/24");
        restart_manager();
        tap_ok(strstr(manager_network_fault(fixture.manager), "10.213.1.0/24"),
               "where this host has a route to network_range there is no network, and that is said");
        is_refused(create_networked("new", "isolated", NULL), FAULT_NETWORK_FAILED,
                   "nobody gets one");
        fake_host_set_network(NULL);
        settle();
        tap_is_str(manager_network_fault(fixture.manager), "", "when it has none there is");
        settle_networks();
        is_well("all is well");
}

static void test_starting(void)
{
        Sandbox *s;

        stop_manager();
        fake_host_hold(true);
        need(manager_new(fixture.event, new_config(fixture.settings), &fixture.manager,
                         &fixture.fault),
             "manager_new");
        watch_objects();
        tap_ok(!manager_is_starting(fixture.manager), "without libvirtd nothing is set up");
        until_held(2);
        tap_ok(manager_is_starting(fixture.manager), "when it is there the network is");
        is_refused(sandbox_create(fixture.manager, &fixture.caller,
                                  &(SandboxSpec){.template = "base", .network = "isolated"}, &s,
                                  fresh_fault()),
                   FAULT_NETWORK_FAILED, "until then nobody gets one");
        if (!tap_ok(strstr(fixture.fault.message, "being set up"), "and it is said why"))
                tap_note("%s", fixture.fault.message);
        fake_host_hold(false);
        settle();
        tap_ok(!manager_is_starting(fixture.manager), "then it is done");
        settle_networks();
        is_well("all is well");
}

/* -- networks.conf ------------------------------------------------------------------------------
 */

static void reload(const char *networks)
{
        write_networks(networks);
        manager_reload(fixture.manager, new_config(fixture.settings));
        settle();
}

/* One case: what the kernel lets that profile to. */
static void lets_to(const char *profile, const char *expected, const char *sentence)
{
        g_autofree char *text = fake_host_profile(profile);

        if (!tap_ok(text && strstr(text, expected), "%s", sentence))
                tap_note("%s", text ? text : "there is none");
}

static void test_reload(void)
{
        g_autofree char *removed = NULL;

        reload("[mirror]\nallow = 198.51.100.0/24\n[more]\ninternet = yes\n");
        lets_to("mirror", "allow 198.51.100.0/24", "a changed networks.conf is taken up at once");
        is_done(set_network("web", "more", NULL), "with what is new in it");
        reload("[mirror]\nallow = everything\n");
        lets_to("mirror", "allow 198.51.100.0/24", "a broken one changes nothing");
        lets_to("more", "internet", "nothing at all");
        is_network("web", "up more", "and nobody");
        reload("[mirror]\nallow = 198.51.100.0/24\n");
        removed = fake_host_profile("more");
        tap_ok(removed && !strstr(removed, "internet") && !strstr(removed, "allow"),
               "with a profile that is not there any more nothing is reached");
        is_network("web", "up more", "who had it has it still");
        is_refused(set_network("other", "more", NULL), FAULT_INVALID_ARGUMENT,
                   "nobody else can be given it");
        need(stop_sandbox("web", true), "stop");
        is_done(start_sandbox("web"), "it can be started with it");
        restart_manager();
        is_network("web", "up more", "after a restart, too");
        is_done(set_network("web", "isolated", NULL), "and be given another one");
        fake_host_set_firewall(false);
        reload("[mirror]\nallow = 203.0.113.0/24\n");
        lets_to("mirror", "allow 198.51.100.0/24",
                "where the kernel refuses, the old ones are kept");
        fake_host_set_firewall(true);
        reload(NETWORKS);
        lets_to("mirror", "allow 192.0.2.0/24", "until it does not");
        is_well("all is well");
}

/* -- a kernel that cannot -----------------------------------------------------------------------
 */

static void test_without_kernel(void)
{
        stop_manager();
        fake_host_fail_next("links_new", FAULT_IO);
        start_manager();
        tap_ok(*manager_network_fault(fixture.manager),
               "on a host that cannot tell of links there are no networks");
        is_refused(create_networked("new", "isolated", NULL), FAULT_NETWORK_FAILED,
                   "nobody gets one");
        is_done(create_networked("new", "none", NULL), "all else is as ever");
        need(destroy_sandbox("new"), "destroy");
        need(destroy_sandbox("other"), "destroy");
        restart_manager();
        settle_networks();
        is_network("web", "up isolated", "a start on one that can brings them back");
        is_well("all is well");
        need(destroy_sandbox("web"), "destroy");
        is_well("nothing is left");
}

/* -- libvirt's network ------------------------------------------------------------------------ */

static bool has_server(void *userdata)
{
        (void) userdata;
        return fake_host_has_network_server();
}

static bool has_network_fault(void *userdata)
{
        return (*manager_network_fault(fixture.manager) != '\0') ==
               (GPOINTER_TO_INT(userdata) != 0);
}

static void test_server(void)
{
        unsigned before = count_repairs("done"), failed = count_repairs("failed");

        fake_host_end_network_server();
        tap_ok(until(has_server, NULL), "a dnsmasq that was killed is started again");
        settle();
        tap_is_int(count_repairs("done") - before, 1, "which is in the trail");
        is_told("DHCP and DNS server", "in words");
        is_network("web", "up isolated", "no sandbox is cut off meanwhile");
        tap_is_str(manager_network_fault(fixture.manager), "", "nor is a new one refused");

        fake_host_set_foreign_network(true);
        fake_host_end_network_server();
        tap_ok(until(has_network_fault, GINT_TO_POINTER(true)),
               "where that does not work it is said");
        settle();
        is_network("web", "up isolated", "those that have a network keep it");
        is_refused(create_networked("new", "isolated", NULL), FAULT_NETWORK_FAILED,
                   "new ones get none");
        fake_host_set_foreign_network(false);
        tap_ok(until(has_network_fault, GINT_TO_POINTER(false)) && until(has_server, NULL),
               "it is tried again by itself until it works");
        settle();
        tap_is_int(count_repairs("failed") - failed, 1, "the trail has the first failure");
        tap_is_int(count_repairs("done") - before, 2, "and the success");
}

int main(void)
{
        start_fixture(settings);
        prepare();
        test_rules();
        test_rules_refused();
        test_started_without();
        test_not_removed();
        test_links();
        test_set_up();
        test_gone();
        test_overrun();
        test_restarts();
        test_restart_refused();
        test_host_networks();
        test_collision();
        test_server();
        test_starting();
        test_reload();
        test_without_kernel();
        stop_fixture();
        return tap_done();
}
