/* SPDX-License-Identifier: MIT */
#include "host/network-private.h"

#include <net/if.h>
#include <string.h>

#define DNSMASQ_NAMESPACE "http://libvirt.org/schemas/network/dnsmasq/1.0"

/* -- the definition --------------------------------------------------------------------------- */

static int check_names(const NetworkSpec *spec, Fault *f)
{
        size_t length = strlen(spec->bridge);

        if (!spec->name[0] || strchr(spec->name, '/') || !xml_text_is_valid(spec->name))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%.40s' is not a network's name",
                                 spec->name);
        if (length == 0 || length >= IFNAMSIZ || strchr(spec->bridge, '/') ||
            !xml_text_is_valid(spec->bridge))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%.40s' is not a bridge's name",
                                 spec->bridge);
        return 0;
}

int network_check_spec(const NetworkSpec *spec, Fault *f)
{
        int r = check_names(spec, f);

        if (r < 0)
                return r;
        if (spec->leases == 0)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "a network needs at least one address to give out");
        /* The first is the network's own, then the gateway's; the last is for broadcasts. */
        uint64_t room = (UINT64_C(1) << (32 - spec->range.prefix_length)) - 1;
        if (room < 2 || spec->leases > room - 2) {
                g_autofree char *range = address_range_format(&spec->range);
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "the range %s has no room for %u sandboxes; it has to be larger",
                                 range, spec->leases);
        }
        return 0;
}

static void set_mac(xmlNode *node, const char *attribute, uint32_t address)
{
        uint8_t mac[MAC_SIZE];
        char text[MAC_TEXT_MAX];

        network_mac(address, mac);
        mac_format(mac, text);
        xml_set(node, attribute, text);
}

static void set_address(xmlNode *node, const char *attribute, uint32_t address)
{
        char text[ADDRESS_TEXT_MAX];

        address_format(address, text);
        xml_set(node, attribute, text);
}

static void add_metadata(xmlNode *network)
{
        xmlNode *mark = xml_add(xml_add(network, "metadata", NULL), "network", NULL);

        xmlSetNs(mark,
                 xmlNewNs(mark, (const xmlChar *) NETWORK_NAMESPACE, (const xmlChar *) "fluid"));
}

/* Delay 0: a port forwards at once. */
static void add_bridge(xmlNode *network, const NetworkSpec *spec)
{
        xmlNode *bridge = xml_add(network, "bridge", NULL);

        xml_set(bridge, "name", spec->bridge);
        xml_set(bridge, "stp", "off");
        xml_set(bridge, "delay", "0");
        set_mac(xml_add(network, "mac", NULL), "address", network_address(&spec->range, 0));
        xml_set(xml_add(network, "port", NULL), "isolated", "yes");
}

static void fill_lease(xmlNode *host, const NetworkSpec *spec, unsigned number)
{
        uint32_t address = network_address(&spec->range, number);

        set_mac(host, "mac", address);
        set_address(host, "ip", address);
        xml_set(xml_add(host, "lease", NULL), "expiry", "0");
}

/* No <range>: who has no reservation gets nothing. Leases never end, so that no guest loses its
 * address because it slept or nobody answered. */
static void add_leases(xmlNode *network, const NetworkSpec *spec)
{
        g_autofree char *prefix = g_strdup_printf("%u", spec->range.prefix_length);
        xmlNode *ip = xml_add(network, "ip", NULL);

        set_address(ip, "address", network_address(&spec->range, 0));
        xml_set(ip, "prefix", prefix);
        xmlNode *dhcp = xml_add(ip, "dhcp", NULL);
        for (unsigned i = 1; i <= spec->leases; i++)
                fill_lease(xml_add(dhcp, "host", NULL), spec, i);
}

static void add_option(xmlNode *options, const char *value)
{
        xmlNode *option = xmlNewChild(options, options->ns, (const xmlChar *) "option", NULL);

        xml_set(option, "value", value);
}

/* What libvirt has no words for: a guest must not give itself a name that others look up, nor see
 * those of the host's /etc/hosts; and without its own limit dnsmasq stops at 1,000 leases. */
