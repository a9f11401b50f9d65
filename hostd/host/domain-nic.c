/* SPDX-License-Identifier: MIT */
#include "host/hypervisor.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "host/hypervisor-private.h"
#include "host/xml.h"

#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ASK_USEC  USEC_PER_SEC
#define LOOK_USEC (20 * USEC_PER_MSEC)

/* -- reading ---------------------------------------------------------------------------------- */

/* The live definition of the domain. */
typedef struct Live {
        XmlDoc *doc;
        xmlNode *domain, *devices;
        bool is_active; /* else there is none, and all is NULL */
} Live;

static void live_done(Live *live)
{
        xmlFreeDoc(live->doc);
        *live = (Live){0};
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Live, live_done)

/* What libvirt shows is the live definition where the domain has a number. */
static int load_live(DomainCall *call, Live *ret, Fault *f)
{
        g_autoptr(XmlDoc) doc = NULL;
        char *text = virDomainGetXMLDesc(call->domain, 0);

        if (!text)
                return call_fault(call, f, "read the definition of");
        int r = xml_parse("the domain's definition", text, "domain", &doc, f);
        free(text);
        if (r < 0)
                return r;
        xmlNode *domain = xmlDocGetRootElement(doc);
        live_done(ret);
        if (xmlHasProp(domain, (const xmlChar *) "id"))
                *ret = (Live){
                        .doc = TAKE_PTR(doc),
                        .domain = domain,
                        .devices = xml_find(domain, "devices"),
                        .is_active = true,
                };
        return 0;
}

static int load_active(DomainCall *call, Live *ret, Fault *f)
{
        int r = load_live(call, ret, f);

        if (r >= 0 && !ret->is_active)
                r = fault_set(f, FAULT_WRONG_STATE, "domain " DOMAIN_PREFIX "%s is not running",
                              call->id);
        return r;
}

static xmlNode *next_nic(xmlNode *node)
{
        while (node && !xml_is(node, "interface"))
                node = xml_next(node);
        return node;
}

static xmlNode *first_nic(const Live *live)
{
        return live->devices ? next_nic(xml_first(live->devices)) : NULL;
}

static xmlNode *find_nic(const Live *live, const char *mac)
{
        for (xmlNode *node = first_nic(live); node; node = next_nic(xml_next(node))) {
                g_autofree char *found = xml_get(xml_find(node, "mac"), "address");
                if (found && g_ascii_strcasecmp(found, mac) == 0)
                        return node;
        }
        return NULL;
}

static int find_present(DomainCall *call, Live *live, const char *mac, xmlNode **ret, Fault *f)
{
        int r = load_active(call, live, f);

        if (r < 0)
                return r;
        *ret = find_nic(live, mac);
        if (*ret)
                return 0;
        return fault_set(f, FAULT_NOT_FOUND, "domain " DOMAIN_PREFIX "%s has no NIC %.20s",
                         call->id, mac);
}

static void nic_free(void *pointer)
{
        DomainNic *nic = pointer;

        g_free(nic->network);
        g_free(nic->interface);
        g_free(nic);
}

static char *or_empty(char *text)
{
        return text ? text : g_strdup("");
}

static DomainNic *nic_from_xml(xmlNode *node)
{
        DomainNic *nic = g_new0(DomainNic, 1);
        g_autofree char *mac = xml_get(xml_find(node, "mac"), "address");

        if (xml_has(node, "type", "network"))
                nic->network = xml_get(xml_find(node, "source"), "network");
        nic->network = or_empty(nic->network);
        nic->interface = or_empty(xml_get(xml_find(node, "target"), "dev"));
        for (size_t i = 0; mac && mac[i] && i < MAC_TEXT_MAX - 1; i++)
                nic->mac[i] = g_ascii_tolower(mac[i]);
        return nic;
}

int hypervisor_domain_nics(Hypervisor *h, const char *id, GPtrArray **ret, Fault *f)
{
        g_auto(DomainCall) call = {0};
        g_auto(Live) live = {0};
        int r = domain_call_begin_present(&call, h, id, f);

        if (r >= 0)
                r = load_active(&call, &live, f);
        if (r < 0)
                return r;
        g_autoptr(GPtrArray) nics = g_ptr_array_new_with_free_func(nic_free);
        for (xmlNode *node = first_nic(&live); node; node = next_nic(xml_next(node)))
                g_ptr_array_add(nics, nic_from_xml(node));
        *ret = TAKE_PTR(nics);
        return 0;
}

/* -- plugging in ------------------------------------------------------------------------------ */

