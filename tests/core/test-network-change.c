/* SPDX-License-Identifier: MIT */

/* A sandbox's network is changed, by its owner; and what is plugged into it, by others. */

#include "tests/core/networks.h"

static const char settings[] = "stop_timeout = 0s\nttl_default = infinity\n";

/* -- another profile -------------------------------------------------------------------------- */

static void test_running(void)
{
        g_autofree char *address = NULL;

        (void) ready_sandbox("web");
        fake_host_trace(true);
        is_done(set_network("web", "isolated", ARGV("8080:80")),
                "one that runs is given a network");
        is_traced(ARGV("firewall_set", "firewall_verify", "hypervisor_attach_nic",
                       "firewall_verify", "links_get", "hypervisor_set_nic_link"),
                  "its cable is plugged in when rules and tap were looked at");
        is_network("web", "up isolated", "it is up");
        are_rules("web", "isolated 0.0.0.0:8080:80/tcp", "with its port");
        address = g_strdup(network_of("web").address);
        fake_host_trace(true);
        is_done(set_network("web", "mirror", NULL), "it is given another profile");
        tap_ok(!was_called("hypervisor_attach_nic"), "which its NIC does not notice");
        are_rules("web", "mirror 0.0.0.0:8080:80/tcp", "its rules are others, its ports stay");
        tap_is_str(network_of("web").address, address, "and so does its address");
        is_done(set_network("web", "mirror", ARGV("127.0.0.1:90:90/udp")), "other ports");
        are_rules("web", "mirror 127.0.0.1:90:90/udp", "it has these");
        is_done(set_network("web", "mirror", ARGV(NULL)), "or none");
        are_rules("web", "mirror", "it has none");
        fake_host_trace(true);
        is_done(set_network("web", "none", NULL), "its network is taken away");
        is_traced(ARGV("firewall_remove", "hypervisor_detach_nic"),
                  "it is mute before its NIC goes");
        is_network("web", "none none", "it has none");
        tap_is_int(fake_host_nics(id_of("web")), 0, "nor a NIC");
        is_done(set_network("web", "none", NULL), "which can be said again");
        is_done(set_network("web", "mirror", NULL), "it is given one again");
        is_network("web", "up mirror", "and is up");
        tap_ok(count_audit("sandbox.network", "done", "") == 7, "all of it is in the trail");
        is_well("all is well");
        restart_manager();
        is_network("web", "up mirror", "a restart keeps it");
        is_well("all is well");
}

static void test_refused(void)
{
        g_autofree char *before = describe_world();

        is_refused(set_network("web", "other", NULL), FAULT_INVALID_ARGUMENT,
                   "there is no profile that networks.conf has not");
        is_refused(set_network("web", "secret", NULL), FAULT_DENIED, "some are for root alone");
        is_refused(set_network("web", "isolated", ARGV("x")), FAULT_INVALID_ARGUMENT,
                   "what is no port is refused");
        is_refused(set_network("web", "none", ARGV("80:80")), FAULT_INVALID_ARGUMENT,
                   "so is one without a network");
        need(create_networked("other", "isolated", ARGV("80:80")), "create");
        is_refused(set_network("web", "isolated", ARGV("80:81")), FAULT_EXISTS,
                   "so is another sandbox's");
        need(destroy_sandbox("other"), "destroy");
        fake_host_set_firewall(false);
        is_refused(set_network("web", "isolated", NULL), FAULT_IO, "so is what the kernel refuses");
        fake_host_set_firewall(true);
        settle_networks();
        is_same_world(before, "nothing came of it");
        tap_is_int(count_repairs(NULL), 0, "nor had anything to be put right");
        is_well("all is well");
}

