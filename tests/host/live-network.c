/* SPDX-License-Identifier: MIT */

/* The network and the NICs of host/hypervisor.h against a real libvirtd and guest, inside
 * tests/env/with-host --no-hostd:
 *
 *     live-network KERNEL INITRD CMDLINE-FILE DISK.qcow2 */

#include "host/network-server.h"
#include "tests/host/live-guest.h"

#include <sys/wait.h>
#include <unistd.h>

#define NETWORK "fluid"
#define BRIDGE  "fluid0"
#define TAP     "fl-0123456789ab"
#define FOREIGN "02:00:00:00:00:99"
#define SYS     "/sys/class/net/"

#define PATIENCE_USEC (20 * USEC_PER_SEC)

static const NetworkSpec spec = {NETWORK, BRIDGE, {0x0ad50000, 20}, 200};

/* -- news ------------------------------------------------------------------------------------- */

static const char *watched_id;
static unsigned n_told; /* how often devices() came for it */

static void on_connected(bool is_connected, void *userdata)
{
        (void) is_connected;
        (void) userdata;
}

static void on_domain(const char *sandbox_id, DomainState state, void *userdata)
{
        (void) sandbox_id;
        (void) state;
        (void) userdata;
}

static void on_devices(const char *sandbox_id, void *userdata)
{
        (void) userdata;
        if (watched_id && g_str_equal(sandbox_id, watched_id))
                n_told++;
}

static const HypervisorObserver observer = {
        .connected = on_connected, .domain = on_domain, .devices = on_devices};

static void forget_news(void)
{
        while (sd_event_run(t.event, 0) > 0)
                ;
        n_told = 0;
}

static void expect_told(const char *what)
{
        uint64_t deadline = now_monotonic_usec() + PATIENCE_USEC;

        while (n_told == 0 && now_monotonic_usec() < deadline)
                (void) sd_event_run(t.event, 100 * USEC_PER_MSEC);
        tap_ok(n_told > 0, "%s", what);
        n_told = 0;
}

/* -- looking ---------------------------------------------------------------------------------- */

static void is_output(const char *command, const char *expected, const char *what)
{
        g_autofree char *output = output_of("%s", command);

        tap_is_str(output, expected, "%s", what);
}

static void is_in_guest(const Guest *g, const char *script, const char *expected, const char *what)
{
        g_autofree char *output = in_guest(g, script);

        tap_is_str(output, expected, "%s", what);
}

static void do_outside(const char *command)
{
        g_autofree char *output = output_of("%s 2>&1", command);

        tap_note("%s: %s", command, output);
}

static void expect_words(int r, const Fault *f, const char *words, const char *what)
{
        tap_ok(r < 0 && f->code == FAULT_HYPERVISOR_FAILED && strstr(f->message, words), "%s",
               what);
        tap_note("%s", f->message);
}

/* -- the network ------------------------------------------------------------------------------ */

static const char numbers[] = "virsh net-uuid " NETWORK "; cat " SYS BRIDGE "/ifindex; "
                              "cat /run/libvirt/network/" NETWORK ".pid";
static const char info[] =
        "virsh net-info " NETWORK " | sed -n 's/^\\(Active\\|Persistent\\|Autostart\\): *//p' | "
        "tr '\\n' ' '";

static void test_making(void)
{
        TIMED("the network is made", hypervisor_ensure_network, t.h, &spec);
        is_output(info, "yes yes no", "it is active and defined, but not to be started by libvirt");
        is_output("cat " SYS BRIDGE "/bridge/stp_state " SYS BRIDGE "/bridge/forward_delay "
                  "/proc/sys/net/ipv6/conf/" BRIDGE "/disable_ipv6 | tr '\\n' ' '",
                  "0 0 1", "its bridge has no spanning tree, no delay and no IPv6");
        is_output("ip -o addr show dev " BRIDGE " | awk '{ print $3, $4 }'", "inet 10.213.0.1/20",
                  "it has the gateway's address and no other");
        is_output("cat " SYS BRIDGE "/address", "02:fd:0a:d5:00:01", "and its MAC");
        is_output("nft list ruleset | wc -l", "0", "libvirt made no rules for it");
        is_output("grep ^dhcp-range /var/lib/libvirt/dnsmasq/" NETWORK ".conf",
                  "dhcp-range=10.213.0.1,static", "DHCP knows reservations alone");
        is_output("wc -l < /var/lib/libvirt/dnsmasq/" NETWORK ".hostsfile", "200",
                  "there are as many as were wanted");

        g_autofree char *before = output_of(numbers);
        TIMED("what is there is left alone", hypervisor_ensure_network, t.h, &spec);
        is_output(numbers, before, "it has the UUID, link and dnsmasq that it had");
}

