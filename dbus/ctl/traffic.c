/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/traffic.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/sandbox.h"

#include <inttypes.h>

static const struct {
        const char *reason, *words;
} reasons[] = {
        {"forged", "with the MAC or the address of another"},
        {"protocol", "neither IPv4 nor ARP, multicast, or a DHCP server's answer"},
        {"host", "to this host, but not to its DHCP and DNS"},
        {"reach", "where its profile does not let it"},
        {"limit", "more connections than its profile lets it have"},
};

/* A reason that this program does not know says enough by itself. */
static const char *describe(const char *reason)
{
        for (size_t i = 0; i < G_N_ELEMENTS(reasons); i++)
                if (g_str_equal(reasons[i].reason, reason))
                        return reasons[i].words;
        return reason;
}

/* -- what the daemon says ---------------------------------------------------------------------- */

/* [[a, b, …], …] into [{"key a": a, …}, …] */
static Json *name_members(Json *rows, const char *const *keys)
{
        Json *objects = json_object_new_array();

        for (size_t i = 0; i < json_object_array_length(rows); i++) {
                Json *row = json_object_array_get_idx(rows, i);
                Json *object = json_object_new_object();
                for (size_t j = 0; keys[j]; j++)
                        (void) json_object_object_add(
                                object, keys[j],
                                json_object_get(json_object_array_get_idx(row, j)));
                (void) json_object_array_add(objects, object);
        }
        return objects;
}

static int load_counters(Ctl *ctl, const char *path, Json *network, Fault *f)
{
        static const char *const keys[] = {"what", "packets", "bytes", NULL};
        g_autoptr(Json) rows = NULL;

        int r = bus_property(ctl, path, INTERFACE_SANDBOX, "NetworkCounters", &rows, f);
        if (r >= 0)
                (void) json_object_object_add(network, "counters", name_members(rows, keys));
        return r;
}

static int load_drops(Ctl *ctl, const char *path, Json *network, Fault *f)
{
        static const char *const drop_keys[] = {"reason", "address",  "protocol",
                                                "port",   "age_usec", NULL};
        static const char *const name_keys[] = {"name", "reason", "times", "age_usec", NULL};
        g_autoptr(Json) drops = NULL, names = NULL;
        g_autoptr(BusMessage) reply = NULL;

        int r = bus_request(ctl, BUS_TIMEOUT_USEC, path, INTERFACE_SANDBOX, "ListDrops", &reply, f,
                            NULL);
        if (r >= 0)
                r = bus_read_json(reply, &drops, f);
        if (r >= 0)
                r = bus_read_json(reply, &names, f);
        if (r < 0)
                return r;
        (void) json_object_object_add(network, "drops", name_members(drops, drop_keys));
        (void) json_object_object_add(network, "names", name_members(names, name_keys));
        return 0;
}

/* Of the call itself: nothing is wrong with the network. */
static bool is_fatal(FaultCode code)
{
        return code == FAULT_CANCELLED || code == FAULT_TIMED_OUT || code == FAULT_DENIED;
}

/* Where its rules are not in the kernel there is nothing to be read from it. */
static int load_kernel(Ctl *ctl, const char *path, Json *network, Fault *f)
{
        Fault reason = {0};

        if (!*json_text(network, "address"))
                return 0;
        if (load_counters(ctl, path, network, &reason) >= 0)
                (void) load_drops(ctl, path, network, &reason);
        if (!fault_is_set(&reason))
                return 0;
        if (is_fatal(reason.code))
                return fault_set(f, reason.code, "%s", reason.message);
        (void) json_object_object_add(network, "fault", json_object_new_string(reason.message));
        return 0;
}

