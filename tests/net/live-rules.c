/* SPDX-License-Identifier: MIT */

/* host/firewall.h against this kernel's nftables: loading, changing, finding what was changed by
 * others, and what is read back. Root. */

#include "base/cleanup.h"
#include "tests/net/network.h"
#include "tests/tap.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/stat.h>

static bool good(int r, const Fault *f)
{
        if (r < 0)
                tap_note("%s", f->message);
        return r >= 0;
}

static bool is_right(Firewall *fw)
{
        Fault f = {0};

        return good(firewall_verify_all(fw, &f), &f);
}

static void load(Firewall *fw)
{
        static const FirewallPort ports[] = {{IPPROTO_TCP, NETWORK_LOCALHOST, 8080, 80},
                                             {IPPROTO_UDP, 0, 8053, 53}};
        Fault f = {0};

        if (network_load(fw, "named", "internet", ports, 2, &f) < 0)
                tap_bail_out(f.message);
}

static void test_life(Firewall *fw)
{
        const AddressRange local[] = {{0xc0a80100, 24}, {0xc0a80000, 16}, {0xc0a80100, 24}};
        FirewallSandbox s = network_sandbox(5, "internet");
        FirewallPort port = {IPPROTO_TCP, NETWORK_HOST, 8443, 443};
        Fault f = {0};

        tap_ok(firewall_verify_all(fw, &f) == -ESTALE, "nothing is right before the first load");
        tap_ok(firewall_set(fw, &s, NULL) == -ESTALE, "and nothing can be added");
        load(fw);
        tap_ok(is_right(fw), "all is right after a load");
        tap_ok(good(firewall_set(fw, &s, &f), &f) && good(firewall_verify(fw, s.id, &f), &f) &&
                       is_right(fw),
               "one is added");
        s.profile = "named";
        s.ports = &port;
        s.n_ports = 1;
        tap_ok(good(firewall_set(fw, &s, &f), &f) && is_right(fw), "its profile and ports change");
        tap_ok(good(firewall_allow(fw, s.id, 0x01020304, 60, &f), &f) && is_right(fw),
               "a name is allowed");
        tap_ok(good(firewall_allow(fw, s.id, 0x01020304, 600, &f), &f) && is_right(fw),
               "and for longer");
        tap_ok(network_try("nft get element inet fluid names '{ 10.123.0.5 . 1.2.3.4 }' | "
                           "grep -q 'timeout 10m'"),
               "which the kernel knows");
        tap_ok(good(firewall_allow(fw, s.id, 0x01020304, 6, &f), &f) &&
                       network_try("nft get element inet fluid names '{ 10.123.0.5 . 1.2.3.4 }' | "
                                   "grep -q 'timeout 10m'"),
               "a shorter time does not shorten it");
        tap_ok(good(firewall_set_local(fw, local, 3, &f), &f) && is_right(fw),
               "the host's networks change, one within another");
        tap_ok(good(firewall_set_local(fw, NULL, 0, &f), &f) && is_right(fw), "and go");
        tap_ok(good(firewall_restore(fw, &f), &f) && is_right(fw), "all is restored");
        tap_ok(network_try("nft get element inet fluid names '{ 10.123.0.5 . 1.2.3.4 }' | "
                           "grep -qE 'timeout (9m5|10m)'") &&
                       network_try("nft get element inet fluid named '{ 10.123.0.5 . 1.2.3.4 }' | "
                                   "grep -qE 'timeout (1d|23h59m5)'"),
               "with the names, for the rest of their time");
        tap_ok(network_try("nft flush ruleset") && good(firewall_restore(fw, &f), &f) &&
                       is_right(fw) &&
                       network_try("nft get element inet fluid names '{ 10.123.0.5 . 1.2.3.4 }'"),
               "after a flush, too");
        tap_ok(good(firewall_remove(fw, s.id, &f), &f) && is_right(fw), "one is removed");
        tap_ok(good(firewall_remove(fw, s.id, &f), &f), "removing it again does nothing");
        tap_ok(firewall_verify(fw, s.id, NULL) == -ENOENT, "it cannot be verified then");
}