static void expect_remade(const char *change, const char *what)
{
        do_outside(change);
        TIMED(what, hypervisor_ensure_network, t.h, &spec);
        is_output(info, "yes yes no", "it is active and defined");
        is_output("kill -0 $(cat /run/libvirt/network/" NETWORK ".pid) && "
                  "ip -o addr show dev " BRIDGE " | awk '{ print $3, $4 }'",
                  "inet 10.213.0.1/20", "it has a bridge and a DHCP server");
        is_output("for i in '' --inactive; do virsh net-dumpxml $i " NETWORK
                  " | grep -cE \"isolated='yes'|mode='open'|<host |<range \"; done | tr '\\n' ' '",
                  "202 202", "it is what was wanted, now and when it is started again");
}

static void test_remaking(void)
{
        expect_remade("virsh net-destroy " NETWORK, "a network that was stopped is started");
        expect_remade("virsh net-destroy " NETWORK " && virsh net-undefine " NETWORK,
                      "one that was undefined is made anew");
        expect_remade("virsh net-undefine " NETWORK, "one that lost its definition gets it back");
        expect_remade("ip link delete " BRIDGE, "one whose bridge was deleted is made anew");
        expect_remade("virsh net-dumpxml " NETWORK " | sed \"s/isolated='yes'/isolated='no'/\" > "
                      "/run/edited.xml && virsh net-define /run/edited.xml",
                      "a definition that was edited is put right");
        expect_remade("virsh net-destroy " NETWORK " && virsh net-define /run/edited.xml && "
                      "virsh net-start " NETWORK,
                      "so is one that was started with that");
        expect_remade("virsh net-update " NETWORK " add ip-dhcp-range "
                      "\"<range start='10.213.1.1' end='10.213.1.9'/>\" --live",
                      "a range for everybody is taken away");
        expect_remade("virsh net-autostart " NETWORK, "libvirt is told not to start it");
}

static void on_server_ended(void *userdata)
{
        *(bool *) userdata = true;
}

static void test_server(void)
{
        static const char link[] = "virsh net-uuid " NETWORK "; cat " SYS BRIDGE "/ifindex";
        g_autofree char *before = output_of(link);
        NetworkServer *server = NULL;
        bool has_ended = false;
        Fault f = {0};

        tap_ok(network_server_runs(NETWORK), "the network's dnsmasq runs");
        tap_is_int(network_server_watch(t.event, NETWORK, on_server_ended, &has_ended, &server, &f),
                   0, "and can be watched");
        do_outside("kill -9 $(cat /run/libvirt/network/" NETWORK ".pid)");
        while (!has_ended)
                g_assert(sd_event_run(t.event, UINT64_MAX) >= 0);
        server = network_server_free(server);
        tap_ok(!network_server_runs(NETWORK), "that it was killed is seen");
        tap_ok(network_server_watch(t.event, NETWORK, on_server_ended, &has_ended, &server, &f) <
                               0 &&
                       f.code == FAULT_NOT_FOUND,
               "what does not run is not watched");
        TIMED("it is started again", hypervisor_ensure_network, t.h, &spec);
        tap_ok(network_server_runs(NETWORK), "then it runs");
        is_output(link, before, "its network and bridge are the same");
        g_autofree char *all = output_of(numbers);
        TIMED("and as they should be", hypervisor_ensure_network, t.h, &spec);
        is_output(numbers, all, "so nothing is made anew");
        is_output("wc -l < /var/lib/libvirt/dnsmasq/" NETWORK ".hostsfile", "200",
                  "it knows all leases");
}

/* One that its parent has yet to take notice of still has its number. */
static void test_zombie_server(void)
{
        static const char path[] = "/run/libvirt/network/zombie.pid";
        pid_t pid = fork();
        NetworkServer *server = NULL;
        siginfo_t ended = {0};
        bool has_ended = false;
        Fault f = {0};

        if (pid == 0)
                _exit(0);
        g_assert(waitid(P_PID, (id_t) pid, &ended, WEXITED | WNOWAIT) == 0);
        g_autofree char *text = g_strdup_printf("%d\n", (int) pid);
        g_assert(g_file_set_contents(path, text, -1, NULL));
        tap_ok(!network_server_runs("zombie"), "a zombie does not run");
        tap_ok(network_server_watch(t.event, "zombie", on_server_ended, &has_ended, &server, &f) <
                               0 &&
                       f.code == FAULT_NOT_FOUND,
               "nor is it watched");
        server = network_server_free(server);
        g_assert(waitpid(pid, NULL, 0) == pid && unlink(path) == 0);
}

