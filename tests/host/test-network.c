/* SPDX-License-Identifier: MIT */

/* The definition of fluid's network, against tests/host/golden/network.xml, and what libvirt 9.0
 * made of that, network-shown.xml. With FLUID_UPDATE_GOLDEN=1 the first is written anew: read the
 * difference before it is committed. */

#include "base/cleanup.h"
#include "base/file.h"
#include "host/network-private.h"
#include "tests/tap.h"

#define GOLDEN "tests/host/golden/"

static const NetworkSpec plain = {"fluid", "fluid0", {0x0ad50000, 20}, 3};

static char *read_golden(const char *file)
{
        g_autofree char *path = g_strconcat(GOLDEN, file, NULL);
        char *text = NULL;
        Fault f = {0};

        if (file_read(path, 1 << 20, &text, NULL, &f) < 0)
                tap_bail_out(f.message);
        return text;
}

/* -- numbers ---------------------------------------------------------------------------------- */

static void test_numbers(void)
{
        static const struct {
                AddressRange range;
                unsigned number;
                const char *address, *mac;
        } cases[] = {
                {{0x0ad50000, 20}, 0, "10.213.0.1", "02:fd:0a:d5:00:01"},
                {{0x0ad50000, 20}, 1, "10.213.0.2", "02:fd:0a:d5:00:02"},
                {{0x0ad50000, 20}, 255, "10.213.1.0", "02:fd:0a:d5:01:00"},
                {{0xc0a8ff00, 24}, 253, "192.168.255.254", "02:fd:c0:a8:ff:fe"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                uint32_t address = network_address(&cases[i].range, cases[i].number);
                char text[ADDRESS_TEXT_MAX], mac_text[MAC_TEXT_MAX];
                uint8_t mac[MAC_SIZE];
                address_format(address, text);
                network_mac(address, mac);
                mac_format(mac, mac_text);
                tap_ok(g_str_equal(text, cases[i].address) && g_str_equal(mac_text, cases[i].mac),
                       "number %u is %s, for %s", cases[i].number, cases[i].address, cases[i].mac);
        }
}

static void test_specs(void)
{
        static const struct {
                const char *what;
                NetworkSpec spec;
                bool is_good;
        } cases[] = {
                {"a range that is just large enough is taken",
                 {"fluid", "fluid0", {0xc0000200, 24}, 253},
                 true},
                {"one lease too many is refused",
                 {"fluid", "fluid0", {0xc0000200, 24}, 254},
                 false},
                {"the smallest has room for one", {"fluid", "fluid0", {0xc0000200, 30}, 1}, true},
                {"two addresses are too few", {"fluid", "fluid0", {0xc0000200, 31}, 1}, false},
                {"one is too few", {"fluid", "fluid0", {0xc0000200, 32}, 1}, false},
                {"the largest range there is has room", {"fluid", "fluid0", {0, 0}, 4000}, true},
                {"no lease is refused", {"fluid", "fluid0", {0xc0000200, 24}, 0}, false},
                {"no name is refused", {"", "fluid0", {0xc0000200, 24}, 1}, false},
                {"a path is no name", {"a/b", "fluid0", {0xc0000200, 24}, 1}, false},
                {"nor is a line break", {"a\nb", "fluid0", {0xc0000200, 24}, 1}, false},
                {"no bridge is refused", {"fluid", "", {0xc0000200, 24}, 1}, false},
                {"the kernel's longest name is taken",
                 {"fluid", "fifteen-letters", {0xc0000200, 24}, 1},
                 true},
                {"a longer one is refused",
                 {"fluid", "sixteen--letters", {0xc0000200, 24}, 1},
                 false},
                {"a path is no bridge", {"fluid", "../etc", {0xc0000200, 24}, 1}, false},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                Fault f = {0};
                int r = network_check_spec(&cases[i].spec, &f);
                tap_ok(cases[i].is_good ? r == 0 : r < 0 && f.code == FAULT_INVALID_ARGUMENT, "%s",
                       cases[i].what);
                if (r < 0)
                        tap_note("%s", f.message);
        }
}

static void test_golden(void)
{
        g_autofree char *xml = network_format_xml(&plain, "11111111-2222-4333-8444-555555555555");

        if (g_getenv("FLUID_UPDATE_GOLDEN"))
                (void) g_file_set_contents(GOLDEN "network.xml", xml, -1, NULL);
        g_autofree char *expected = read_golden("network.xml");
        tap_is_str(xml, expected, "the definition is what libvirt was given");
}

/* -- what is there ---------------------------------------------------------------------------- */

static bool fits(const char *xml, const NetworkSpec *spec)
{
        g_autoptr(XmlDoc) doc = NULL;

        if (xml_parse("the network", xml, "network", &doc, NULL) < 0)
                tap_bail_out("a test's XML is none");
        return network_xml_fits(doc, spec);
}

static bool is_own(const char *xml)
{
        g_autoptr(XmlDoc) doc = NULL;

        if (xml_parse("the network", xml, "network", &doc, NULL) < 0)
                tap_bail_out("a test's XML is none");
        return network_xml_is_own(doc);
}

static char *shown_with(const char *old, const char *new)
{
        g_autofree char *shown = read_golden("network-shown.xml");

        if (!strstr(shown, old))
                tap_bail_out("network-shown.xml has not what a test replaces");
        g_auto(GStrv) parts = g_strsplit(shown, old, 2);
        return g_strjoinv(new, parts);
}

static void test_likeness(void)
{
        g_autofree char *given = network_format_xml(&plain, NULL);
        g_autofree char *shown = read_golden("network-shown.xml");
        g_autofree char *used = shown_with("<network ", "<network connections='2' ");
        g_autofree char *zoned = shown_with("stp='off'", "zone='libvirt' stp='off'");
        NetworkSpec more = plain, other = plain, wider = plain;

        more.leases++;
        other.range.address += 1 << 12;
        wider.range.prefix_length--;
        tap_ok(fits(given, &plain), "what libvirt is given fits");
        tap_ok(fits(shown, &plain), "so does what it shows of that");
        tap_ok(fits(used, &plain), "so it does when domains use it");
        tap_ok(fits(zoned, &plain), "and with an attribute that fluid has no opinion on");
        tap_ok(!fits(shown, &more), "another number of leases does not");
        tap_ok(!fits(shown, &other), "nor another range");
        tap_ok(!fits(shown, &wider), "nor another length of it");
        tap_ok(is_own(given) && is_own(shown), "it is fluid's");
}

static void test_changes(void)
{
        static const struct {
                const char *old, *new;
        } cases[] = {
                {"<forward mode='open'/>", "<forward mode='nat'/>"},
                {"<forward mode='open'/>", ""},
                {"<forward mode='open'/>", "<forward mode='open'><nat/></forward>"},
                {"name='fluid0'", "name='fluid1'"},
                {"stp='off'", "stp='on'"},
                {"delay='0'", "delay='15'"},
                {"<port isolated='yes'/>", "<port isolated='no'/>"},
                {"<port isolated='yes'/>", ""},
                {"<network ", "<network ipv6='yes' "},
                {"<network ", "<network trustGuestRxFilters='yes' "},
                {"<mac address='02:fd:0a:d5:00:01'/>", "<mac address='02:fd:0a:d5:00:99'/>"},
                {"prefix='20'", "prefix='16'"},
                {"<dhcp>", "<dhcp><range start='10.213.0.100' end='10.213.0.200'/>"},
                {"<dhcp>", "<dhcp><host mac='52:54:00:00:00:01' ip='10.213.0.100'/>"},
                {"ip='10.213.0.3'", "ip='10.213.0.4'"},
                {"mac='02:fd:0a:d5:00:03'", "mac='02:fd:0a:d5:00:04'"},
                {"</ip>", "</ip><ip family='ipv6' address='fd00::1' prefix='64'/>"},
                {"</ip>", "</ip><route address='10.0.0.0' prefix='8' gateway='10.213.0.2'/>"},
                {"dhcp-lease-max=3", "dhcp-lease-max=2"},
                {"value='no-hosts'", "value='conf-file=/etc/shadow'"},
                {"</dnsmasq:options>",
                 "<dnsmasq:option value='dhcp-script=/bin/sh'/></dnsmasq:options>"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *changed = shown_with(cases[i].old, cases[i].new);
                tap_ok(!fits(changed, &plain), "one with %s instead of %s does not fit",
                       cases[i].new[0] ? cases[i].new : "nothing", cases[i].old);
        }
}

static void test_owner(void)
{
        static const char mark[] = "<fluid:network xmlns:fluid=\"urn:fluid:network:1\"/>";
        g_autofree char *bare = shown_with(mark, "");
        g_autofree char *other = shown_with("urn:fluid:network:1", "urn:other:network:1");
        g_autofree char *plain_name = shown_with(mark, "<network/>");

        tap_ok(!is_own(bare), "a network without the mark is another's");
        tap_ok(!is_own(other), "so is one with another's");
        tap_ok(!is_own(plain_name), "and one whose mark has no namespace");
        tap_ok(!is_own("<network><name>fluid</name></network>"), "and one without metadata");
}

int main(void)
{
        test_numbers();
        test_specs();
        test_golden();
        test_likeness();
        test_changes();
        test_owner();
        return tap_done();
}
