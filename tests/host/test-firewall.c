/* SPDX-License-Identifier: MIT */

/* The parts of host/firewall.h that need no kernel: what is refused, and what texts are made. */

#include "base/cleanup.h"
#include "host/firewall-private.h"
#include "host/firewall-text.h"
#include "tests/tap.h"

#include <errno.h>
#include <linux/netfilter.h>

#define RANGE 0x0a7b0000U

static Firewall *open_firewall(void)
{
        FirewallSettings settings = {.directory = "/tmp/fluid-unused",
                                     .bridge = "fluid0",
                                     .range = {RANGE, 16},
                                     .gateway = RANGE + 1,
                                     .resolver_port = 5300};
        Firewall *fw = NULL;
        Fault f = {0};

        if (firewall_new(&settings, &fw, &f) < 0)
                tap_bail_out(f.message);
        return fw;
}

static void test_settings(void)
{
        static const struct {
                const char *what;
                FirewallSettings settings;
        } rows[] = {
                {"a bridge's name with a quote",
                 {"/tmp/x", "a\"; drop", {RANGE, 16}, RANGE + 1, 5300, 0}},
                {"a bridge's name with a wildcard",
                 {"/tmp/x", "f*", {RANGE, 16}, RANGE + 1, 5300, 0}},
                {"a bridge's name that is too long",
                 {"/tmp/x", "sixteencharacter", {RANGE, 16}, RANGE + 1, 5300, 0}},
                {"a bridge that is called like a tap",
                 {"/tmp/x", "fl-0", {RANGE, 16}, RANGE + 1, 5300, 0}},
                {"lo as bridge", {"/tmp/x", "lo", {RANGE, 16}, RANGE + 1, 5300, 0}},
                {"no bridge", {"/tmp/x", "", {RANGE, 16}, RANGE + 1, 5300, 0}},
                {"a directory with a wildcard",
                 {"/tmp/*", "fluid0", {RANGE, 16}, RANGE + 1, 5300, 0}},
                {"a directory with a quote",
                 {"/tmp/\"x", "fluid0", {RANGE, 16}, RANGE + 1, 5300, 0}},
                {"a relative directory", {"x", "fluid0", {RANGE, 16}, RANGE + 1, 5300, 0}},
                {"a gateway outside the range",
                 {"/tmp/x", "fluid0", {RANGE, 16}, RANGE - 1, 5300, 0}},
                {"a range of one address",
                 {"/tmp/x", "fluid0", {RANGE + 1, 32}, RANGE + 1, 5300, 0}},
                {"DNS's own port for the resolver",
                 {"/tmp/x", "fluid0", {RANGE, 16}, RANGE + 1, 53, 0}},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                Firewall *fw = NULL;
                Fault f = {0};
                tap_ok(firewall_new(&rows[i].settings, &fw, &f) == -EINVAL && !fw,
                       "%s is refused: %s", rows[i].what, f.message);
        }
}

static void test_profiles(void)
{
        static const FirewallRule ports_of_icmp = {true, {0, 0}, IPPROTO_ICMP, 1, 2};
        static const FirewallRule ports_of_any = {true, {0, 0}, 0, 1, 2};
        static const FirewallRule backwards = {true, {0, 0}, IPPROTO_TCP, 9, 2};
        static const FirewallRule from_zero = {true, {0, 0}, IPPROTO_TCP, 0, 2};
        static const FirewallRule other_protocol = {true, {0, 0}, 47, 0, 0};
        static const FirewallRule long_prefix = {true, {0, 33}, 0, 0, 0};
        static const struct {
                const char *what;
                FirewallProfile profile;
        } rows[] = {
                {"a profile's name with a brace", {"a } x", false, false, NULL, 0, 1, 1}},
                {"a profile's name with a newline", {"a\nx", false, false, NULL, 0, 1, 1}},
                {"a profile's name in capitals", {"Abc", false, false, NULL, 0, 1, 1}},
                {"a profile without a name", {"", false, false, NULL, 0, 1, 1}},
                {"a profile's name of 32 characters",
                 {"abcdefghijklmnopqrstuvwxyzabcdef", false, false, NULL, 0, 1, 1}},
                {"no connections", {"a", false, false, NULL, 0, 0, 1}},
                {"no new connections", {"a", false, false, NULL, 0, 1, 0}},
                {"ports of ICMP", {"a", false, false, &ports_of_icmp, 1, 1, 1}},
                {"ports of any protocol", {"a", false, false, &ports_of_any, 1, 1, 1}},
                {"ports backwards", {"a", false, false, &backwards, 1, 1, 1}},
                {"ports from 0", {"a", false, false, &from_zero, 1, 1, 1}},
                {"another protocol", {"a", false, false, &other_protocol, 1, 1, 1}},
                {"a prefix of 33 bits", {"a", false, false, &long_prefix, 1, 1, 1}},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(Model) m = model_new();
                Fault f = {0};
                tap_ok(model_add_profile(m, &rows[i].profile, &f) == -EINVAL, "%s: refused: %s",
                       rows[i].what, f.message);
        }
}