static void test_refusals(void)
{
        NetworkSpec other = spec;

        do_outside("echo '<network><name>theirs</name><bridge name=\"theirs0\"/></network>' > "
                   "/run/theirs.xml && virsh net-define /run/theirs.xml");
        do_outside("ip link add taken0 type bridge");
        other.name = "theirs";
        other.bridge = "fluid9";
        REFUSED(EXISTS, "another's network is not taken", hypervisor_ensure_network, t.h, &other);
        is_output("virsh net-dumpxml theirs | grep -c theirs0", "1", "it is left alone");
        other.name = "fluid9";
        other.bridge = "theirs0";
        REFUSED(EXISTS, "nor is another network's bridge", hypervisor_ensure_network, t.h, &other);
        other.bridge = "taken0";
        REFUSED(EXISTS, "nor a link that is there", hypervisor_ensure_network, t.h, &other);
        is_output("virsh net-list --all --name | grep -c fluid9; ip -o link show taken0 | wc -l",
                  "0\n1", "nothing was defined, and the link is left alone");
        other.bridge = "fluid9";
        other.leases = 4094;
        REFUSED(INVALID_ARGUMENT, "more leases than addresses are refused",
                hypervisor_ensure_network, t.h, &other);
        do_outside("virsh net-undefine theirs && ip link delete taken0");
}

/* As a DHCP server that libvirt has told to end still does for a moment. */
static void test_held_address(void)
{
        static const char *const holders[] = {"0.5", "600"};
        static const char script[] =
                "import socket, time; s = socket.socket(); "
                "s.setsockopt(socket.IPPROTO_IP, 15, 1); s.bind((\"10.213.0.1\", 53)); s.listen(); "
                "print(\"held\", flush=True); time.sleep(%s)";

        for (size_t i = 0; i < G_N_ELEMENTS(holders); i++) {
                Fault f = {0};
                g_autofree char *program = g_strdup_printf(script, holders[i]);
                do_outside("virsh net-destroy " NETWORK);
                g_autofree char *held =
                        output_of("rm -f /run/held; "
                                  "python3 -c '%s' > /run/held 2>&1 & echo $! > /run/holder; "
                                  "until grep -qs . /run/held; do sleep 0.02; done; cat /run/held",
                                  program);
                tap_is_str(held, "held", "somebody has the DHCP server's address for a while");
                if (i == 0)
                        TIMED("a network whose address is let go of soon is started",
                              hypervisor_ensure_network, t.h, &spec);
                else
                        expect_words(hypervisor_ensure_network(t.h, &spec, &f), &f,
                                     "Address already in use",
                                     "one whose address is held is not, and it is told why");
                do_outside("p=$(cat /run/holder); kill $p 2>/dev/null; "
                           "while kill -0 $p 2>/dev/null; do sleep 0.02; done");
        }
        TIMED("once it is free it is", hypervisor_ensure_network, t.h, &spec);
}

static void test_sizes(void)
{
        static const unsigned sizes[] = {1000, 4000};
        NetworkSpec larger = spec;

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autofree char *lines =
                        g_strdup_printf("%u\ndhcp-lease-max=%u", sizes[i], sizes[i]);
                larger.leases = sizes[i];
                tap_note("%u leases", sizes[i]);
                TIMED("an unused network gets another size", hypervisor_ensure_network, t.h,
                      &larger);
                is_output("cd /var/lib/libvirt/dnsmasq && wc -l < " NETWORK
                          ".hostsfile && grep ^dhcp-lease-max " NETWORK ".conf",
                          lines, "its DHCP server knows them, and gives out as many");
                TIMED("it is found to be so", hypervisor_ensure_network, t.h, &larger);
        }
        TIMED("it gets its first size again", hypervisor_ensure_network, t.h, &spec);
}

/* -- NICs ------------------------------------------------------------------------------------- */

