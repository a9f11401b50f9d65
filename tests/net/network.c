/* SPDX-License-Identifier: MIT */
#include "tests/net/network.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void network_run(const char *format, ...)
{
        va_list args;

        va_start(args, format);
        g_autofree char *command = g_strdup_vprintf(format, args);
        va_end(args);
        if (!network_try(command))
                tap_bail_out(command);
}

bool network_try(const char *command)
{
        return system(command) == 0;
}

void network_enter(int ns)
{
        if (setns(ns, CLONE_NEWNET) < 0)
                tap_bail_out("cannot enter a network namespace");
}

static int new_namespace(void)
{
        if (unshare(CLONE_NEWNET) < 0)
                tap_bail_out("needs root: cannot make a network namespace");
        int ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        if (ns < 0)
                tap_bail_out("cannot open a network namespace");
        network_run("ip link set lo up; echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
        return ns;
}

/* A path that ip(8) takes for a namespace. */
static char *path_of(int ns)
{
        return g_strdup_printf("/proc/%d/fd/%d", (int) getpid(), ns);
}

static void make_bridge(bool is_filtering)
{
        network_run(
                "ip link add fluid0 address 02:fd:0a:7b:00:01 type bridge stp_state 0 mcast_snooping 0");
        network_run("ip addr add 10.123.0.1/16 brd + dev fluid0; ip link set fluid0 up");
        network_run("echo %d > /proc/sys/net/bridge/bridge-nf-call-iptables", is_filtering);
        network_run("echo 1 > /proc/sys/net/ipv4/ip_forward;"
                    "echo 0 > /proc/sys/net/ipv4/icmp_ratelimit;"
                    "echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter;"
                    "echo 1 > /proc/sys/net/ipv4/conf/fluid0/route_localnet");
}

/* No neighbour has to be asked for, so what is seen was caused by a test. */
static void make_uplink(const Network *n)
{
        g_autofree char *lan = path_of(n->lan);

        network_run("ip link add uplink0 address 02:00:00:00:77:01 type veth peer name lan0 "
                    "address 02:00:00:00:77:02 netns %s",
                    lan);
        network_run("ip addr add 192.168.77.1/24 brd + dev uplink0; ip link set uplink0 up;"
                    "ip neigh add 192.168.77.2 lladdr 02:00:00:00:77:02 dev uplink0;"
                    "ip route add default via 192.168.77.2");
        network_enter(n->lan);
        network_run("ip addr add 192.168.77.2/24 brd + dev lan0; ip link set lan0 up;"
                    "ip addr add 9.9.9.9/32 dev lan0; ip addr add 9.9.9.10/32 dev lan0;"
                    "ip neigh add 192.168.77.1 lladdr 02:00:00:00:77:01 dev lan0;"
                    "ip route add 10.123.0.0/16 via 192.168.77.1;"
                    "echo 0 > /proc/sys/net/ipv4/icmp_ratelimit");
        network_enter(n->host);
}

Network *network_new(bool is_isolated, bool is_filtering)
{
        Network *n = g_new0(Network, 1);

        n->place = (AttackPlace){
                .mac = {2, 0xfd, 10, 123, 0, 2},
                .peer_mac = {2, 0xfd, 10, 123, 0, 3},
                .gateway_mac = {2, 0xfd, 10, 123, 0, 1},
                .address = NETWORK_SANDBOX,
                .peer_address = NETWORK_PEER,
                .gateway = NETWORK_GATEWAY,
                .host_address = NETWORK_HOST,
                .lan_host = NETWORK_LAN,
                .range_last = NETWORK_RANGE | 0xffff,
                .lan_last = 0xc0a84dff,
        };
        for (size_t i = 0; i < 2; i++)
                n->taps[i] = n->guests[i] = -1;
        n->directory = g_dir_make_tmp("fluid-net-XXXXXX", NULL);
        n->lan = new_namespace();
        n->host = new_namespace();
        make_bridge(is_filtering);
        make_uplink(n);
        network_run("echo %s > %s/port", is_isolated ? "isolated on" : "isolated off",
                    n->directory);
        return n;
}

Network *network_free(Network *n)
{
        if (!n)
                return NULL;
        for (size_t i = 0; i < 2; i++) {
                (void) close_fd(n->taps[i]);
                (void) close_fd(n->guests[i]);
        }
        (void) close_fd(n->lan);
        (void) close_fd(n->host);
        (void) remove_tree(n->directory, NULL);
        g_free(n->directory);
        g_free(n);
        return NULL;
}

static void join_bridge(const Network *n, unsigned i)
{
        network_run("ip link set fl-%012x master fluid0 up;"
                    "bridge link set dev fl-%012x $(cat %s/port);"
                    "ip neigh replace 10.123.0.%u lladdr 02:fd:0a:7b:00:%02x dev fluid0",
                    i, i, n->directory, i, i);
}

void network_add_taps(Network *n)
{
        for (unsigned i = 0; i < 2; i++) {
                struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};

                n->taps[i] = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
                (void) g_snprintf(request.ifr_name, IFNAMSIZ, "fl-%012x", i + 2);
                if (n->taps[i] < 0 || ioctl(n->taps[i], TUNSETIFF, &request) < 0)
                        tap_bail_out("cannot make a tap");
                join_bridge(n, i + 2);
        }
        /* Nobody: the same as the attacks' stranger. */
        network_run("ip neigh replace 10.123.0.79 lladdr 02:ba:d0:00:00:01 dev fluid0");
}

