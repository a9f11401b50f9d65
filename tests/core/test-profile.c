/* SPDX-License-Identifier: MIT */
#include "core/profile.h"

#include "base/address-scope.h"

#include "base/domain-pattern.h"
#include "tests/tap.h"

#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#define TCP  IPPROTO_TCP
#define UDP  IPPROTO_UDP
#define ICMP IPPROTO_ICMP

static Fault fault;

static int parse(const char *text, Profiles **ret)
{
        fault_clear(&fault);
        return profiles_parse("networks.conf", text, ret, &fault);
}

static Profiles *need(const char *text)
{
        Profiles *p = NULL;

        if (parse(text, &p) < 0)
                tap_bail_out(fault.message);
        return p;
}

/* -- what is there ----------------------------------------------------------------------------- */

static void test_builtin(void)
{
        g_autoptr(Profiles) p = need("");
        size_t n;
        const Profile *list = profiles_list(p, &n);

        tap_is_int((int64_t) n, 2, "two profiles are there without a file");
        tap_ok(n == 2 && g_str_equal(list[0].rules.name, "internet") &&
                       g_str_equal(list[1].rules.name, "isolated"),
               "by name");
        tap_ok(list[0].rules.has_internet && !list[1].rules.has_internet,
               "one of them has the internet");
        tap_ok(list[1].rules.connections_max == 1024 && list[1].rules.connections_per_sec == 100 &&
                       !list[1].admins_only && !list[1].rules.has_names &&
                       list[1].rules.n_rules == 0,
               "the other has limits and nothing else");
        tap_ok(profiles_find(p, "internet") == list, "one is found by its name");
        tap_ok(!profiles_find(p, "none") && !profiles_find(p, "mirror"),
               "none is no profile, nor is one that nobody made");
        tap_ok(!profiles_free(NULL), "no profiles can be freed");
}

static bool is_rule(const FirewallRule *rule, bool allows, const char *range, uint8_t protocol,
                    unsigned first, unsigned last)
{
        AddressRange to;

        return address_range_parse(range, &to, NULL) == 0 && rule->allows == allows &&
               rule->to.address == to.address && rule->to.prefix_length == to.prefix_length &&
               rule->protocol == protocol && rule->port_first == first && rule->port_last == last;
}

static void test_values(void)
{
        g_autoptr(Profiles) p =
                need("# a comment\r\n"
                     "[mirror] # and one more\n"
                     "deny = 192.0.2.7\n"
                     "\tallow\t=192.0.2.0/24:443, 10.1.2.3:53/udp ,10.0.0.0/8:8000-8100/tcp,"
                     "198.51.100.0/24:/icmp, 0.0.0.0/0:/tcp # all\r\n"
                     "\n"
                     "names = Deb.Debian.org., *.example.com\n"
                     "private_names = yes#\n"
                     "internet = no\n"
                     "admins_only = yes\n"
                     "connections = 65535\n"
                     "connections_per_second = 1\n"
                     "[internet]\n"
                     "connections = 7\n"
                     "[a]");
        const Profile *m = profiles_find(p, "mirror"), *internet = profiles_find(p, "internet");
        const FirewallRule *r = m ? m->rules.rules : NULL;
        size_t n;

        tap_ok(m && m->rules.n_rules == 7 && m->n_names == 2, "a profile is read");
        if (!m || m->rules.n_rules != 7 || m->n_names != 2)
                return;
        tap_ok(is_rule(r, false, "192.0.2.7", 0, 0, 0), "what is written first is tried first");
        tap_ok(is_rule(r + 1, true, "192.0.2.0/24", TCP, 443, 443) &&
                       is_rule(r + 2, true, "192.0.2.0/24", UDP, 443, 443),
               "a port alone is of TCP and of UDP");
        tap_ok(is_rule(r + 3, true, "10.1.2.3/32", UDP, 53, 53), "a port of one protocol");
        tap_ok(is_rule(r + 4, true, "10.0.0.0/8", TCP, 8000, 8100), "several ports");
        tap_ok(is_rule(r + 5, true, "198.51.100.0/24", ICMP, 0, 0), "a protocol without ports");
        tap_ok(is_rule(r + 6, true, "0.0.0.0/0", TCP, 0, 0), "a whole protocol, to everywhere");
        tap_is_str(m->names[0], "deb.debian.org", "a name is as the resolver takes it");
        tap_ok(g_str_equal(m->names[1], "*.example.com") && !m->names[2],
               "names end where they end");
        tap_ok(m->rules.has_names && m->allows_private_names && m->admins_only &&
                       !m->rules.has_internet,
               "what is yes is yes, and what is no is no");
        tap_ok(m->rules.connections_max == 65535 && m->rules.connections_per_sec == 1,
               "limits are taken up to their bounds");
        tap_ok(internet && internet->rules.has_internet && internet->rules.connections_max == 7 &&
                       internet->rules.connections_per_sec == 100,
               "a built-in profile gets the limit that is written, and keeps the others");
        tap_ok(g_str_equal(profiles_list(p, &n)[0].rules.name, "a") && n == 4 &&
                       profiles_find(p, "a")->rules.n_rules == 0,
               "an empty section is a profile");
}