static int check_nic(const DomainNic *nic, Fault *f)
{
        uint8_t mac[MAC_SIZE];
        size_t length = strlen(nic->interface);

        if (length == 0 || length >= IFNAMSIZ || strchr(nic->interface, '/') ||
            !xml_text_is_valid(nic->interface))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%.40s' is not a tap's name",
                                 nic->interface);
        if (!nic->network[0] || !xml_text_is_valid(nic->network))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%.40s' is not a network's name",
                                 nic->network);
        return mac_parse(nic->mac, mac, f);
}

/* Its port is isolated by what the network says, and here once more. No ROM: nothing boots from it,
 * and the firmware would run it. Under emulation the kernel's vhost, which works for QEMU beside
 * the guest's only CPU, is no gain. */
static char *format_nic(const DomainNic *nic, bool is_emulated)
{
        g_autoptr(XmlDoc) doc = xmlNewDoc((const xmlChar *) "1.0");
        xmlNode *node = xmlNewDocNode(doc, NULL, (const xmlChar *) "interface", NULL);

        xmlDocSetRootElement(doc, node);
        xml_set(node, "type", "network");
        xml_set(xml_add(node, "mac", NULL), "address", nic->mac);
        xml_set(xml_add(node, "source", NULL), "network", nic->network);
        xml_set(xml_add(node, "target", NULL), "dev", nic->interface);
        xml_set(xml_add(node, "model", NULL), "type", "virtio");
        if (is_emulated)
                xml_set(xml_add(node, "driver", NULL), "name", "qemu");
        xml_set(xml_add(node, "port", NULL), "isolated", "yes");
        xml_set(xml_add(node, "link", NULL), "state", "down");
        xml_set(xml_add(node, "rom", NULL), "enabled", "no");
        return xml_format_node(node);
}

static bool is_isolated(const char *interface)
{
        g_autofree char *path = g_strconcat("/sys/class/net/", interface, "/brport/isolated", NULL);
        g_autofree char *text = NULL;

        return g_file_get_contents(path, &text, NULL, NULL) && text[0] == '1';
}

static bool is_port_of(const char *interface, const char *bridge)
{
        g_autofree char *path = g_strconcat("/sys/class/net/", interface, "/master", NULL);
        g_autofree char *target = g_file_read_link(path, NULL);
        g_autofree char *master = target ? g_path_get_basename(target) : NULL;

        return master && g_str_equal(master, bridge);
}

/* The NIC that is there is the wanted one, and its tap what is promised. */
static int check_plugged(DomainCall *call, xmlNode *node, const DomainNic *nic, Fault *f)
{
        g_autofree char *interface = xml_get(xml_find(node, "target"), "dev");
        g_autofree char *bridge = xml_get(xml_find(node, "source"), "bridge");

        if (!xml_has(node, "type", "network") ||
            !xml_has(xml_find(node, "source"), "network", nic->network) || !interface ||
            !g_str_equal(interface, nic->interface))
                return fault_set(f, FAULT_EXISTS,
                                 "domain " DOMAIN_PREFIX
                                 "%s has a NIC %s already, but in another network or with tap "
                                 "'%.20s'; unplug it",
                                 call->id, nic->mac, interface ? interface : "");
        if (!bridge || !is_port_of(interface, bridge) || !is_isolated(interface))
                return fault_set(f, FAULT_HYPERVISOR_FAILED,
                                 "tap '%s' is not an isolated port of the bridge of network '%s'",
                                 nic->interface, nic->network);
        return 0;
}

static int plug(DomainCall *call, const Live *live, const DomainNic *nic, Fault *f)
{
        g_autofree char *xml = format_nic(nic, xml_has(live->domain, "type", "qemu"));

        if (virDomainAttachDeviceFlags(call->domain, xml, VIR_DOMAIN_AFFECT_LIVE) == 0)
                return 0;
        return call_fault(call, f, "plug a NIC into");
}

int hypervisor_attach_nic(Hypervisor *h, const char *id, const DomainNic *nic, Fault *f)
{
        g_auto(DomainCall) call = {0};
        g_auto(Live) live = {0};
        Fault why = {0};
        int plugged = 0, r = check_nic(nic, f);

        if (r >= 0)
                r = domain_call_begin_present(&call, h, id, f);
        if (r >= 0)
                r = load_active(&call, &live, f);
        if (r < 0)
                return r;
        xmlNode *node = find_nic(&live, nic->mac);
        if (!node) {
                plugged = plug(&call, &live, nic, &why);
                /* Somebody else may have done the same. */
                r = load_active(&call, &live, f);
                node = r < 0 ? NULL : find_nic(&live, nic->mac);
        }
        if (r >= 0 && !node)
                return plugged < 0
                               ? fault_set(f, why.code, "%s", why.message)
                               : fault_set(f, FAULT_HYPERVISOR_FAILED,
                                           "domain " DOMAIN_PREFIX "%s lost its NIC at once", id);
        return r < 0 ? r : check_plugged(&call, node, nic, f);
}