static void test_states(void)
{
        need(stop_sandbox("web", true), "stop");
        is_done(set_network("web", "isolated", NULL), "one that is stopped is given another one");
        are_rules("web", "isolated", "its rules are there");
        is_done(set_network("web", "none", NULL), "or none");
        are_rules("web", "", "they are gone");
        is_done(set_network("web", "mirror", NULL), "or one again");
        need(start_sandbox("web"), "start");
        is_network("web", "up mirror", "with which it starts");
        need(pause_sandbox("web", false), "pause");
        tap_ok(has_cable("web"), "one that is paused keeps its NIC");
        is_done(set_network("web", "isolated", NULL), "and is given another one");
        is_refused(set_network("web", "none", NULL), FAULT_WRONG_STATE,
                   "which cannot be taken away");
        is_network("web", "up isolated", "it stays");
        restart_manager();
        is_refused(set_network("web", "none", NULL), FAULT_WRONG_STATE, "neither after a restart");
        need(resume_sandbox("web"), "resume");
        is_network("web", "up isolated", "it is resumed with it");
        is_well("all is well");
        need(set_network("web", "none", NULL), "none");
        need(pause_sandbox("web", false), "pause");
        is_done(set_network("web", "mirror", NULL), "a paused one is given a network");
        tap_is_int(fake_host_nics(id_of("web")), 0, "which it does not see yet");
        need(resume_sandbox("web"), "resume");
        is_network("web", "up mirror", "but when it is resumed");
        is_well("all is well");
}

static void test_on_disk(void)
{
        need(pause_sandbox("web", true), "pause");
        is_network("web", "down mirror", "one that is on disk has no NIC");
        is_done(set_network("web", "none", NULL), "its network is taken away");
        need(resume_sandbox("web"), "resume");
        is_network("web", "none none", "it is resumed without");
        need(pause_sandbox("web", true), "pause");
        is_done(set_network("web", "isolated", NULL), "it is given one");
        fake_host_trace(true);
        need(resume_sandbox("web"), "resume");
        is_traced(ARGV("hypervisor_start_domain_from", "hypervisor_attach_nic",
                       "hypervisor_set_nic_link"),
                  "it is resumed without a NIC, and then gets it");
        is_network("web", "up isolated", "it is up");
        is_well("all is well");
}

static void test_busy(void)
{
        g_autofree char *id = g_strdup(id_of("web"));

        fake_host_set_agent(id, false);
        settle();
        is_refused(set_network("web", "mirror", NULL), FAULT_WRONG_STATE,
                   "what is starting cannot be given another one");
        fake_host_set_agent(id, true);
        settle();
        fake_host_set_connected(false);
        settle();
        is_refused(set_network("web", "mirror", NULL), FAULT_WRONG_STATE,
                   "nor what nobody knows where it stands");
        fake_host_set_connected(true);
        settle();
        is_network("web", "up isolated", "it stays as it is");
        fake_host_set_domain(id, DOMAIN_ABSENT);
        settle();
        is_network("web", "down isolated", "one whose domain is gone has no NIC");
        is_done(set_network("web", "none", NULL), "and can be given another one");
        need(destroy_sandbox("web"), "destroy");
        is_well("nothing is left");
}

/* -- names ------------------------------------------------------------------------------------ */

static void is_explained(const char *address, bool is_allowed, const char *why,
                         const char *sentence)
{
        g_autofree char *found = NULL;
        bool was_allowed = !is_allowed;

        need(sandbox_network_explain(get_sandbox("web"), address, 443, "tcp", &was_allowed, &found,
                                     fresh_fault()),
             "explain");
        if (!tap_ok(was_allowed == is_allowed && strstr(found, why), "%s", sentence))
                tap_note("%s", found);
}

