/* SPDX-License-Identifier: MIT */
#include "host/network-private.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "host/hypervisor-private.h"
#include "host/network-server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_USEC (2 * USEC_PER_SEC)

typedef virNetwork VirNetwork;
static inline void virt_network_free(virNetworkPtr network)
{
        (void) virNetworkFree(network);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirNetwork, virt_network_free)

typedef struct NetworkCall {
        Hypervisor *h;
        const NetworkSpec *spec;
        VirConnect *connection;
        VirNetwork *network; /* NULL where it is absent */
} NetworkCall;

static void network_call_done(NetworkCall *call)
{
        if (call->network)
                virt_network_free(call->network);
        if (call->connection)
                virt_connect_close(call->connection);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(NetworkCall, network_call_done)

#define network_fault(call, f, what) \
        hypervisor_fault((call)->h, (call)->connection, (f), "cannot %s network '%s'", (what), \
                         (call)->spec->name)

/* What there is of it. */
typedef struct Found {
        bool is_active, is_defined, is_used;
        bool definition_fits, live_fits;
} Found;

static bool link_has(const char *name, const char *file)
{
        g_autofree char *path = g_strconcat("/sys/class/net/", name, file, NULL);

        return access(path, F_OK) == 0;
}

/* libvirt forgets the taps of a network that is stopped, also where they were made ports of the new
 * bridge again. */
static bool has_ports(const char *bridge)
{
        g_autofree char *path = g_strconcat("/sys/class/net/", bridge, "/brif", NULL);
        g_autoptr(GDir) ports = g_dir_open(path, 0, NULL);

        return ports && g_dir_read_name(ports);
}

/* -- looking ---------------------------------------------------------------------------------- */

static int load_xml(NetworkCall *call, unsigned flags, XmlDoc **ret, Fault *f)
{
        char *text = virNetworkGetXMLDesc(call->network, flags);

        if (!text)
                return network_fault(call, f, "read");
        int r = xml_parse("the network's definition", text, "network", ret, f);
        free(text);
        return r;
}

static int fault_foreign(const NetworkSpec *spec, Fault *f)
{
        return fault_set(f, FAULT_EXISTS,
                         "libvirt's network '%s' was not made by fluid; rename it, or give fluid's "
                         "another name",
                         spec->name);
}

static int compare(NetworkCall *call, unsigned flags, bool *ret_fits, Fault *f)
{
        g_autoptr(XmlDoc) doc = NULL;
        int r = load_xml(call, flags, &doc, f);

        if (r >= 0 && !network_xml_is_own(doc))
                r = fault_foreign(call->spec, f);
        if (r >= 0)
                *ret_fits = network_xml_fits(doc, call->spec);
        return r;
}

static int look(NetworkCall *call, Found *ret, Fault *f)
{
        int is_active = virNetworkIsActive(call->network);
        int is_defined = virNetworkIsPersistent(call->network);
        int n_ports = is_active > 0 ? virNetworkListAllPorts(call->network, NULL, 0) : 0;
        int r = 0;

        if (is_active < 0 || is_defined < 0 || n_ports < 0)
                return network_fault(call, f, "look at");
        *ret = (Found){
                .is_active = is_active > 0,
                .is_defined = is_defined > 0,
                .is_used = n_ports > 0 || has_ports(call->spec->bridge),
        };
        if (ret->is_defined)
                r = compare(call, VIR_NETWORK_XML_INACTIVE, &ret->definition_fits, f);
        if (r >= 0 && ret->is_active)
                r = compare(call, 0, &ret->live_fits, f);
        return r;
}

static int find(NetworkCall *call, Fault *f)
{
        call->network = virNetworkLookupByName(call->connection, call->spec->name);
        if (call->network || last_error_is(VIR_ERR_NO_NETWORK))
                return 0;
        return network_fault(call, f, "find");
}

/* Whether it is another network's; that one need not be active. */
static bool is_other_bridge(const NetworkSpec *spec, virNetworkPtr network)
{
        if (g_str_equal(virNetworkGetName(network), spec->name))
                return false;
        char *bridge = virNetworkGetBridgeName(network);
        bool is_same = bridge && g_str_equal(bridge, spec->bridge);
        free(bridge);
        return is_same;
}

static int check_bridge(NetworkCall *call, Fault *f)
{
        const NetworkSpec *spec = call->spec;
        virNetworkPtr *networks = NULL;
        int r = 0, n = virConnectListAllNetworks(call->connection, &networks, 0);

        if (n < 0)
                return network_fault(call, f, "look for others beside");
        for (int i = 0; i < n; i++) {
                if (r >= 0 && is_other_bridge(spec, networks[i]))
                        r = fault_set(f, FAULT_EXISTS,
                                      "the bridge '%s' is of libvirt's network '%s'; give fluid's "
                                      "another name",
                                      spec->bridge, virNetworkGetName(networks[i]));
                (void) virNetworkFree(networks[i]);
        }
        free(networks);
        return r;
}

/* -- making ----------------------------------------------------------------------------------- */

static int define(NetworkCall *call, Fault *f)
{
        char uuid[VIR_UUID_STRING_BUFLEN];

        if (call->network && virNetworkGetUUIDString(call->network, uuid) < 0)
                return network_fault(call, f, "read the UUID of");
        g_autofree char *xml = network_format_xml(call->spec, call->network ? uuid : NULL);
        VirNetwork *network = virNetworkDefineXML(call->connection, xml);
        if (!network)
                return network_fault(call, f, "define");
        if (call->network)
                virt_network_free(call->network);
        call->network = network;
        return 0;
}

static int stop(NetworkCall *call, Fault *f)
{
        if (virNetworkDestroy(call->network) == 0 || last_error_is(VIR_ERR_OPERATION_INVALID))
                return 0;
        return network_fault(call, f, "stop");
}

/* libvirt does not wait for the end of the DHCP server of a network that it stops; a new one cannot
 * have the address before that. */
static int create(NetworkCall *call, Fault *f)
{
        uint64_t deadline = now_monotonic_usec() + START_USEC;
        Fault why = {0};

        for (;;) {
                if (virNetworkCreate(call->network) == 0)
                        return 0;
                fault_clear(&why);
                (void) network_fault(call, &why, "start");
                if (virNetworkIsActive(call->network) == 1)
                        return 0;
                if (why.code == FAULT_HYPERVISOR_UNAVAILABLE || now_monotonic_usec() >= deadline)
                        return fault_set(f, why.code, "%s", why.message);
                g_usleep(START_USEC / 20);
        }
}

static int start(NetworkCall *call, Fault *f)
{
        if (link_has(call->spec->bridge, ""))
                return fault_set(f, FAULT_EXISTS,
                                 "there is a network interface '%s' already; give fluid's bridge "
                                 "another name, or remove it",
                                 call->spec->bridge);
        return create(call, f);
}

/* libvirt starts a dnsmasq that is gone when it has a lease to tell it of: also one that it has
 * already. The network and what is plugged into it stay as they are. */
static int revive(NetworkCall *call, Fault *f)
{
        const NetworkSpec *spec = call->spec;
        g_autofree char *lease = network_format_lease(spec, 1);

        if (virNetworkUpdate(call->network, VIR_NETWORK_UPDATE_COMMAND_MODIFY,
                             VIR_NETWORK_SECTION_IP_DHCP_HOST, 0, lease,
                             VIR_NETWORK_UPDATE_AFFECT_LIVE) < 0)
                return network_fault(call, f, "start the DHCP and DNS server of");
        if (network_server_runs(spec->name))
                return 0;
        return fault_set(f, FAULT_NETWORK_FAILED,
                         "the DHCP and DNS server of network '%s' has ended, and libvirt does not "
                         "start it again: look at libvirtd's log; 'virsh net-destroy %s' makes the "
                         "network anew, and takes it from the sandboxes for a moment",
                         spec->name, spec->name);
}

/* fluid starts it itself, once it has its rules. */
static int set_manual(NetworkCall *call, Fault *f)
{
        int is_automatic;

        if (virNetworkGetAutostart(call->network, &is_automatic) < 0 ||
            (is_automatic && virNetworkSetAutostart(call->network, 0) < 0))
                return network_fault(call, f, "set autostart of");
        return 0;
}

static int make(NetworkCall *call, Fault *f)
{
        int r = check_bridge(call, f);

        if (r >= 0)
                r = define(call, f);
        if (r < 0)
                return r;
        r = start(call, f);
        if (r < 0)
                (void) virNetworkUndefine(call->network);
        return r;
}

/* Where its bridge was deleted no domain has a network any more, and it has to be made anew in any
 * case. It is defined first, since a transient network goes away when it stops. */
static int mend(NetworkCall *call, const Found *found, Fault *f)
{
        bool has_bridge = link_has(call->spec->bridge, "/bridge");
        bool is_good = found->is_active && found->live_fits && has_bridge;
        int r = 0;

        if (found->is_active && !is_good && found->is_used && has_bridge)
                return fault_set(f, FAULT_BUSY,
                                 "network '%s' is not as it should be, and sandboxes use it; stop "
                                 "them first",
                                 call->spec->name);
        if (!found->definition_fits)
                r = check_bridge(call, f);
        if (r >= 0 && !found->definition_fits)
                r = define(call, f);
        if (r >= 0)
                r = set_manual(call, f);
        if (r >= 0 && found->is_active && !is_good)
                r = stop(call, f);
        if (r >= 0 && !is_good)
                return start(call, f);
        if (r >= 0 && !network_server_runs(call->spec->name))
                r = revive(call, f);
        return r;
}

int hypervisor_ensure_network(Hypervisor *h, const NetworkSpec *spec, Fault *f)
{
        g_auto(NetworkCall) call = {.h = h, .spec = spec};
        Found found = {0};
        int r = network_check_spec(spec, f);

        if (r >= 0)
                r = hypervisor_take_connection(h, &call.connection, f);
        if (r >= 0)
                r = find(&call, f);
        if (r < 0)
                return r;
        if (!call.network)
                return make(&call, f);
        r = look(&call, &found, f);
        return r < 0 ? r : mend(&call, &found, f);
}