/* The NIC of the lease with that number. */
static DomainNic nic_of(unsigned number, const char *tap)
{
        DomainNic nic = {.network = (char *) NETWORK, .interface = (char *) tap};
        uint8_t mac[MAC_SIZE];

        network_mac(network_address(&spec.range, number), mac);
        mac_format(mac, nic.mac);
        return nic;
}

static void expect_nics(const Guest *g, const char *expected, const char *what)
{
        g_autoptr(GPtrArray) nics = NULL;
        g_autoptr(GString) text = g_string_new(NULL);
        Fault f = {0};

        if (hypervisor_domain_nics(t.h, g->id.text, &nics, &f) < 0)
                tap_note("%s", f.message);
        for (guint i = 0; nics && i < nics->len; i++) {
                const DomainNic *nic = nics->pdata[i];
                g_string_append_printf(text, "%s%s %s %s", i > 0 ? ", " : "", nic->mac,
                                       nic->interface, nic->network);
        }
        tap_is_str(text->str, expected, "%s", what);
}

/* What the guest says of its first NIC once it has an address, or after some seconds. */
static const char address_script[] =
        "i=0; while [ $i -lt 1000 ] && ! ip -4 addr show eth0 2>/dev/null | grep -q inet; do "
        "i=$((i + 1)); usleep 20000; done; ip -4 -o addr show eth0 | awk '{ print $4 }'";

static void expect_address(const Guest *g, const char *expected, const char *what)
{
        uint64_t since = now_monotonic_usec();

        is_in_guest(g, address_script, expected, what);
        tap_note("after %.0f ms", (double) (now_monotonic_usec() - since) / 1000);
}

static void plug_cable(const Guest *g, const DomainNic *nic)
{
        TIMED("its cable is plugged in", hypervisor_set_nic_link, t.h, g->id.text, nic->mac, true);
}

static void expect_port(void)
{
        is_output("cat " SYS TAP "/brport/isolated && basename $(readlink " SYS TAP "/master)",
                  "1\n" BRIDGE, "its tap is an isolated port of the bridge");
}

typedef struct Plug {
        const Guest *guest;
        DomainNic nic;
        Fault fault;
        int result;
} Plug;

static void *plug(void *data)
{
        Plug *q = data;

        q->result = hypervisor_attach_nic(t.h, q->guest->id.text, &q->nic, &q->fault);
        return NULL;
}

static void plug_at_once(const Guest *g, const DomainNic *nic)
{
        Plug plugs[4];
        GThread *threads[G_N_ELEMENTS(plugs)];
        bool good = true;

        for (size_t i = 0; i < G_N_ELEMENTS(plugs); i++) {
                plugs[i] = (Plug){.guest = g, .nic = *nic};
                threads[i] = g_thread_new("plug", plug, &plugs[i]);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(plugs); i++) {
                (void) g_thread_join(threads[i]);
                good = good && plugs[i].result == 0;
                if (plugs[i].result < 0)
                        tap_note("%s", plugs[i].fault.message);
        }
        tap_ok(good, "four at once plug in the same NIC");
}

/* Before its first instruction. */
static void test_boot(const Guest *g, const DomainNic *nic)
{
        DomainNic elsewhere = *nic;

        expect_state(g, DOMAIN_PAUSED, "a domain that boots can be told to stand still");
        expect_nics(g, "", "it has no NIC");
        plug_at_once(g, nic);
        expect_nics(g, "02:fd:0a:d5:00:06 " TAP " " NETWORK, "it is there once");
        expect_port();
        TIMED("plugging it in again is nothing", hypervisor_attach_nic, t.h, g->id.text, nic);
        elsewhere.interface = (char *) "fl-other";
        REFUSED(EXISTS, "one with the same MAC and another tap is refused", hypervisor_attach_nic,
                t.h, g->id.text, &elsewhere);
        REFUSED(WRONG_STATE, "a guest that stands still is not asked to let go of it",
                hypervisor_detach_nic, t.h, g->id.text, nic->mac, PATIENCE_USEC);

        TIMED("the guest boots", hypervisor_resume_domain, t.h, g->id.text);
        is_in_guest(g, "cat /sys/class/net/eth0/address /sys/class/net/eth0/carrier",
                    "02:fd:0a:d5:00:06\n0", "it has the NIC, and no cable in it");
        is_in_guest(g, "ip -4 -o addr show eth0", "", "nor an address");
        plug_cable(g, nic);
        expect_address(g, "10.213.0.6/20", "it is leased the address that is reserved for it");
        is_in_guest(g, "cat /etc/resolv.conf; ip route | sed -n 's/^default //p'",
                    "nameserver 10.213.0.1\nvia 10.213.0.1 dev eth0",
                    "the gateway is its way out and its name server");
        is_in_guest(g, "ping -c 1 -W 5 10.213.0.1 > /dev/null; echo $?", "0",
                    "it reaches the gateway");
}

