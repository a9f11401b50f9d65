/* SPDX-License-Identifier: MIT */
#include "tests/fake/host-service.h"

#include "base/cleanup.h"
#include "base/quantity.h"

int set_network(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        char *key, *value, *ports = NULL;
        Sandbox *s = userdata;
        const char *profile;
        int fd;

        (void) e;
        g_assert(sd_bus_message_read(m, "s", &profile) > 0);
        if (g_str_equal(profile, "secret"))
                return refuse(m, FAULT_DENIED, "profile 'secret' is for root");
        if (!g_str_equal(profile, "none") && !g_str_equal(profile, "internet"))
                return refuse(m, FAULT_INVALID_ARGUMENT, "there is no such profile");
        g_assert(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (next_option(m, &key, &value, &fd) > 0)
                if (g_str_equal(key, "publish"))
                        ports = value;
        if (g_strcmp0(ports, "22:22") == 0)
                return refuse(m, FAULT_EXISTS, "port 22 of the host is taken");
        s->network = g_str_equal(profile, "none") ? NULL : g_strdup(profile);
        if (ports)
                s->ports = ports;
        return sd_bus_reply_method_return(m, NULL);
}

/* Documentation addresses of the first kind are allowed, and this host. */
int explain_network(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        g_autofree char *why = NULL;
        const char *address, *protocol;
        const Sandbox *s = userdata;
        uint16_t port;

        (void) e;
        g_assert(sd_bus_message_read(m, "sqs", &address, &port, &protocol) > 0);
        if (!s->network)
                return refuse(m, FAULT_WRONG_STATE, "it has no network");
        why = g_strdup_printf("'%s' was asked of %s %u %s", s->network, address, port, protocol);
        return sd_bus_reply_method_return(
                m, "bs", g_str_has_prefix(address, "192.0.2.") || g_str_has_prefix(address, "127."),
                why);
}

int list_drops(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        (void) userdata, (void) e;
        return sd_bus_reply_method_return(m, "a(sssqt)a(sstt)", 3, "reach", "10.1.2.3", "tcp", 22,
                                          5 * USEC_PER_SEC, "host", "10.66.0.1", "icmp", 0,
                                          61 * USEC_PER_SEC, "odd" HOSTILE, "192.0.2.9", "47", 0,
                                          90 * USEC_PER_SEC, 1, "evil.example" HOSTILE,
                                          "no pattern matches it", UINT64_C(7), 3 * USEC_PER_SEC);
}

int get_network_rules(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        (void) userdata, (void) e;
        return sd_bus_reply_method_return(m, "s",
                                          "chain profile-internet {\n\taccept # " HOSTILE "\n}\n");
}

int get_network_counters(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *e)
{
        const Sandbox *s = userdata;

        (void) bus, (void) path, (void) interface, (void) property;
        if (g_strcmp0(s->network, HOSTILE) == 0)
                return sd_bus_error_set(e, BUS_ERROR_PREFIX "WrongState",
                                        "its rules are not there " HOSTILE);
        return sd_bus_message_append(reply, "a(stt)", 6, "passed", UINT64_C(120), UINT64_C(12288),
                                     "forged", UINT64_C(1), UINT64_C(60), "protocol", UINT64_C(0),
                                     UINT64_C(0), "host", UINT64_C(2), UINT64_C(168), "reach",
                                     UINT64_C(3), UINT64_C(180), "limit", UINT64_C(0), UINT64_C(0));
}

int get_network_property(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *e)
{
        const Sandbox *s = userdata;
        bool is_hostile = g_strcmp0(s->network, HOSTILE) == 0;
        const char *text = s->network;

        (void) bus, (void) path, (void) interface, (void) e;
        if (g_str_equal(property, "PublishedPorts")) {
                g_auto(GStrv) ports = g_strsplit(or_empty(s->ports), " ", -1);
                return sd_bus_message_append_strv(reply, ports);
        }
        if (g_str_equal(property, "NetworkState"))
                text = is_hostile ? "cut-off" : s->network ? "up" : "none";
        else if (g_str_equal(property, "NetworkReason"))
                text = is_hostile ? HOSTILE : "";
        else if (!s->network)
                text = g_str_equal(property, "Network") ? "none" : "";
        else if (g_str_equal(property, "Address"))
                text = "10.66.0.5";
        else if (g_str_equal(property, "MacAddress"))
                text = "52:54:00:00:00:05";
        else if (g_str_equal(property, "NetworkInterface"))
                text = "fl-0000000000a1";
        return sd_bus_message_append(reply, "s", text);
}
