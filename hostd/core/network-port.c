/* SPDX-License-Identifier: MIT */

/* The ports of this host that are published for sandboxes: as text, and in rows. */

#include "core/internal.h"
#include "core/network.h"

#include <netinet/in.h>

#define PORTS_MAX 64

static bool parse_port(const char *text, uint16_t *ret)
{
        guint64 port;

        if (!g_ascii_string_to_unsigned(text, 10, 1, UINT16_MAX, &port, NULL))
                return false;
        *ret = (uint16_t) port;
        return true;
}

int network_port_parse(const char *text, FirewallPort *ret, Fault *f)
{
        FirewallPort port = {.protocol = IPPROTO_TCP};
        g_auto(GStrv) halves = g_strsplit(text, "/", -1);
        guint n_halves = g_strv_length(halves);
        g_auto(GStrv) parts = g_strsplit(n_halves > 0 ? halves[0] : "", ":", -1);
        guint n = g_strv_length(parts);
        bool is_good = (n_halves == 1 || n_halves == 2) && (n == 2 || n == 3);

        if (is_good && n_halves == 2)
                port.protocol = protocol_from_string(halves[1]);
        is_good &= port.protocol == IPPROTO_TCP || port.protocol == IPPROTO_UDP;
        if (is_good && n == 3)
                is_good = address_parse(parts[0], &port.host_address, NULL) == 0;
        if (!is_good || !parse_port(parts[n - 2], &port.host_port) ||
            !parse_port(parts[n - 1], &port.sandbox_port))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.60s' is not a port to publish; write it like "
                                 "127.0.0.1:8080:80 or 8080:80/udp",
                                 text);
        *ret = port;
        return 0;
}

char *network_port_format(const FirewallPort *port)
{
        char address[ADDRESS_TEXT_MAX];

        address_format(port->host_address, address);
        return g_strdup_printf("%s:%u:%u/%s", address, port->host_port, port->sandbox_port,
                               protocol_to_string(port->protocol));
}

/* Whether both cannot be published at the same time. */
static bool are_in_conflict(const FirewallPort *a, const FirewallPort *b)
{
        return a->protocol == b->protocol && a->host_port == b->host_port &&
               (a->host_address == b->host_address || a->host_address == 0 || b->host_address == 0);
}

static bool is_taken(const FirewallPort *port, const GArray *by)
{
        for (guint i = 0; i < by->len; i++)
                if (are_in_conflict(port, &g_array_index(by, FirewallPort, i)))
                        return true;
        return false;
}

static int check_port(const Manager *m, const char *id, const FirewallPort *port,
                      const GArray *others, Fault *f)
{
        g_autofree char *text = network_port_format(port);
        g_autoptr(GPtrArray) sandboxes = manager_list(m, OBJECT_SANDBOX);

        if (is_taken(port, others))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "port %s is to be published twice",
                                 text);
        for (guint i = 0; i < sandboxes->len; i++) {
                const Sandbox *s = sandboxes->pdata[i];
                g_autoptr(GArray) ports = network_ports_of(s->row);
                if (!g_str_equal(s->row->id.text, id) && is_taken(port, ports))
                        return fault_set(f, FAULT_EXISTS,
                                         "port %s is published for another sandbox already", text);
        }
        return 0;
}

int network_format_ports(const Manager *m, const char *id, const char *const *ports, char **ret,
                         Fault *f)
{
        g_autoptr(GArray) parsed = g_array_new(FALSE, FALSE, sizeof(FirewallPort));
        Json *list = json_object_new_array();
        int r = 0;

        if (ports && g_strv_length((char **) ports) > PORTS_MAX)
                r = fault_set(f, FAULT_LIMITS_EXCEEDED, "at most %d ports can be published",
                              PORTS_MAX);
        for (size_t i = 0; r == 0 && ports && ports[i]; i++) {
                FirewallPort port;
                r = network_port_parse(ports[i], &port, f);
                if (r == 0)
                        r = check_port(m, id, &port, parsed, f);
                if (r < 0)
                        break;
                g_autofree char *text = network_port_format(&port);
                (void) g_array_append_val(parsed, port);
                (void) json_object_array_add(list, json_object_new_string(text));
        }
        if (r == 0)
                *ret = g_strdup(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN));
        json_object_put(list);
        return r;
}

GArray *network_ports_of(const SandboxRow *row)
{
        GArray *ports = g_array_new(FALSE, FALSE, sizeof(FirewallPort));
        Json *list = json_tokener_parse(row->ports);
        size_t n = list && json_object_is_type(list, json_type_array)
                           ? json_object_array_length(list)
                           : 0;

        for (size_t i = 0; i < n; i++) {
                FirewallPort port;
                const char *text = json_object_get_string(json_object_array_get_idx(list, i));
                if (text && network_port_parse(text, &port, NULL) == 0)
                        (void) g_array_append_val(ports, port);
        }
        json_object_put(list);
        return ports;
}

char **sandbox_network_ports(const Sandbox *s)
{
        g_autoptr(GArray) ports = network_ports_of(s->row);
        GPtrArray *texts = g_ptr_array_new();

        for (guint i = 0; i < ports->len; i++)
                g_ptr_array_add(texts, network_port_format(&g_array_index(ports, FirewallPort, i)));
        g_ptr_array_add(texts, NULL);
        return (char **) g_ptr_array_free(texts, FALSE);
}