static void test_compiled(void)
{
        static const FirewallRule rules[] = {
                {true, {0xc0a80105, 32}, IPPROTO_TCP, 80, 80},
                {false, {0xc0a80100, 24}, 0, 0, 0},
                {true, {0, 0}, IPPROTO_UDP, 1000, 2000},
                {true, {0x08080000, 16}, IPPROTO_ICMP, 0, 0},
        };
        FirewallProfile profile = {.name = "all-of-it",
                                   .has_internet = true,
                                   .has_names = true,
                                   .rules = rules,
                                   .n_rules = G_N_ELEMENTS(rules),
                                   .connections_max = 1,
                                   .connections_per_sec = 1};
        g_autoptr(Model) m = model_new();
        g_autoptr(GString) text = g_string_new(NULL);

        (void) model_add_profile(m, &profile, NULL);
        compose_profile(g_hash_table_lookup(m->profiles, "all-of-it"), text);
        tap_is_str(text->str,
                   "\tchain profile-all-of-it {\n"
                   "\t\tct original ip daddr 192.168.1.5/32 meta l4proto tcp ct original proto-dst "
                   "80 goto allowed\n"
                   "\t\tct original ip daddr 192.168.1.0/24 goto refused\n"
                   "\t\tmeta l4proto udp ct original proto-dst 1000-2000 goto allowed\n"
                   "\t\tct original ip daddr 8.8.0.0/16 meta l4proto icmp goto allowed\n"
                   "\t\tct original ip saddr . ct original ip daddr @names goto allowed\n"
                   "\t\tct status & confirmed != 0 ct original ip saddr . ct original ip daddr "
                   "@named goto allowed\n"
                   "\t\tct original ip daddr & 255.0.0.0 != { 0.0.0.0, 10.0.0.0, 100.0.0.0, "
                   "127.0.0.0, 168.0.0.0, 169.0.0.0, 172.0.0.0, 192.0.0.0, 198.0.0.0, 203.0.0.0, "
                   "224.0.0.0, 225.0.0.0, 226.0.0.0, 227.0.0.0, 228.0.0.0, 229.0.0.0, 230.0.0.0, "
                   "231.0.0.0, 232.0.0.0, 233.0.0.0, 234.0.0.0, 235.0.0.0, 236.0.0.0, 237.0.0.0, "
                   "238.0.0.0, 239.0.0.0, 240.0.0.0, 241.0.0.0, 242.0.0.0, 243.0.0.0, 244.0.0.0, "
                   "245.0.0.0, 246.0.0.0, 247.0.0.0, 248.0.0.0, 249.0.0.0, 250.0.0.0, 251.0.0.0, "
                   "252.0.0.0, 253.0.0.0, 254.0.0.0, 255.0.0.0 } ct original ip daddr != @local "
                   "goto allowed\n"
                   "\t\tct original ip daddr != @special ct original ip daddr != @local goto "
                   "allowed\n"
                   "\t\tgoto refused\n"
                   "\t}\n",
                   "a profile is compiled in the order that is promised");
}