/* -- its cable -------------------------------------------------------------------------------- */

int hypervisor_set_nic_link(Hypervisor *h, const char *id, const char *mac, bool is_up, Fault *f)
{
        g_auto(DomainCall) call = {0};
        g_auto(Live) live = {0};
        xmlNode *node = NULL;
        int r = domain_call_begin_present(&call, h, id, f);

        if (r >= 0)
                r = find_present(&call, &live, mac, &node, f);
        if (r < 0)
                return r;
        xmlNode *link = xml_find(node, "link");
        if (xml_has(link, "state", "down") != is_up)
                return 0;
        if (!link)
                link = xml_add(node, "link", NULL);
        xml_set(link, "state", is_up ? "up" : "down");
        g_autofree char *xml = xml_format_node(node);
        if (virDomainUpdateDeviceFlags(call.domain, xml, VIR_DOMAIN_AFFECT_LIVE) == 0)
                return 0;
        return call_fault(&call, f, is_up ? "plug in the cable of" : "pull the cable of");
}

/* -- unplugging ------------------------------------------------------------------------------- */

/* Returns at once. QEMU refuses while the guest has not answered an earlier request; then there is
 * nothing to do but to wait. */
static int ask_to_let_go(DomainCall *call, xmlNode *node, Fault *f)
{
        g_autofree char *alias = xml_get(xml_find(node, "alias"), "name");

        if (virDomainDetachDeviceAlias(call->domain, alias ? alias : "", VIR_DOMAIN_AFFECT_LIVE) ==
            0)
                return 0;
        return call_fault(call, f, "unplug a NIC from");
}

static int fault_stays(const char *id, const char *mac, const Fault *why, Fault *f)
{
        return fault_set(f, FAULT_TIMED_OUT,
                         "the guest of domain " DOMAIN_PREFIX
                         "%s did not let go of its NIC %.20s%s%s",
                         id, mac, why->message[0] ? ": " : "", why->message);
}

/* Asks and waits; 0 when it is gone. */
static int unplug(DomainCall *call, const char *mac, uint64_t timeout_usec, Fault *f)
{
        uint64_t now = now_monotonic_usec(), deadline = now + timeout_usec, next_ask = now;
        Fault why = {0};

        for (;;) {
                g_auto(Live) live = {0};
                Fault reason = {0};
                int r = load_live(call, &live, &reason);
                if (r < 0 && !last_error_is(VIR_ERR_NO_DOMAIN))
                        return fault_set(f, reason.code, "%s", reason.message);
                xmlNode *node = find_nic(&live, mac);
                if (!node)
                        return 0;
                now = now_monotonic_usec();
                if (now >= deadline)
                        return fault_stays(call->id, mac, &why, f);
                if (now >= next_ask) {
                        next_ask = now + ASK_USEC;
                        fault_clear(&why);
                        r = ask_to_let_go(call, node, &why);
                        if (r < 0 && why.code == FAULT_HYPERVISOR_UNAVAILABLE)
                                return fault_set(f, why.code, "%s", why.message);
                }
                g_usleep(MIN(LOOK_USEC, deadline - now));
        }
}

/* A request that nobody hears would stay, and be answered some time. */
static int check_runs(DomainCall *call, const char *mac, Fault *f)
{
        g_auto(Live) live = {0};
        int state, reason, r = load_live(call, &live, f);

        if (r < 0 || !find_nic(&live, mac))
                return r;
        if (virDomainGetState(call->domain, &state, &reason, 0) < 0)
                return call_fault(call, f, "ask for the state of");
        if (!domain_stands_still(domain_state_from_virt(state, reason)))
                return 0;
        return fault_set(f, FAULT_WRONG_STATE,
                         "domain " DOMAIN_PREFIX "%s is paused, so that its guest cannot let go of "
                         "its NIC %.20s; resume it first",
                         call->id, mac);
}

int hypervisor_detach_nic(Hypervisor *h, const char *id, const char *mac, uint64_t timeout_usec,
                          Fault *f)
{
        g_auto(DomainCall) call = {0};
        int r = domain_call_begin(&call, h, id, f);

        if (r < 0 || !call.domain)
                return r;
        r = check_runs(&call, mac, f);
        return r < 0 ? r : unplug(&call, mac, timeout_usec, f);
}