static void test_link(const Guest *g, const DomainNic *nic)
{
        plug_cable(g, nic);
        TIMED("its cable is pulled", hypervisor_set_nic_link, t.h, g->id.text, nic->mac, false);
        is_in_guest(g,
                    "cat /sys/class/net/eth0/carrier; ping -c 1 -W 1 10.213.0.1 > /dev/null; "
                    "echo $?",
                    "0\n1", "the guest has lost its carrier, and reaches nobody");
        TIMED("pulling it twice is nothing", hypervisor_set_nic_link, t.h, g->id.text, nic->mac,
              false);
        expect_port();
        plug_cable(g, nic);
        is_in_guest(g, "ping -c 1 -W 5 10.213.0.1 > /dev/null; echo $?", "0",
                    "the guest reaches the gateway again");
        REFUSED(NOT_FOUND, "a cable of a NIC that is absent is not", hypervisor_set_nic_link, t.h,
                g->id.text, FOREIGN, true);
}

static void test_busy(const Guest *g)
{
        static const DomainMemory memory = {NULL, DIRECTORY "/refused", DIRECTORY "/refused.xml"};
        NetworkSpec larger = spec;

        larger.leases++;
        REFUSED(BUSY, "a network that is used does not get another size", hypervisor_ensure_network,
                t.h, &larger);
        TIMED("nor is it touched where it is good", hypervisor_ensure_network, t.h, &spec);
        is_in_guest(g, "ping -c 1 -W 5 10.213.0.1 > /dev/null; echo $?", "0",
                    "the guest reaches the gateway all the while");
        REFUSED(WRONG_STATE, "a guest with a NIC is not saved", hypervisor_save_memory, t.h,
                g->id.text, &memory);
}

/* As long as it is stopped, libvirt cannot pull a cable; but then nothing gets through. */
static void test_stopped_network(const Guest *g, const DomainNic *nic)
{
        do_outside("virsh net-destroy " NETWORK);
        TIMED("a network that was stopped under a guest is started", hypervisor_ensure_network, t.h,
              &spec);
        REFUSED(HYPERVISOR_FAILED, "a tap that is in no bridge is not taken for good",
                hypervisor_attach_nic, t.h, g->id.text, nic);
        do_outside("ip link set " TAP " master " BRIDGE);
        REFUSED(HYPERVISOR_FAILED, "nor is one that is not isolated", hypervisor_attach_nic, t.h,
                g->id.text, nic);
        do_outside("bridge link set dev " TAP " isolated on");
        TIMED("one that is both is", hypervisor_attach_nic, t.h, g->id.text, nic);
        is_in_guest(g, "ping -c 1 -W 5 10.213.0.1 > /dev/null; echo $?", "0",
                    "the guest reaches the gateway again");
        NetworkSpec larger = spec;
        larger.leases++;
        REFUSED(BUSY, "the network is still used", hypervisor_ensure_network, t.h, &larger);
        TIMED("its cable is pulled", hypervisor_set_nic_link, t.h, g->id.text, nic->mac, false);
        plug_cable(g, nic);
}

static void test_detach(const Guest *g, const DomainNic *nic)
{
        TIMED("the guest is asked to let go of its NIC", hypervisor_detach_nic, t.h, g->id.text,
              nic->mac, PATIENCE_USEC);
        expect_nics(g, "", "it is gone from the domain");
        is_in_guest(g, "ls /sys/class/net", "lo", "and from the guest");
        tap_ok(access(SYS TAP, F_OK) < 0, "and so is the tap");
        TIMED("that it is gone already is no error", hypervisor_detach_nic, t.h, g->id.text,
              nic->mac, PATIENCE_USEC);
}

/* While it runs: what a sandbox that gets a network late goes through. */
static void test_hotplug(const Guest *g, const DomainNic *nic)
{
        uint64_t since = now_monotonic_usec();

        forget_news();
        TIMED("it is plugged into the running guest", hypervisor_attach_nic, t.h, g->id.text, nic);
        expect_port();
        plug_cable(g, nic);
        expect_address(g, "10.213.0.6/20", "the guest has its address again");
        tap_note("%.0f ms from plug to address", (double) (now_monotonic_usec() - since) / 1000);
        expect_told("the observer is told");
        test_detach(g, nic);
        expect_told("also when it is gone");
}