static void test_resolver(void)
{
        static const FirewallSettings settings = {"/tmp/x",  "fluid0", {RANGE, 16},
                                                  RANGE + 1, 5300,     65000};
        const ResolverUpstream upstreams[] = {
                {.family = AF_INET, .port = htons(53), .address.v4 = {htonl(0xc0000235)}},
                {.family = AF_INET6, .port = htons(5353), .address.v6 = IN6ADDR_LOOPBACK_INIT}};
        g_autoptr(Firewall) fw = NULL;
        g_autoptr(GString) text = g_string_new(NULL), tables = g_string_new(NULL);

        g_assert(firewall_new(&settings, &fw, NULL) == 0);
        compose_tables(fw, fw->model, tables);
        tap_ok(strstr(tables->str, "\t\tmeta skuid 65000 goto from-resolver\n") &&
                       strstr(tables->str, "chain asking {\n\t\t\n\t}"),
               "the resolver's user is held to its chain, and asks nobody");
        (void) firewall_set_upstreams(fw, upstreams, 2, NULL);
        compose_upstreams(fw, "add ", text);
        tap_is_str(text->str,
                   "add ip daddr 192.0.2.53 udp dport 53 accept\n"
                   "add ip daddr 192.0.2.53 tcp dport 53 accept\n"
                   "add ip6 daddr ::1 udp dport 5353 accept\n"
                   "add ip6 daddr ::1 tcp dport 5353 accept\n",
                   "whom it asks is one rule for each protocol");
        fw->resolver_uid = 0;
        (void) g_string_truncate(tables, 0);
        compose_tables(fw, fw->model, tables);
        tap_ok(!strstr(tables->str, "skuid"), "where it has no user, root is not held to it");
}

static FirewallSandbox honest(void)
{
        return (FirewallSandbox){.id = "0123456789ab",
                                 .mac = {2, 0xfd, 10, 123, 0, 2},
                                 .address = RANGE + 2,
                                 .profile = "plain"};
}

static Model *model_with_profiles(void)
{
        static const FirewallProfile plain = {
                .name = "plain", .connections_max = 5, .connections_per_sec = 7};
        static const FirewallProfile other = {
                .name = "other", .has_names = true, .connections_max = 5, .connections_per_sec = 8};
        Model *m = model_new();

        (void) model_add_profile(m, &plain, NULL);
        (void) model_add_profile(m, &other, NULL);
        return m;
}

static void refuses(const Firewall *fw, const Model *m, FirewallSandbox s, const char *what)
{
        Sandbox *made = NULL;
        Fault f = {0};

        tap_ok(sandbox_new(fw, m, &s, &made, &f) < 0 && !made, "%s is refused: %s", what,
               f.message);
}

static void test_sandboxes(const Firewall *fw)
{
        static const FirewallPort no_port = {IPPROTO_TCP, 0, 0, 80};
        static const FirewallPort no_sandbox_port = {IPPROTO_TCP, 0, 80, 0};
        static const FirewallPort of_icmp = {IPPROTO_ICMP, 0, 80, 80};
        static const FirewallPort twice[] = {{IPPROTO_TCP, 0, 80, 80}, {IPPROTO_TCP, 0, 80, 81}};
        g_autoptr(Model) m = model_with_profiles();
        FirewallSandbox s;

        static const char *const ids[] = {
                "", "0123456789a", "0123456789abc", "0123456789AB", "\" } drop {12", "../etc/pass"};
        for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
                s = honest();
                s.id = ids[i];
                refuses(fw, m, s, "an id that is none");
        }
        static const uint32_t addresses[] = {
                0, RANGE, RANGE + 1, RANGE | 0xffff, RANGE + 0x10000, RANGE - 1};
        for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++) {
                s = honest();
                s.address = addresses[i];
                refuses(fw, m, s, "an address that cannot be a sandbox's");
        }
        s = honest();
        s.profile = "none\n";
        refuses(fw, m, s, "a profile that is not there");
        s = honest();
        s.mac[0] = 1;
        refuses(fw, m, s, "a group's MAC");
        s = honest();
        memset(s.mac, 0, MAC_SIZE);
        refuses(fw, m, s, "no MAC");
        const struct {
                const char *what;
                const FirewallPort *ports;
                size_t n;
        } ports[] = {{"host port 0", &no_port, 1},
                     {"sandbox port 0", &no_sandbox_port, 1},
                     {"a port of ICMP", &of_icmp, 1},
                     {"a port that is published twice", twice, 2}};
        for (size_t i = 0; i < G_N_ELEMENTS(ports); i++) {
                s = honest();
                s.ports = ports[i].ports;
                s.n_ports = ports[i].n;
                refuses(fw, m, s, ports[i].what);
        }
}