static void test_names(void)
{
        g_autofree char *allowed = NULL, *kept = NULL;
        uint32_t address;

        tap_is_int(fake_host_asked(), 53,
                   "the resolver is there before a sandbox is given a profile with names");
        need(create_networked("web", "names", NULL), "create");
        need(address_parse(network_of("web").address, &address, &fixture.fault), "address");
        tap_is_str(fake_host_names(address), "deb.debian.org *.example.com",
                   "the resolver knows which names a sandbox may ask for");
        tap_is_int(fake_host_asked(), 53, "the rules let it ask whom this host asks");
        fake_host_set_upstream(5353);
        tap_is_int(fake_host_asked(), 5353, "also when that changes");
        is_explained("198.51.100.7", false, "", "an address that no name had is not reached");
        tap_is_int(fake_host_resolve(address, "deb.debian.org", 0xc6336407, 60), 0,
                   "an address of one is let to");
        allowed = fake_host_allowed(id_of("web"));
        tap_is_str(allowed, "198.51.100.7", "by the kernel");
        is_explained("198.51.100.7", true, "", "then it is reached");
        tap_ok(fake_host_resolve(address + 1, "deb.debian.org", 0xc6336407, 60) < 0,
               "nobody else is let to it");
        fake_host_set_firewall(false);
        tap_ok(fake_host_resolve(address, "deb.debian.org", 0xc6336408, 60) < 0,
               "nor is it let to what the kernel does not take");
        fake_host_set_firewall(true);
        restart_manager();
        tap_is_str(fake_host_names(address), "deb.debian.org *.example.com",
                   "a restart tells the resolver anew");
        is_explained("198.51.100.7", false, "", "and what it allowed has to be asked for again");
        (void) fake_host_resolve(address, "deb.debian.org", 0xc6336407, 60);
        is_done(set_network("web", "isolated", NULL), "with another profile");
        tap_ok(!fake_host_names(address), "there are no names any more");
        kept = fake_host_allowed(id_of("web"));
        tap_ok(!kept, "nor their addresses");
        is_explained("198.51.100.7", false, "", "it does not reach them");
        need(set_network("web", "names", NULL), "names");
        is_explained("198.51.100.7", false, "", "nor with names again, until it has asked");
        is_done(set_network("web", "none", NULL), "without a network");
        is_refused(sandbox_network_explain(get_sandbox("web"), "198.51.100.7", 443, "tcp",
                                           &(bool){0}, &(char *){0}, fresh_fault()),
                   FAULT_WRONG_STATE, "there is nothing to explain");
        is_well("all is well");
        need(destroy_sandbox("web"), "destroy");
}

/* -- a guest that does not let its NIC go -------------------------------------------------------
 */

static void test_stuck(void)
{
        g_autofree char *before = NULL;

        need(create_networked("web", "isolated", NULL), "create");
        fake_host_set_memory(id_of("web"), "a session");
        before = describe_world();
        fake_host_set_let_go(false);
        is_refused(take_memory_snapshot("web", "s"), FAULT_TIMED_OUT,
                   "no memory is taken of a guest that does not let its NIC go");
        tap_ok(strstr(fixture.fault.message, "none"), "and it is said what helps");
        is_refused(pause_sandbox("web", true), FAULT_TIMED_OUT, "nor is it paused to disk");
        is_same_world(before, "it goes on, with its network");
        is_done(set_network("web", "none", NULL), "its network is taken away all the same");
        is_network("web", "none none", "it has none");
        are_rules("web", "", "nor rules");
        tap_ok(*network_of("web").reason, "and it is said why its NIC is there still");
        tap_ok(fake_host_nics(id_of("web")) == 1 &&
                       fake_host_domain(id_of("web")) == DOMAIN_RUNNING,
               "it runs on");
        is_refused(set_network("web", "isolated", NULL), FAULT_TIMED_OUT,
                   "it cannot be given another one");
        is_network("web", "none none", "and has none");
        are_rules("web", "", "nor rules");
        restart_manager();
        is_network("web", "none none", "a restart changes nothing");
        fake_host_set_let_go(true);
        is_done(set_network("web", "isolated", NULL), "until it lets go");
        is_network("web", "up isolated", "then it is up");
        tap_is_int(fake_host_nics(id_of("web")), 1, "with one NIC");
        is_well("all is well");
        fake_host_set_let_go(false);
        need(set_network("web", "none", NULL), "none");
        need(stop_sandbox("web", true), "stop");
        need(start_sandbox("web"), "start");
        is_well("or until it is started anew");
        fake_host_set_let_go(true);
        tap_is_int(count_repairs(NULL), 0, "nothing of that was a repair");
}

/* -- other people's interfaces ------------------------------------------------------------------
 */

#define THEIRS "52:54:00:00:00:01"