static void test_foreign(const Guest *g)
{
        g_autofree char *attach =
                g_strdup_printf("virsh attach-interface " DOMAIN_PREFIX "%s network " NETWORK
                                " --model virtio --mac " FOREIGN " --target foreign0 --live",
                                g->id.text);

        forget_news();
        do_outside(attach);
        expect_told("the observer is told of a NIC that somebody else plugs in");
        expect_nics(g, FOREIGN " foreign0 " NETWORK, "it is seen");
        is_output("cat " SYS "foreign0/brport/isolated", "1",
                  "in this network its port is isolated too");
        is_in_guest(g,
                    "i=0; until grep -q 1 /sys/class/net/eth0/carrier || [ $i -gt 1000 ]; do "
                    "i=$((i + 1)); usleep 20000; done; kill $(cat /run/udhcpc.eth0); "
                    "udhcpc -i eth0 -f -q -n "
                    "-t 3 -T 1 -s /bin/true > /dev/null 2>&1; echo $?",
                    "1", "a MAC without a reservation gets no lease");
        TIMED("it is unplugged", hypervisor_detach_nic, t.h, g->id.text, FOREIGN, PATIENCE_USEC);
        expect_told("the observer is told of that");
}

/* One at the side of ours: there is room for both. */
static void test_beside(const Guest *g, const DomainNic *nic)
{
        g_autofree char *attach =
                g_strdup_printf("virsh attach-interface " DOMAIN_PREFIX "%s bridge " BRIDGE
                                " --model virtio --mac " FOREIGN " --target foreign0 --live",
                                g->id.text);

        do_outside(attach);
        TIMED("ours has a place beside a foreign one", hypervisor_attach_nic, t.h, g->id.text, nic);
        expect_nics(g, FOREIGN " foreign0 , 02:fd:0a:d5:00:06 " TAP " " NETWORK,
                    "both are seen, and which is whose");
        TIMED("the foreign one is unplugged", hypervisor_detach_nic, t.h, g->id.text, FOREIGN,
              PATIENCE_USEC);
        TIMED("so is ours", hypervisor_detach_nic, t.h, g->id.text, nic->mac, PATIENCE_USEC);
}

/* A guest whose kernel does not listen. */
static void test_silent(void)
{
        g_autoptr(Guest) g = guest_new("silent", t.template);
        g_autofree char *cmdline = g_strconcat(t.cmdline, " acpiphp.disable=1", NULL);
        DomainNic nic = nic_of(7, "fl-silent");

        g->spec.cmdline = cmdline;
        g->spec.stays_paused = true;
        TIMED("a guest that will be deaf is made", hypervisor_create_domain, t.h, &g->spec, NULL);
        TIMED("it gets a NIC", hypervisor_attach_nic, t.h, g->id.text, &nic);
        TIMED("it boots", hypervisor_resume_domain, t.h, g->id.text);
        plug_cable(g, &nic);
        expect_address(g, "10.213.0.8/20", "it has its address");
        REFUSED(TIMED_OUT, "it does not let go of its NIC", hypervisor_detach_nic, t.h, g->id.text,
                nic.mac, 2500 * USEC_PER_MSEC);
        expect_nics(g, "02:fd:0a:d5:00:08 fl-silent " NETWORK, "which stays");
        is_in_guest(g, "ping -c 1 -W 5 10.213.0.1 > /dev/null; echo $?", "0", "and works");

        TIMED("it is stopped", hypervisor_stop_domain, t.h, g->id.text);
        tap_ok(access(SYS "fl-silent", F_OK) < 0, "the tap goes with it");
        TIMED("what is off has no NIC to let go of", hypervisor_detach_nic, t.h, g->id.text,
              nic.mac, PATIENCE_USEC);
        REFUSED(WRONG_STATE, "nor is one plugged in", hypervisor_attach_nic, t.h, g->id.text, &nic);
        do_outside("mv " DIRECTORY "/silent.qcow2 " DIRECTORY "/away");
        Fault f = {0};
        expect_words(hypervisor_start_domain(t.h, g->id.text, &f), &f, "No such file",
                     "it is not started without its disk, and it is told why");
        do_outside("mv " DIRECTORY "/away " DIRECTORY "/silent.qcow2");
        TIMED("it is started again, to stand still", hypervisor_start_domain_paused, t.h,
              g->id.text);
        expect_state(g, DOMAIN_PAUSED, "it stands still");
        expect_nics(g, "", "and has no NIC: its definition has none");
}