static void test_change(const Firewall *fw)
{
        static const FirewallPort port = {IPPROTO_TCP, 0x7f000001, 8080, 80};
        g_autoptr(Model) m = model_with_profiles();
        g_autoptr(Sandbox) old = NULL, next = NULL;
        g_autoptr(GString) text = g_string_new(NULL);
        FirewallSandbox s = honest();

        (void) sandbox_new(fw, m, &s, &old, NULL);
        s.profile = "other";
        s.ports = &port;
        s.n_ports = 1;
        (void) sandbox_new(fw, m, &s, &next, NULL);
        compose_change(old, old, text);
        tap_is_str(text->str, "", "nothing changes where nothing did");
        compose_change(old, next, text);
        tap_is_str(text->str,
                   "delete element inet fluid rate { 10.123.0.2 limit rate over 7/second burst 7 "
                   "packets }\n"
                   "delete element inet fluid reach { 10.123.0.2 : goto profile-plain }\n"
                   "add element inet fluid rate { 10.123.0.2 limit rate over 8/second burst 8 "
                   "packets }\n"
                   "add element inet fluid reach { 10.123.0.2 : goto profile-other }\n"
                   "add element inet fluid resolved { 10.123.0.2 }\n"
                   "add element inet fluid published { tcp . 127.0.0.1 . 8080 : 10.123.0.2 . 80 "
                   "}\n"
                   "add element inet fluid listening { 10.123.0.2 . tcp . 80 . 8080 }\n",
                   "a change touches what differs and no counter");
        g_autoptr(GArray) elements = sandbox_elements(next);
        g_string_truncate(text, 0);
        compose_sandbox(next, NULL, text);
        unsigned lines = 0;
        for (const char *c = text->str; *c; c++)
                lines += *c == '\n';
        tap_is_int(elements->len, lines, "each line of text has its element to be verified");
        for (guint i = 0; i < elements->len; i++) {
                const Element *e = &g_array_index(elements, Element, i);
                g_autofree char *line = g_strdup_printf(
                        "add element %s fluid %s {",
                        set_names[e->set].family == NFPROTO_BRIDGE ? "bridge" : "inet",
                        set_names[e->set].name);
                if (!strstr(text->str, line))
                        tap_ok(false, "no line for %s", line);
        }
}

static void test_holes(void)
{
        g_autoptr(GString) text = g_string_new(NULL);
        const uint8_t mac[MAC_SIZE] = {2, 0xfd, 10, 1, 2, 3};
        const Hole holes[] = {{"A", HOLE_ADDRESS, .address = RANGE + 2},
                              {"M", HOLE_MAC, .mac = mac},
                              {"N", HOLE_MAC_HEX, .mac = mac},
                              {"H", HOLE_ADDRESS_HEX, .address = RANGE + 2},
                              {"C_D", HOLE_COUNT, .count = {1, 2}},
                              {"R", HOLE_RANGE, .range = {RANGE, 16}}};

        holes_fill("x @A@ @M@,0x@N@@H@ @set @th,1,2 counter @C_D@ @R@", holes, G_N_ELEMENTS(holes),
                   text);
        tap_is_str(
                text->str,
                "x 10.123.0.2 02:fd:0a:01:02:03,0x02fd0a0102030a7b0002 @set @th,1,2 counter packets 1 "
                "bytes 2 10.123.0.0/16",
                "holes are filled, and names of sets left alone");
        tap_ok(!hole_name_is_valid("a b") && !hole_name_is_valid("1a") && hole_name_is_valid("a-1"),
               "names of profiles have one look");
        tap_ok(!hole_interface_is_valid("-x") && !hole_interface_is_valid("a b") &&
                       !hole_interface_is_valid("a\"") && hole_interface_is_valid("br-0.1"),
               "names of interfaces have one look");
}

static void test_local(void)
{
        const AddressRange local[] = {
                {0x0a010000, 16}, {0x0a000000, 8}, {0xc0a80000, 24}, {0x0a000000, 8}};
        g_autoptr(Model) m = model_new();
        g_autoptr(GString) text = g_string_new(NULL);

        model_set_local(m, local, G_N_ELEMENTS(local));
        compose_local(m, text);
        tap_is_str(text->str, "{ 10.0.0.0/8, 192.168.0.0/24 }",
                   "ranges within others are left out");
        const FirewallProfile hostile = {
                .name = "x", .connections_max = 1, .connections_per_sec = 1};
        tap_ok(model_add_profile(m, &hostile, NULL) == 0 &&
                       model_add_profile(m, &hostile, NULL) == -EEXIST,
               "a profile cannot be there twice");
}

int main(void)
{
        g_autoptr(Firewall) fw = open_firewall();

        test_settings();
        test_resolver();
        test_profiles();
        test_compiled();
        test_sandboxes(fw);
        test_change(fw);
        test_holes();
        test_local();
        return tap_done();
}