static void test_foreign(void)
{
        unsigned before = count_repairs("done");
        g_autofree char *id = g_strdup(id_of("web"));
        bool is_in = true;

        fake_host_add_nic(id, "default", "vnet7", THEIRS);
        settle();
        tap_is_int(fake_host_nics(id), 0, "an interface that somebody plugs in is taken away");
        tap_is_int(count_repairs("done") - before, 1, "which is in the trail");
        need(set_network("web", "isolated", NULL), "isolated");
        fake_host_add_nic(id, "", "", THEIRS);
        settle();
        tap_ok(fake_host_nics(id) == 1 && has_cable("web"),
               "one of another kind, too; its own stays");
        forget_leak();
        is_well("all is well");
        fake_host_set_let_go(false);
        fake_host_add_nic(id, "default", "vnet7", THEIRS);
        settle();
        tap_ok(fake_host_nic(id, THEIRS, &is_in) && !is_in,
               "where the guest does not let it go its cable is pulled");
        tap_ok(*network_of("web").reason, "and the sandbox says so");
        is_network("web", "up isolated", "its own network is up");
        tap_is_int(count_repairs("failed"), 1, "which is in the trail");
        fake_host_set_connected(false);
        settle();
        fake_host_set_connected(true);
        settle();
        tap_ok(fake_host_nic(id, THEIRS, &is_in) && !is_in, "that stays so");
        tap_is_int(count_repairs("failed"), 1, "without another word");
        fake_host_set_let_go(true);
        restart_manager();
        tap_is_int(fake_host_nics(id), 1, "until it lets go");
        forget_leak();
        is_well("all is well");
}

static void test_foreign_without_cable(void)
{
        g_autofree char *id = g_strdup(id_of("web"));
        unsigned before = count_repairs("failed");

        fake_host_set_let_go(false);
        fake_host_add_nic(id, "", "", THEIRS);
        settle();
        tap_is_int(fake_host_domain(id), DOMAIN_PAUSED,
                   "a guest does not run with an interface that cannot be taken away");
        fake_host_trace(true);
        restart_manager();
        tap_ok(fake_host_domain(id) == DOMAIN_PAUSED && !was_called("hypervisor_resume_domain"),
               "nor after a restart, not for a moment");
        tap_is_int(count_repairs("failed") - before, 2, "which is in the trail each time");
        fake_host_set_let_go(true);
        need(stop_sandbox("web", true), "stop");
        need(start_sandbox("web"), "start");
        is_network("web", "up isolated", "it can be started anew");
        forget_leak();
        is_well("all is well");
}

static void test_foreign_refused(void)
{
        g_autofree char *id = g_strdup(id_of("web"));
        unsigned failed = count_repairs("failed"), done = count_repairs("done");

        fake_host_fail_next("hypervisor_detach_nic", FAULT_HYPERVISOR_FAILED);
        fake_host_add_nic(id, "default", "vnet7", THEIRS);
        settle();
        settle_networks();
        tap_is_int(fake_host_nics(id), 1, "where libvirt does not take it away it is asked again");
        tap_ok(count_repairs("failed") - failed == 1 && count_repairs("done") - done == 1,
               "both are in the trail");
        tap_is_str(network_of("web").reason, "", "then nothing is wrong any more");
        forget_leak();
        is_well("all is well");
}

/* Nobody tells of it. */
static void test_foreign_meanwhile(void)
{
        g_autofree char *id = g_strdup(id_of("web"));

        stop_manager();
        fake_host_add_nic(id, "default", "vnet7", THEIRS);
        start_manager();
        tap_is_int(fake_host_nics(id), 1, "one that came while the daemon was not there goes, too");
        fake_host_set_connected(false);
        settle();
        fake_host_add_nic(id, "default", "vnet7", THEIRS);
        fake_host_set_connected(true);
        settle();
        tap_is_int(fake_host_nics(id), 1, "so does one that came while libvirtd was not");
        need(pause_sandbox("web", false), "pause");
        fake_host_add_nic(id, "default", "vnet7", THEIRS);
        settle();
        tap_is_int(fake_host_nics(id), 2, "a paused guest cannot let it go");
        (void) resume_sandbox("web");
        settle();
        tap_is_int(fake_host_nics(id), 1, "until it is resumed");
        is_network("web", "up isolated", "its own stays");
        forget_leak();
        is_well("all is well");
        need(destroy_sandbox("web"), "destroy");
}

int main(void)
{
        start_fixture(settings);
        test_running();
        test_refused();
        test_states();
        test_on_disk();
        test_busy();
        test_names();
        test_stuck();
        test_foreign();
        test_foreign_without_cable();
        test_foreign_refused();
        test_foreign_meanwhile();
        stop_fixture();
        return tap_done();
}