static int load(Ctl *ctl, const char *path, Json **ret, Fault *f)
{
        static const char *const keys[] = {"object",         "id",          "name",
                                           "network",        "address",     "network_state",
                                           "network_reason", "mac_address", "network_interface",
                                           "published_ports"};
        g_autoptr(Json) sandbox = NULL, network = json_object_new_object();

        int r = bus_properties(ctl, path, INTERFACE_SANDBOX, &sandbox, f);
        if (r < 0)
                return r;
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                (void) json_object_object_add(
                        network, keys[i],
                        json_object_get(json_object_object_get(sandbox, keys[i])));
        r = load_kernel(ctl, path, network, f);
        if (r >= 0)
                *ret = TAKE_PTR(network);
        return r;
}

/* -- for people -------------------------------------------------------------------------------- */

static void print_state(Json *network)
{
        print_field("sandbox", "%s", json_text(network, "name"));
        print_field("profile", "%s", json_text(network, "network"));
        print_field("state", "%s", json_text(network, "network_state"));
        print_field("reason", "%s", json_text(network, "network_reason"));
        print_field("address", "%s", json_text(network, "address"));
        print_field("mac", "%s", json_text(network, "mac_address"));
        print_field("interface", "%s", json_text(network, "network_interface"));
        sandbox_print_ports(network);
}

static void print_counters(Json *counters)
{
        for (size_t i = 0; i < json_object_array_length(counters); i++) {
                Json *counter = json_object_array_get_idx(counters, i);
                uint64_t packets = json_number(counter, "packets");
                g_autofree char *bytes = size_format(json_number(counter, "bytes"));
                const char *what = json_text(counter, "what");
                bool passed = g_str_equal(what, "passed");

                print_field(passed ? "passed" : "dropped", "%" PRIu64 " packet%s, %s%s%s", packets,
                            packets == 1 ? "" : "s", bytes, passed ? "" : ": ",
                            passed ? "" : describe(what));
        }
}

static void print_drops(Json *drops)
{
        g_autoptr(Table) table = table_new("AGO", "DESTINATION", "DROPPED", NULL);
        size_t n = json_object_array_length(drops);

        for (size_t i = 0; i < n; i++) {
                Json *drop = json_object_array_get_idx(drops, i);
                g_autofree char *age = format_seconds(json_number(drop, "age_usec"));
                uint64_t port = json_number(drop, "port");
                g_autofree char *number =
                        port > 0 ? g_strdup_printf(":%" PRIu64, port) : g_strdup("");
                g_autofree char *to = g_strdup_printf("%s%s/%s", json_text(drop, "address"), number,
                                                      json_text(drop, "protocol"));

                table_add(table, age, to, describe(json_text(drop, "reason")), NULL);
        }
        if (n > 0) {
                putchar('\n');
                table_print(table);
        }
}

static void print_names(Json *names)
{
        g_autoptr(Table) table = table_new("AGO", "TIMES", "NAME", "NOT ANSWERED", NULL);
        size_t n = json_object_array_length(names);

        for (size_t i = 0; i < n; i++) {
                Json *name = json_object_array_get_idx(names, i);
                g_autofree char *age = format_seconds(json_number(name, "age_usec"));
                g_autofree char *times = g_strdup_printf("%" PRIu64, json_number(name, "times"));

                table_add(table, age, times, json_text(name, "name"), json_text(name, "reason"),
                          NULL);
        }
        if (n > 0) {
                putchar('\n');
                table_print(table);
        }
}

int traffic_print(Ctl *ctl, const char *sandbox, Fault *f)
{
        g_autoptr(Json) network = NULL;
        Json *part;

        int r = load(ctl, sandbox, &network, f);
        if (r < 0)
                return r;
        if (ctl->json) {
                print_json(network);
                return 0;
        }
        print_state(network);
        if (json_find_array(network, "counters", &part))
                print_counters(part);
        print_field("not known", "%s", json_text(network, "fault"));
        if (json_find_array(network, "drops", &part))
                print_drops(part);
        if (json_find_array(network, "names", &part))
                print_names(part);
        return 0;
}