void network_add_guests(Network *n)
{
        for (unsigned i = 0; i < 2; i++) {
                n->guests[i] = new_namespace();
                network_enter(n->host);
                g_autofree char *guest = path_of(n->guests[i]);
                network_run("ip link add fl-%012x type veth peer name eth0 "
                            "address 02:fd:0a:7b:00:%02x netns %s",
                            i + 2, i + 2, guest);
                join_bridge(n, i + 2);
                network_enter(n->guests[i]);
                network_run("ip addr add 10.123.0.%u/16 dev eth0; ip link set eth0 up;"
                            "ip route add default via 10.123.0.1",
                            i + 2);
                network_enter(n->host);
        }
}

/* -- the firewall ------------------------------------------------------------------------------ */

Firewall *network_open_firewall(const Network *n)
{
        FirewallSettings settings = {
                .directory = n->directory,
                .bridge = "fluid0",
                .range = {NETWORK_RANGE, 16},
                .gateway = NETWORK_GATEWAY,
                .resolver_port = 5300,
                .resolver_uid = NETWORK_RESOLVER_UID,
        };
        Firewall *fw = NULL;
        Fault f = {0};

        if (firewall_new(&settings, &fw, &f) < 0)
                tap_bail_out(f.message);
        return fw;
}

FirewallSandbox network_sandbox(unsigned i, const char *profile)
{
        static char ids[16][16];
        static unsigned next;
        char *id = ids[next++ % G_N_ELEMENTS(ids)];
        FirewallSandbox s = {
                .id = id,
                .mac = {2, 0xfd, 10, 123, (uint8_t) (i >> 8), (uint8_t) i},
                .address = NETWORK_RANGE + i,
                .profile = profile,
        };

        (void) g_snprintf(id, sizeof ids[0], "%012x", i);
        return s;
}

int network_load(Firewall *fw, const char *profile, const char *peer_profile,
                 const FirewallPort *ports, size_t n_ports, Fault *f)
{
        static const FirewallRule lan_rules[] = {
                {true, {NETWORK_LAN, 32}, IPPROTO_TCP, 80, 81},
                {true, {NETWORK_LAN, 32}, IPPROTO_ICMP, 0, 0},
                {false, {NETWORK_OTHER, 32}, 0, 0, 0},
                {true, {NETWORK_OTHER & ~0xffU, 24}, IPPROTO_UDP, 0, 0},
        };
        static const FirewallProfile profiles[] = {
                {.name = "isolated", .connections_max = 64, .connections_per_sec = 100},
                {.name = "internet",
                 .has_internet = true,
                 .connections_max = 64,
                 .connections_per_sec = 1000},
                {.name = "few",
                 .has_internet = true,
                 .connections_max = 5,
                 .connections_per_sec = 50},
                {.name = "slow",
                 .has_internet = true,
                 .connections_max = 64,
                 .connections_per_sec = 3},
                {.name = "lan",
                 .rules = lan_rules,
                 .n_rules = G_N_ELEMENTS(lan_rules),
                 .connections_max = 64,
                 .connections_per_sec = 1000},
                {.name = "named",
                 .has_names = true,
                 .connections_max = 64,
                 .connections_per_sec = 1000},
        };
        static const AddressRange local[] = {{NETWORK_LAN & ~0xffU, 24}};
        FirewallSandbox sandboxes[] = {network_sandbox(2, profile),
                                       network_sandbox(3, peer_profile)};

        sandboxes[0].ports = ports;
        sandboxes[0].n_ports = n_ports;
        return firewall_load(fw, profiles, G_N_ELEMENTS(profiles), sandboxes, peer_profile ? 2 : 1,
                             local, 1, f);
}
