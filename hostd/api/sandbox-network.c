/* SPDX-License-Identifier: MIT */
#include "core/network.h"

#include "api/options.h"
#include "api/sandbox-object.h"

int sandbox_object_set_network(Call *call, void *object, Fault *f)
{
        g_auto(GStrv) ports = NULL;
        const Option options[] = {{"publish", "as", &ports}};
        const char *profile;
        int r = call_read_fault(sd_bus_message_read(call->message, "s", &profile), f);

        if (r >= 0)
                r = options_read(call->message, options, G_N_ELEMENTS(options), f);
        if (r >= 0)
                r = sandbox_set_network(object, &call->caller, profile, (const char *const *) ports,
                                        call_done, call, f);
        return r < 0 ? r : CALL_PENDING;
}

int sandbox_object_explain_network(Call *call, void *object, Fault *f)
{
        const char *address, *protocol;
        g_autofree char *why = NULL;
        bool is_allowed;
        uint16_t port;
        int r = call_read_fault(
                sd_bus_message_read(call->message, "sqs", &address, &port, &protocol), f);

        if (r >= 0)
                r = sandbox_network_explain(object, address, port, protocol, &is_allowed, &why, f);
        return r < 0 ? r : call_reply(call, f, "bs", is_allowed, why);
}

int sandbox_object_get_network_rules(Call *call, void *object, Fault *f)
{
        g_autofree char *rules = NULL;
        int r = sandbox_network_rules(object, &rules, f);

        return r < 0 ? r : call_reply(call, f, "s", rules);
}

/* -- what was refused ------------------------------------------------------------------------- */

static int append_drop(sd_bus_message *reply, const FirewallDrop *drop)
{
        const char *reason = firewall_reason_to_string(drop->reason);
        const char *protocol = protocol_to_string(drop->protocol);
        char address[ADDRESS_TEXT_MAX], number[8];

        address_format(drop->address, address);
        (void) g_snprintf(number, sizeof number, "%u", drop->protocol);
        return sd_bus_message_append(reply, "(sssqt)", reason, address,
                                     protocol ? protocol : number, drop->port, drop->age_usec);
}

static int append_drops(sd_bus_message *reply, const GArray *drops)
{
        int r = sd_bus_message_open_container(reply, 'a', "(sssqt)");

        for (guint i = 0; r >= 0 && i < drops->len; i++)
                r = append_drop(reply, &g_array_index(drops, FirewallDrop, i));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_refusals(sd_bus_message *reply, const GArray *refusals)
{
        int r = sd_bus_message_open_container(reply, 'a', "(sstt)");

        for (guint i = 0; r >= 0 && i < refusals->len; i++) {
                const ResolverRefusal *refusal = &g_array_index(refusals, ResolverRefusal, i);

                r = sd_bus_message_append(reply, "(sstt)", refusal->name,
                                          resolver_reason_to_string(refusal->reason),
                                          refusal->times, refusal->age_usec);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int sandbox_object_list_drops(Call *call, void *object, Fault *f)
{
        g_autoptr(sd_bus_message) reply = NULL;
        g_autoptr(GArray) drops = NULL, refusals = NULL;
        int r = sandbox_network_drops(object, &drops, f);

        if (r >= 0)
                r = sandbox_network_refusals(object, &refusals, f);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_return(call->message, &reply);
        if (r >= 0)
                r = append_drops(reply, drops);
        if (r >= 0)
                r = append_refusals(reply, refusals);
        return call_send(call, reply, r, f);
}

/* -- what was counted ------------------------------------------------------------------------- */

static int append_count(sd_bus_message *reply, const char *what, const FirewallCount *count)
{
        return sd_bus_message_append(reply, "(stt)", what, count->packets, count->bytes);
}

static int append_counters(sd_bus_message *reply, const FirewallCounters *counters)
{
        int r = append_count(reply, "passed", &counters->passed);

        for (FirewallReason reason = 0; r >= 0 && reason < _FIREWALL_REASON_MAX; reason++)
                r = append_count(reply, firewall_reason_to_string(reason),
                                 &counters->dropped[reason]);
        return r;
}

int sandbox_object_get_network_counters(G_GNUC_UNUSED sd_bus *bus, G_GNUC_UNUSED const char *path,
                                        G_GNUC_UNUSED const char *interface,
                                        G_GNUC_UNUSED const char *property, sd_bus_message *reply,
                                        void *object, sd_bus_error *error)
{
        FirewallCounters counters;
        SandboxNetwork network;
        bool has_network;
        Fault f = {0};
        int r;

        sandbox_network(object, &network);
        has_network = *network.address != '\0';
        if (has_network && sandbox_network_counters(object, &counters, &f) < 0)
                return call_set_error(error, &f);
        r = sd_bus_message_open_container(reply, 'a', "(stt)");
        if (r >= 0 && has_network)
                r = append_counters(reply, &counters);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}