static void test_refused(Firewall *fw)
{
        FirewallSandbox s = network_sandbox(5, "internet");
        FirewallPort port = {IPPROTO_TCP, NETWORK_LOCALHOST, 8080, 1};
        Fault f = {0};

        load(fw);
        s.address = NETWORK_SANDBOX;
        tap_ok(firewall_set(fw, &s, &f) == -EEXIST && strstr(f.message, SANDBOX_ID),
               "another's address is refused: %s", f.message);
        s = network_sandbox(5, "internet");
        s.mac[5] = 2;
        tap_ok(firewall_set(fw, &s, NULL) == -EEXIST, "another's MAC is refused");
        s = network_sandbox(5, "internet");
        s.ports = &port;
        s.n_ports = 1;
        tap_ok(firewall_set(fw, &s, NULL) == -EEXIST, "another's published port is refused");
        s = network_sandbox(5, "nothing");
        tap_ok(firewall_set(fw, &s, NULL) == -EINVAL, "a profile that is not there is refused");
        tap_ok(is_right(fw), "and nothing changed");
        network_run("nft delete table inet fluid");
        s = network_sandbox(5, "internet");
        fault_clear(&f);
        tap_ok(firewall_set(fw, &s, &f) == -ESTALE, "without our table nothing is added: %s",
               f.message);
        tap_ok(firewall_verify(fw, s.id, NULL) == -ENOENT, "and nothing is remembered of it");
        fault_clear(&f);
        tap_ok(good(firewall_remove(fw, PEER_ID, &f), &f) && is_right(fw),
               "one is removed even then: the rest is loaded anew");
}