/* -- refusals ---------------------------------------------------------------------------------- */

static void expect_refused(const char *text, const char *reason)
{
        Profiles *untouched = (Profiles *) &fault, *p = untouched;
        g_autofree char *whole = g_strconcat("networks.conf:", reason, NULL);
        g_autofree char *shown = g_strescape(text, NULL);
        int r = parse(text, &p);

        tap_ok(r == -EINVAL && fault.code == FAULT_INVALID_ARGUMENT && p == untouched,
               "'%.60s' is refused", shown);
        tap_is_str(fault.message, whole, "with its line, and how it is written right");
        if (r == 0)
                (void) profiles_free(p);
}

#define ALL_KEYS \
        "deny, allow, names, private_names, internet, admins_only, connections, " \
        "connections_per_second"
#define BUILTIN_KEYS "admins_only, connections, connections_per_second"

static void test_refused_sections(void)
{
        static const char bad_name[] = "is not a profile's name: use 1 to 31 of a-z 0-9 - and "
                                       "begin with a letter, as in [mirror]";
        static const char *const names[] = {
                "",    "Mirror",     "1",   "-a",
                "a_b", " a",         "a]b", "abcdefghijabcdefghijabcdefghijab",
                "a b", "caf\xc3\xa9"};
        static const struct {
                const char *text, *reason;
        } table[] = {
                {"\n[none]", "2: 'none' is a sandbox without a network, and cannot be set; use "
                             "another name"},
                {"[a", "1: expected ']' at the end, as in [mirror]"},
                {"[", "1: expected ']' at the end, as in [mirror]"},
                {"[a] b", "1: expected ']' at the end, as in [mirror]"},
                {"[a]\n[b]\n[a]", "3: [a] is there already, in line 1; write all of it there"},
                {"[isolated]\n[isolated]",
                 "2: [isolated] is there already, in line 1; write all of it there"},
                {"internet = yes",
                 "1: 'internet' is of no profile; begin one before it, as in [mirror]"},
                {"[a]\ninternet", "2: expected 'key = value' or '[profile]'"},
                {"[a]\ncolour = red", "2: unknown key 'colour'; there are " ALL_KEYS},
                {"[a]\nAllow = 10.0.0.1", "2: unknown key 'Allow'; there are " ALL_KEYS},
                {"= 5", "1: unknown key ''; there are " ALL_KEYS},
                {"[a]\ninternet = no\ninternet = no", "3: 'internet' is set twice in [a]"},
                {"[a]\ndeny = 1.1.1.1\nallow = 1.1.1.1\ndeny = 1.1.1.2",
                 "4: 'deny' is set twice in [a]; write all in one line, with commas"},
                {"[isolated]\nallow = 10.0.0.1",
                 "2: 'isolated' is built in, and only " BUILTIN_KEYS
                 " can be set; use another name for a profile with 'allow'"},
                {"[internet]\ninternet = no",
                 "2: 'internet' is built in, and only " BUILTIN_KEYS
                 " can be set; use another name for a profile with 'internet'"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
                expect_refused(table[i].text, table[i].reason);
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *text = g_strdup_printf("[%s]", names[i]);
                g_autofree char *reason = g_strdup_printf("1: '%s' %s", names[i], bad_name);
                expect_refused(text, reason);
        }
        g_autoptr(Profiles) p = need("[a234567890123456789012345678901]");
        tap_ok(profiles_find(p, "a234567890123456789012345678901"),
               "a name of 31 characters is taken");
}

static void test_refused_values(void)
{
        static const char ports[] = "has no port from 1 to 65535 after the colon; write it like "
                                    "192.0.2.1:443 or 192.0.2.1:8000-8100";
        static const char *const bad_ports[] = {":",        ":0",     ":65536", ":1-",   ":-1",
                                                ":1-65536", ":http",  ":+1",    ": 1",   ":1:2",
                                                ":0-5",     ":0/tcp", ":1 2",   ":0x50", ":1-2-3"};
        static const struct {
                const char *setting, *reason;
        } table[] = {
                {"allow =", "allow: the value is missing; write it like allow = "
                            "10.9.8.0/24:80, 10.9.8.0/24:443/tcp, 10.9.8.1:8000-8100/udp, "
                            "10.9.8.0/24:/icmp"},
                {"deny = # nothing", "deny: the value is missing; write it like deny = 10.9.8.7"},
                {"connections =",
                 "connections: the value is missing; write it like connections = 1024"},
                {"deny = 10.0.0.1,",
                 "deny: there is nothing before or after a comma; write it like 10.9.8.7"},
                {"names = ,a.b", "names: there is nothing before or after a comma; write it like "
                                 "mirror.example.com, *.mirror.example.com"},
                {"allow = 10.0.0.1/8", "allow: '10.0.0.1/8' has bits beyond its length; for the "
                                       "whole range write 10.0.0.0/8"},
                {"allow = fe80::1",
                 "allow: 'fe80' is not an IPv4 address; write it like 192.0.2.1"},
                {"allow = example.com",
                 "allow: 'example.com' is not an IPv4 address; write it like 192.0.2.1"},
                {"allow = 10.0.0.1/udp", "allow: '10.0.0.1/udp' has no colon before its protocol; "
                                         "write it like 192.0.2.1:/udp"},
                {"allow = 10.0.0.1:5-4",
                 "allow: '10.0.0.1:5-4' has no ports: write the lower one first"},
                {"allow = 10.0.0.1:80/sctp", "allow: '10.0.0.1:80/sctp' ends in no protocol; use "
                                             "tcp, udp or icmp, as in 192.0.2.1:443/tcp"},
                {"allow = 10.0.0.1:80/", "allow: '10.0.0.1:80/' ends in no protocol; use "
                                         "tcp, udp or icmp, as in 192.0.2.1:443/tcp"},
                {"allow = 10.0.0.1:80/icmp", "allow: '10.0.0.1:80/icmp' has a port, and icmp has "
                                             "none; write it like 192.0.2.1:/icmp"},
                {"internet = true", "internet: 'true' is not yes or no"},
                {"internet = yes no", "internet: 'yes no' is not yes or no"},
                {"connections = 0", "connections: '0' is not a whole number from 1 to 65535"},
                {"connections = 65536",
                 "connections: '65536' is not a whole number from 1 to 65535"},
                {"connections_per_second = 10001",
                 "connections_per_second: '10001' is not a whole number from 1 to 10000"},
                {"connections = -1", "connections: '-1' is not a whole number from 1 to 65535"},
                {"internet = \x1b[2J", "internet: '\\x1b[2J' is not yes or no"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *text = g_strconcat("[a]\n", table[i].setting, NULL);
                g_autofree char *reason = g_strconcat("2: ", table[i].reason, NULL);
                expect_refused(text, reason);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(bad_ports); i++) {
                g_autofree char *text = g_strconcat("[a]\nallow = 10.0.0.1", bad_ports[i], NULL);
                g_autofree char *reason =
                        g_strdup_printf("2: allow: '10.0.0.1%s' %s", bad_ports[i], ports);
                expect_refused(text, reason);
        }
        tap_ok(parse("[a]\nnames = *", &(Profiles *){NULL}) < 0 &&
                       g_str_has_prefix(fault.message,
                                        "networks.conf:2: names: '*' is not a domain name"),
               "a name is refused as the resolver would refuse it");
}

/* `head`, and `n` times `before`, a number and `after`. */
static char *repeat(const char *head, unsigned n, const char *before, const char *after)
{
        GString *text = g_string_new(head);

        for (unsigned i = 0; i < n; i++)
                g_string_append_printf(text, "%s%u%s", before, i, after);
        return g_string_free(text, FALSE);
}

static void test_bounds(void)
{
        static const struct {
                const char *head, *before, *after;
                unsigned most;
                const char *reason;
        } table[] = {
                {"", "[p", "]\n", 62, "63: there are at most 64 profiles"},
                {"[a]\nallow = 10.0.0.0:1", ", 10.0.0.", ":80", 255,
                 "2: allow: a profile has at most 256 addresses; use ranges"},
                {"[a]\nnames = example.com", ", n", ".example.com", 255,
                 "2: names: a profile has at most 256 names; use *.NAME"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *most =
                        repeat(table[i].head, table[i].most, table[i].before, table[i].after);
                g_autofree char *more =
                        repeat(table[i].head, table[i].most + 1, table[i].before, table[i].after);
                g_autoptr(Profiles) p = NULL;

                tap_is_int(parse(most, &p), 0, "the most that there may be is taken");
                expect_refused(more, table[i].reason);
        }
}

/* -- files ------------------------------------------------------------------------------------- */

static void test_files(void)
{
        char path[] = "/tmp/fluid-networks-XXXXXX";
        int fd = mkstemp(path);
        g_autofree char *large = g_strnfill(256 * 1024 + 1, '\n');
        g_autofree char *reason =
                g_strdup_printf("%s:1: expected 'key = value' or '[profile]'", path);
        g_autoptr(Profiles) absent = NULL, p = NULL, whole = NULL;
        Profiles *none = NULL;

        if (fd < 0 || close(fd) < 0)
                tap_bail_out("no file");
        tap_ok(profiles_load("/nowhere/networks.conf", &absent, NULL) == 0 &&
                       profiles_find(absent, "internet"),
               "a file that is absent is an empty one");
        (void) g_file_set_contents(path, "[a]\n", -1, NULL);
        tap_ok(profiles_load(path, &p, NULL) == 0 && profiles_find(p, "a"), "a file is loaded");
        (void) g_file_set_contents(path, "a\n", -1, NULL);
        fault_clear(&fault);
        tap_is_int(profiles_load(path, &none, &fault), -EINVAL, "one with a mistake is refused");
        tap_is_str(fault.message, reason, "with its name");
        (void) g_file_set_contents(path, "[a]\0x", 5, NULL);
        fault_clear(&fault);
        tap_is_int(profiles_load(path, &none, &fault), -EINVAL, "so is one with a NUL byte");
        (void) g_file_set_contents(path, large, 256 * 1024, NULL);
        tap_is_int(profiles_load(path, &whole, NULL), 0, "one of 256 KiB is loaded");
        (void) g_file_set_contents(path, large, -1, NULL);
        fault_clear(&fault);
        tap_ok(profiles_load(path, &none, &fault) < 0 && fault.code == FAULT_IO,
               "one that is larger is not");
        fault_clear(&fault);
        tap_ok(profiles_load("/tmp", &none, &fault) < 0 && fault.code == FAULT_IO,
               "nor is a directory");
        (void) unlink(path);
}

/* -- deciding ---------------------------------------------------------------------------------- */

static const char decided[] =
        "[lan]\n"
        "deny = 192.168.77.7\n"
        "allow = 192.168.77.0/24:80-81/tcp, 192.168.77.2:/icmp, 9.9.9.0/24:9/udp\n"
        "[most]\n"
        "allow = 0.0.0.0/0\n"
        "[named]\n"
        "names = example.com\n"
        "[both]\n"
        "deny = 9.9.9.9:/tcp\n"
        "names = example.com\n"
        "internet = yes\n";

static const AddressRange local[] = {{0xc0a84d00, 24}, {0x08080000, 16}};
static const uint32_t host[] = {0xc0a84d01, 0xc0a84dff};

static bool decide(const Profile *p, const char *address, uint8_t protocol, uint16_t port,
                   bool is_named, char **ret_why)
{
        ProfileQuestion q = {
                .range = {0x0a7b0000, 16},
                .gateway = 0x0a7b0001,
                .self = 0x0a7b0002,
                .local = local,
                .n_local = G_N_ELEMENTS(local),
                .host = host,
                .n_host = G_N_ELEMENTS(host),
                .protocol = protocol,
                .port = port,
                .is_named = is_named,
        };

        if (address_parse(address, &q.address, NULL) < 0)
                tap_bail_out(address);
        return profile_decide(p, &q, ret_why);
}

#define DNS     "the gateway's DNS is always there"
#define HOST_IS " is this host, of which only DHCP and DNS are there"
#define RANGE   "no sandbox reaches another, and "

static void test_decide(void)
{
        static const struct {
                const char *profile, *address;
                uint8_t protocol;
                uint16_t port;
                bool is_named, allowed;
                const char *why;
        } table[] = {
                /* whatever the profile */
                {"isolated", "10.123.0.1", UDP, 67, false, true,
                 "the gateway's DHCP is always there"},
                {"isolated", "255.255.255.255", UDP, 67, false, true,
                 "the gateway's DHCP is always there"},
                {"most", "192.168.77.2", UDP, 67, false, false,
                 "a sandbox has no DHCP but the gateway's"},
                {"most", "192.168.77.2", TCP, 67, false, true, "'most' allows any address"},
                {"most", "255.255.255.255", UDP, 68, false, false,
                 "255.255.255.255 is broadcast, which does not leave a sandbox"},
                {"most", "224.0.0.251", UDP, 5353, false, false,
                 "224.0.0.251 is multicast, which does not leave a sandbox"},
                {"most", "9.9.9.9", 132, 80, false, false,
                 "only TCP, UDP and ICMP leave a sandbox"},
                {"isolated", "10.123.0.1", UDP, 53, false, true, DNS},
                {"isolated", "10.123.0.1", TCP, 53, false, true, DNS},
                {"named", "10.123.0.1", UDP, 53, false, true,
                 DNS "; it answers for the names of 'named' only"},
                {"most", "10.123.0.1", ICMP, 0, false, false, "10.123.0.1" HOST_IS},
                {"most", "10.123.0.1", ICMP, 53, false, false, "10.123.0.1" HOST_IS},
                {"most", "10.123.0.1", TCP, 22, false, false, "10.123.0.1" HOST_IS},
                {"most", "192.168.77.1", TCP, 22, false, false, "192.168.77.1" HOST_IS},
                {"most", "192.168.77.1", UDP, 53, false, false, "192.168.77.1" HOST_IS},
                {"most", "192.168.77.255", UDP, 9, false, false, "192.168.77.255" HOST_IS},
                {"named", "192.168.77.1", TCP, 80, true, false, "192.168.77.1" HOST_IS},
                {"most", "10.123.0.2", TCP, 80, false, false,
                 "10.123.0.2 is the sandbox itself: that takes no network"},
                {"most", "10.123.0.3", TCP, 80, false, false, RANGE "10.123.0.3 is in their range"},
                {"most", "10.123.255.255", UDP, 9, false, false,
                 RANGE "10.123.255.255 is in their range"},
                {"most", "127.0.0.1", TCP, 80, false, false,
                 "127.0.0.1 is every host's own, and never of the network"},
                {"most", "0.0.0.0", TCP, 80, false, false, "0.0.0.0 is nobody's address"},
                {"most", "0.1.2.3", TCP, 80, false, false, "0.1.2.3 is nobody's address"},
                {"most", "240.0.0.1", TCP, 80, false, false, "240.0.0.1 is nobody's address"},
                /* the profile's rules */
                {"most", "169.254.169.254", TCP, 80, false, true, "'most' allows any address"},
                {"lan", "192.168.77.2", TCP, 79, false, false, "'lan' does not allow it"},
                {"lan", "192.168.77.2", TCP, 80, false, true,
                 "'lan' allows 192.168.77.0/24 TCP ports 80-81"},
                {"lan", "192.168.77.2", TCP, 81, false, true,
                 "'lan' allows 192.168.77.0/24 TCP ports 80-81"},
                {"lan", "192.168.77.2", TCP, 82, false, false, "'lan' does not allow it"},
                {"lan", "192.168.77.2", UDP, 80, false, false, "'lan' does not allow it"},
                {"lan", "192.168.77.7", TCP, 80, false, false, "'lan' denies 192.168.77.7"},
                {"lan", "192.168.77.2", ICMP, 0, false, true, "'lan' allows 192.168.77.2 ICMP"},
                {"lan", "192.168.77.3", ICMP, 0, false, false, "'lan' does not allow it"},
                {"lan", "9.9.9.10", UDP, 9, false, true, "'lan' allows 9.9.9.0/24 UDP port 9"},
                {"lan", "9.9.9.10", UDP, 9, true, true, "'lan' allows 9.9.9.0/24 UDP port 9"},
                {"lan", "9.9.10.10", UDP, 9, true, false, "'lan' does not allow it"},
                /* names */
                {"named", "9.9.9.9", TCP, 443, true, true,
                 "9.9.9.9 is the address of a name that 'named' allows"},
                {"named", "9.9.9.9", TCP, 443, false, false,
                 "'named' does not allow it, and 9.9.9.9 is not the address of one of its names"},
                {"both", "9.9.9.9", TCP, 443, true, false, "'both' denies 9.9.9.9 TCP"},
                {"both", "192.168.77.2", UDP, 1, true, true,
                 "192.168.77.2 is the address of a name that 'both' allows"},
                /* the internet */
                {"isolated", "9.9.9.9", TCP, 443, true, false,
                 "'isolated' reaches the gateway's DHCP and DNS only"},
                {"internet", "9.9.9.9", TCP, 443, false, true,
                 "'internet' reaches all of the internet"},
                {"internet", "9.9.9.9", ICMP, 0, false, true,
                 "'internet' reaches all of the internet"},
                {"internet", "192.168.78.2", TCP, 443, false, false,
                 "192.168.78.2 is not on the internet"},
                {"internet", "192.168.77.2", TCP, 443, true, false,
                 "192.168.77.2 is in this host's own network"},
                {"internet", "8.8.8.8", UDP, 53, false, false,
                 "8.8.8.8 is in this host's own network"},
                {"both", "9.9.9.9", UDP, 443, false, true, "'both' reaches all of the internet"},
                {"both", "8.8.8.8", UDP, 443, false, false,
                 "8.8.8.8 is in this host's own network"},
        };
        g_autoptr(Profiles) p = need(decided);

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *why = NULL;
                bool allowed = decide(profiles_find(p, table[i].profile), table[i].address,
                                      table[i].protocol, table[i].port, table[i].is_named, &why);

                tap_ok(allowed == table[i].allowed, "'%s' %s %s, protocol %u, port %u",
                       table[i].profile, table[i].allowed ? "reaches" : "does not reach",
                       table[i].address, table[i].protocol, table[i].port);
                tap_is_str(why, table[i].why, "and says why");
        }
}

static bool reaches(const Profile *p, uint32_t address)
{
        char text[ADDRESS_TEXT_MAX];
        g_autofree char *why = NULL;

        address_format(address, text);
        return decide(p, text, TCP, 443, false, &why);
}

/* From the list that the kernel's rules are made of. */
static void test_special(void)
{
        g_autoptr(Profiles) p = need("");
        const Profile *internet = profiles_find(p, "internet");
        size_t n;
        const AddressRange *ranges = address_scope_ranges(&n);
        unsigned reached = 0, wrong = 0;

        for (size_t i = 0; i < n; i++) {
                uint32_t beside[] = {ranges[i].address - 1, address_range_last(&ranges[i]) + 1};

                reached += reaches(internet, ranges[i].address) ||
                           reaches(internet, address_range_last(&ranges[i]));
                for (size_t k = 0; k < G_N_ELEMENTS(beside); k++)
                        wrong += reaches(internet, beside[k]) !=
                                 (address_scope(beside[k]) == ADDRESS_PUBLIC);
        }
        tap_ok(n > 10 && reached == 0, "what is not on the internet is not reached");
        tap_is_int(wrong, 0, "and what is right beside that is");
}

/* -- for people -------------------------------------------------------------------------------- */

static void test_describe(void)
{
        static const struct {
                const char *settings, *description;
        } table[] = {
                {"", "the gateway's DHCP and DNS only"},
                {"internet = yes", "all of the internet"},
                {"allow = 192.0.2.0/24:443\nnames = deb.debian.org",
                 "192.0.2.0/24 port 443; names deb.debian.org"},
                {"allow = 10.0.0.1, 10.0.0.2:80/tcp, 10.0.0.3:1-2/udp, 10.0.0.4:/icmp, 0.0.0.0/0:1-2",
                 "10.0.0.1, 10.0.0.2 TCP port 80, 10.0.0.3 UDP ports 1-2, 10.0.0.4 ICMP, "
                 "any address ports 1-2"},
                {"deny = 10.0.0.1\ninternet = yes\nnames = a.b, *.c.d\nprivate_names = yes",
                 "not 10.0.0.1; names a.b, *.c.d, also at addresses that are not on the internet; "
                 "all of the internet"},
                {"names = n1.a, n2.a, n3.a, n4.a, n5.a, n6.a, n7.a, n8.a, n9.a, n10.a",
                 "names n1.a, n2.a, n3.a, n4.a, n5.a, n6.a, n7.a, n8.a and 2 more"},
                {"allow = 1.1.1.1:1,1.1.1.2:1,1.1.1.3:1,1.1.1.4:1,1.1.1.5,1.1.1.6,1.1.1.7,1.1.1.8",
                 "1.1.1.1 port 1, 1.1.1.2 port 1, 1.1.1.3 port 1, 1.1.1.4 port 1, 1.1.1.5, 1.1.1.6, "
                 "1.1.1.7, 1.1.1.8"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *text = g_strconcat("[a]\n", table[i].settings, NULL);
                g_autoptr(Profiles) p = need(text);
                g_autofree char *description = profile_describe(profiles_find(p, "a"));

                tap_is_str(description, table[i].description, "a profile is described");
        }
}

static char *print_with(void (*print)(FILE *to))
{
        char *text = NULL;
        size_t size;
        FILE *to = open_memstream(&text, &size);

        if (!to)
                tap_bail_out("no stream in memory");
        print(to);
        (void) fclose(to);
        return text;
}

/* "#key = value" and "#[section]" are commented out; "# …" is a comment. */
static char *uncomment(const char *example)
{
        g_auto(GStrv) lines = g_strsplit(example, "\n", -1);
        GString *text = g_string_new(NULL);

        for (char **line = lines; *line; line++)
                if ((*line)[0] == '#' && (*line)[1] != ' ' && (*line)[1] != '\0')
                        g_string_append_printf(text, "%s\n", *line + 1);
        return g_string_free(text, FALSE);
}

static void test_texts(void)
{
        static const char *const keys[] = {
                "deny",     "allow",       "names",       "private_names",
                "internet", "admins_only", "connections", "connections_per_second"};
        g_autofree char *example = print_with(profiles_print_example);
        g_autofree char *manual = print_with(profiles_print_manual);
        g_autofree char *text = uncomment(example);
        g_autoptr(Profiles) commented = need(example), p = need(text);
        const Profile *mirror = profiles_find(p, "mirror"), *names = profiles_find(p, "allowlist");
        bool are_there = true;
        size_t n;

        (void) profiles_list(commented, &n);
        tap_is_int((int64_t) n, 2, "the example itself changes nothing");
        tap_ok(mirror && mirror->rules.n_rules > 2 && mirror->n_names > 0,
               "without its comment signs it has a mirror");
        tap_ok(names && names->n_names > 2 && names->rules.n_rules == 0, "and a list of names");
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
                g_autofree char *setting = g_strdup_printf("\n#%s = ", keys[i]);
                g_autofree char *entry = g_strdup_printf("\n.TP\n.B %s\n", keys[i]);
                are_there &= strstr(example, setting) && strstr(manual, entry);
        }
        tap_ok(are_there, "every key is in the example and in the manual page");
        char *shown = strstr(manual, ".nf\n");
        char *end = shown ? strstr(shown, ".fi\n") : NULL;
        if (!end)
                tap_bail_out("the manual page shows no example");
        *end = '\0';
        g_autoptr(Profiles) of_manual = need(shown + strlen(".nf\n"));
        tap_ok(profiles_find(of_manual, "mirror"), "the manual page's example is valid");
}

int main(void)
{
        test_builtin();
        test_values();
        test_refused_sections();
        test_refused_values();
        test_bounds();
        test_files();
        test_decide();
        test_special();
        test_describe();
        test_texts();
        return tap_done();
}