static void add_options(xmlNode *network, const NetworkSpec *spec)
{
        g_autofree char *lease_max = g_strdup_printf("dhcp-lease-max=%u", spec->leases);
        xmlNs *ns =
                xmlNewNs(network, (const xmlChar *) DNSMASQ_NAMESPACE, (const xmlChar *) "dnsmasq");
        xmlNode *options = xmlNewChild(network, ns, (const xmlChar *) "options", NULL);

        add_option(options, "dhcp-ignore-names");
        add_option(options, "no-hosts");
        add_option(options, lease_max);
}

static XmlDoc *build(const NetworkSpec *spec)
{
        XmlDoc *doc = xmlNewDoc((const xmlChar *) "1.0");
        xmlNode *network = xmlNewDocNode(doc, NULL, (const xmlChar *) "network", NULL);

        xmlDocSetRootElement(doc, network);
        xml_add(network, "name", spec->name);
        add_metadata(network);
        xml_set(xml_add(network, "forward", NULL), "mode", "open");
        add_bridge(network, spec);
        add_leases(network, spec);
        add_options(network, spec);
        return doc;
}

char *network_format_xml(const NetworkSpec *spec, const char *uuid)
{
        g_autoptr(XmlDoc) doc = build(spec);

        if (uuid)
                xml_add(xmlDocGetRootElement(doc), "uuid", uuid);
        return xml_format(doc);
}

char *network_format_lease(const NetworkSpec *spec, unsigned number)
{
        g_autoptr(XmlDoc) doc = xmlNewDoc((const xmlChar *) "1.0");
        xmlNode *host = xmlNewDocNode(doc, NULL, (const xmlChar *) "host", NULL);

        xmlDocSetRootElement(doc, host);
        fill_lease(host, spec, number);
        return xml_format(doc);
}

/* -- what is there ---------------------------------------------------------------------------- */

static bool is_named(const xmlNode *node, const char *href, const char *name)
{
        return node->ns && g_str_equal((const char *) node->ns->href, href) &&
               g_str_equal((const char *) node->name, name);
}

bool network_xml_is_own(XmlDoc *doc)
{
        xmlNode *metadata = xml_find(xmlDocGetRootElement(doc), "metadata");

        for (xmlNode *node = metadata ? xml_first(metadata) : NULL; node; node = xml_next(node))
                if (is_named(node, NETWORK_NAMESPACE, "network"))
                        return true;
        return false;
}

static bool has_same_name(const xmlNode *a, const xmlNode *b)
{
        return a->ns ? is_named(b, (const char *) a->ns->href, (const char *) a->name)
                     : xml_is(b, (const char *) a->name);
}

static bool has_attributes(xmlNode *found, xmlNode *wanted)
{
        for (xmlAttr *attribute = wanted->properties; attribute; attribute = attribute->next) {
                g_autofree char *value = xml_get(wanted, (const char *) attribute->name);
                if (!xml_has(found, (const char *) attribute->name, value))
                        return false;
        }
        return true;
}

static bool has_same_text(xmlNode *a, xmlNode *b)
{
        g_autofree char *text = xml_text(a), *other = xml_text(b);

        return g_str_equal(g_strstrip(text), g_strstrip(other));
}

/* The same elements in the same order, with the same attributes or more: later versions of libvirt
 * may show more defaults. */
static bool is_like(xmlNode *found, xmlNode *wanted)
{
        xmlNode *child = xml_first(found), *other = xml_first(wanted);

        if (!has_same_name(wanted, found) || !has_attributes(found, wanted))
                return false;
        if (!child && !other)
                return has_same_text(found, wanted);
        for (; child && other; child = xml_next(child), other = xml_next(other))
                if (!is_like(child, other))
                        return false;
        return !child && !other;
}

bool network_xml_fits(XmlDoc *doc, const NetworkSpec *spec)
{
        g_autoptr(XmlDoc) wanted = build(spec);
        xmlNode *network = xmlDocGetRootElement(doc);

        if (xml_has(network, "ipv6", "yes") || xml_has(network, "trustGuestRxFilters", "yes"))
                return false;
        xml_remove(xml_find(network, "uuid"));
        return is_like(network, xmlDocGetRootElement(wanted));
}