/* A copy of the memory of a guest without a NIC gets one before it goes on. */
static void test_memory(const Guest *source)
{
        static const DomainMemory memory = {NULL, DIRECTORY "/stream", DIRECTORY "/stream.xml"};
        g_autofree char *top = in_directory("web-1.qcow2");
        DomainDisk cut = {.target = (char *) "vda", .path = top};
        DomainNic nic = nic_of(100, "fl-copy");

        TIMED("a guest whose NIC was unplugged is saved", hypervisor_save_memory, t.h,
              source->id.text, &memory);
        TIMED("its disk is cut", hypervisor_cut_disks, t.h, source->id.text, &cut, 1);
        TIMED("it goes on", hypervisor_resume_domain, t.h, source->id.text);

        g_autoptr(Guest) g = guest_new("copy", source->disk.path);
        g->spec.memory = &memory;
        g->spec.stays_paused = true;
        TIMED("a copy is loaded, and stands still", hypervisor_create_domain, t.h, &g->spec, NULL);
        uint64_t since = now_monotonic_usec();
        TIMED("it gets a NIC", hypervisor_attach_nic, t.h, g->id.text, &nic);
        TIMED("its cable is plugged in", hypervisor_set_nic_link, t.h, g->id.text, nic.mac, true);
        TIMED("it goes on", hypervisor_resume_domain, t.h, g->id.text);
        expect_address(g, "10.213.0.101/20", "it is leased the address that is reserved for it");
        tap_note("%.0f ms from plug to address", (double) (now_monotonic_usec() - since) / 1000);
        TIMED("the copy lets go of its NIC", hypervisor_detach_nic, t.h, g->id.text, nic.mac,
              PATIENCE_USEC);
        (void) unlink(top);
}

static void test_machines(void)
{
        static const struct {
                const char *machine, *what;
        } cases[] = {{"pc", "an old machine has room for a NIC"},
                     {"q35", "so has a PCIe machine whose bus is full"}};
        DomainNic nic = nic_of(8, "fl-machine");

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Guest) g = guest_new("machine", t.template);
                g_autofree char *blueprint = g_strdup_printf(
                        "<domain><os><type machine='%s'>hvm</type></os><features><acpi/>"
                        "</features><devices><controller type='scsi' index='0' model='virtio-scsi'"
                        "/><disk device='disk'><target dev='sda' bus='scsi'/></disk></devices>"
                        "</domain>",
                        cases[i].machine);
                g_autofree char *path = in_directory("second.qcow2");
                make_overlay(path, t.template);
                DomainDisk disks[] = {g->disk, {.target = (char *) "vdb", .path = path}};
                disks[0].target = (char *) "sda";
                g->spec.blueprint = blueprint;
                g->spec.disks = disks;
                g->spec.n_disks = G_N_ELEMENTS(disks);
                g->spec.stays_paused = true;
                TIMED("a domain is made", hypervisor_create_domain, t.h, &g->spec, NULL);
                TIMED(cases[i].what, hypervisor_attach_nic, t.h, g->id.text, &nic);
                (void) unlink(path);
        }
}

static void test_nics(void)
{
        g_autoptr(Guest) g = guest_new("web", t.template);
        DomainNic nic = nic_of(5, TAP);

        watched_id = g->id.text;
        g->spec.stays_paused = true;
        TIMED("a domain is made", hypervisor_create_domain, t.h, &g->spec, NULL);
        test_boot(g, &nic);
        test_link(g, &nic);
        test_busy(g);
        test_stopped_network(g, &nic);
        test_detach(g, &nic);
        test_hotplug(g, &nic);
        test_hotplug(g, &nic);
        test_foreign(g);
        test_beside(g, &nic);
        test_memory(g);
        watched_id = NULL;
}

int main(int argc, char **argv)
{
        set_up(argc, argv, &observer);
        test_making();
        test_remaking();
        test_server();
        test_zombie_server();
        test_refusals();
        test_held_address();
        test_sizes();
        test_nics();
        test_silent();
        test_machines();
        tear_down();
        return tap_done();
}