/* Each is done to right rules, and found. */
static void test_tampering(Firewall *fw)
{
        static const struct {
                const char *what, *command;
        } rows[] = {
                {"a flush", "nft flush ruleset"},
                {"a deleted table (bridge)", "nft delete table bridge fluid"},
                {"a deleted table (inet)", "nft delete table inet fluid"},
                {"a table made dormant", "nft add table inet fluid '{ flags dormant; }'"},
                {"a base chain without its rules", "nft flush chain bridge fluid prerouting"},
                {"a deleted base chain",
                 "nft flush chain inet fluid output; nft delete chain inet fluid output"},
                {"a base chain with another policy",
                 "nft chain inet fluid forward '{ policy drop; }'"},
                {"an added chain", "nft add chain inet fluid mine"},
                {"an added base chain",
                 "nft add chain inet fluid mine '{ type filter hook input priority 5; }'"},
                {"an added set", "nft add set inet fluid mine '{ type ipv4_addr; }'"},
                {"an added rule that accepts", "nft insert rule bridge fluid from-sandbox accept"},
                {"an added rule at the end", "nft add rule inet fluid profile-named accept"},
                {"a deleted rule",
                 "nft delete rule bridge fluid forged handle $(nft -a list chain bridge fluid "
                 "forged | sed -n 's/.*drop # handle //p')"},
                {"a replaced rule",
                 "nft replace rule inet fluid refused handle $(nft -a list chain inet fluid "
                 "refused | sed -n 's/.*drop # handle //p') accept"},
                {"a deleted pin", "nft delete element bridge fluid pinned '{ \"fl-000000000002\" . "
                                  "02:fd:0a:7b:00:02 . 10.123.0.2 }'"},
                {"an added pin", "nft add element bridge fluid pinned '{ \"fl-000000000002\" . "
                                 "02:fd:0a:7b:00:02 . 10.123.0.9 }'"},
                {"a pin of a MAC",
                 "nft add element bridge fluid hardware '{ \"fl-000000000002\" . 0x1 }'"},
                {"another profile",
                 "nft 'delete element inet fluid reach { 10.123.0.2 }; add element inet fluid "
                 "reach { 10.123.0.2 : goto profile-internet }'"},
                {"a verdict of accept",
                 "nft 'delete element inet fluid reach { 10.123.0.2 }; add element inet fluid "
                 "reach { 10.123.0.2 : accept }'"},
                {"no profile", "nft delete element inet fluid reach '{ 10.123.0.2 }'"},
                {"a larger limit",
                 "nft 'delete element inet fluid open { 10.123.0.2 }; add element inet fluid "
                 "open { 10.123.0.2 ct count over 65000 }'"},
                {"a faster rate",
                 "nft 'delete element inet fluid rate { 10.123.0.2 }; add element inet fluid "
                 "rate { 10.123.0.2 limit rate over 9999/second }'"},
                {"no counter", "nft delete element inet fluid passed '{ 10.123.0.2 }'"},
                {"a published port elsewhere",
                 "nft 'delete element inet fluid published { tcp . 127.0.0.1 . 8080 }; add "
                 "element inet fluid published { tcp . 127.0.0.1 . 8080 : 10.123.0.2 . 22 }'"},
                {"an added published port",
                 "nft add element inet fluid published-any '{ tcp . 2222 : 10.123.0.2 . 22 }'"},
                {"an added name",
                 "nft add element inet fluid names '{ 10.123.0.2 . 8.8.8.8 timeout 1h }'"},
                {"a range taken out of those that are not the internet",
                 "nft delete element inet fluid special '{ 10.0.0.0/8 }'"},
                {"the LAN taken out of the host's networks", "nft flush set inet fluid local"},
                {"a set emptied", "nft flush set bridge fluid macs"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                Fault f = {0};

                load(fw);
                if (!is_right(fw))
                        tap_bail_out("a load is not right");
                network_run("%s", rows[i].command);
                bool found = firewall_verify_all(fw, &f) == -ESTALE;
                tap_ok(found, "%s is found: %s", rows[i].what, f.message);
                fault_clear(&f);
                if (!good(firewall_restore(fw, &f), &f) || !is_right(fw))
                        tap_ok(false, "and repaired: %s", rows[i].what);
        }
}

/* The check of one sandbox finds what is wrong with it, and with all, but not with its peer. */
static void test_verify_one(Firewall *fw)
{
        Fault f = {0};

        load(fw);
        network_run("nft delete element inet fluid reach '{ 10.123.0.3 }'");
        tap_ok(firewall_verify(fw, PEER_ID, &f) == -ESTALE, "a deleted element is found: %s",
               f.message);
        tap_ok(firewall_verify(fw, SANDBOX_ID, NULL) == 0, "but not at another sandbox");
        load(fw);
        network_run("nft insert rule bridge fluid from-sandbox accept");
        tap_ok(firewall_verify(fw, SANDBOX_ID, NULL) == -ESTALE,
               "an added rule is found at every sandbox");
        load(fw);
}

static void test_counters(Firewall *fw)
{
        FirewallCounters c = {0};
        Fault f = {0};

        load(fw);
        network_run(
                "nft 'delete element inet fluid passed { 10.123.0.2 }; add element inet fluid "
                "passed { 10.123.0.2 counter packets 7 bytes 700 }; delete element bridge fluid "
                "dropped-forged { \"fl-000000000002\" }; add element bridge fluid "
                "dropped-forged { \"fl-000000000002\" counter packets 3 bytes 90 }'");
        tap_ok(good(firewall_counters(fw, SANDBOX_ID, &c, &f), &f) && c.passed.packets == 7 &&
                       c.passed.bytes == 700 && c.dropped[FIREWALL_FORGED].packets == 3 &&
                       c.dropped[FIREWALL_FORGED].bytes == 90,
               "counters are read");
        tap_ok(good(firewall_restore(fw, &f), &f) &&
                       good(firewall_counters(fw, SANDBOX_ID, &c, &f), &f) &&
                       c.passed.packets == 7 && c.dropped[FIREWALL_FORGED].bytes == 90,
               "a restore takes them over");
        FirewallSandbox s = network_sandbox(2, "internet");
        tap_ok(good(firewall_set(fw, &s, &f), &f) &&
                       good(firewall_counters(fw, SANDBOX_ID, &c, &f), &f) && c.passed.packets == 7,
               "a change of profile keeps them");
}

static void test_files(Firewall *fw, const Network *n)
{
        g_autofree char *restore =
                g_strdup_printf("env -i /usr/sbin/nft -f %s/ruleset.nft", n->directory);
        g_autofree char *gone =
                g_strdup_printf("test ! -e %s/sandboxes/%s.nft", n->directory, PEER_ID);
        g_autofree char *closed = g_strdup_printf("test $(stat -c %%a %s) = 700", n->directory);
        Fault f = {0};

        load(fw);
        tap_ok(good(firewall_remove(fw, PEER_ID, &f), &f) && network_try(gone),
               "a removed sandbox has no file");
        FirewallSandbox s = network_sandbox(6, "lan");
        tap_ok(good(firewall_set(fw, &s, &f), &f), "one is added to them");
        network_run("nft flush ruleset");
        tap_ok(network_try(restore) && is_right(fw), "nft alone puts back all from the files");
        tap_ok(network_try(restore) && is_right(fw), "also where all is there");
        tap_ok(network_try(closed), "nobody else can read them");
        tap_ok(network_try("nft list ruleset > /tmp/fluid-listing && nft flush ruleset && "
                           "nft -f /tmp/fluid-listing"),
               "what nft lists can be loaded again");
        (void) network_try("rm -f /tmp/fluid-listing");
}

static void test_others(Firewall *fw)
{
        static const char list[] = "nft -s list table ip filter; nft -s list table inet firewalld;"
                                   "nft -s list table bridge other";
        Fault f = {0};
        g_autofree char *save = g_strdup_printf("( %s ) > /tmp/fluid-before", list);
        g_autofree char *compare = g_strdup_printf("( %s ) | cmp - /tmp/fluid-before", list);

        network_run("nft flush ruleset");
        network_run("nft 'table ip filter { chain FORWARD { type filter hook forward priority 0; "
                    "policy drop; }; }; table inet firewalld { set fluid { type ipv4_addr; "
                    "elements = { 1.1.1.1 }; }; chain fluid { counter accept; }; }; table bridge "
                    "other { chain c { type filter hook forward priority 0; counter; }; }'");
        network_run("%s", save);
        load(fw);
        FirewallSandbox s = network_sandbox(7, "internet");
        tap_ok(good(firewall_set(fw, &s, &f), &f) && good(firewall_remove(fw, s.id, &f), &f) &&
                       good(firewall_restore(fw, &f), &f) && is_right(fw),
               "beside tables of others all goes on");
        tap_ok(network_try(compare), "and they are as they were");
        network_run("nft add rule inet firewalld fluid drop");
        tap_ok(is_right(fw), "a change of theirs is none of ours");
        (void) network_try("rm -f /tmp/fluid-before");
}

static void test_describe(Firewall *fw)
{
        g_autofree char *text = NULL;
        Fault f = {0};

        load(fw);
        tap_ok(good(firewall_describe(fw, SANDBOX_ID, &text, &f), &f) &&
                       strstr(text, "10.123.0.2 : goto profile-named") &&
                       strstr(text, "chain profile-named") &&
                       strstr(text, "published { tcp . 127.0.0.1 . 8080 : 10.123.0.2 . 80 }"),
               "a sandbox's rules are described");
}

static void test_names_bound(Firewall *fw)
{
        Fault f = {0};
        unsigned n = 0;

        load(fw);
        while (n < 2000 && firewall_allow(fw, SANDBOX_ID, 0x08000000 + n, 3600, &f) == 0)
                n++;
        tap_ok(n == 1024 && f.code == FAULT_LIMITS_EXCEEDED,
               "%u addresses of names at a time are enough: %s", n, f.message);
        tap_ok(firewall_allow(fw, PEER_ID, 0x08000000, 60, NULL) == -EINVAL,
               "a sandbox without names gets none");
        tap_ok(is_right(fw), "all of them are right");
}

int main(void)
{
        g_autoptr(Network) n = network_new(true, false);
        g_autoptr(Firewall) fw = network_open_firewall(n);

        test_life(fw);
        test_refused(fw);
        test_tampering(fw);
        test_verify_one(fw);
        test_counters(fw);
        test_files(fw, n);
        test_others(fw);
        test_describe(fw);
        test_names_bound(fw);
        return tap_done();
}
