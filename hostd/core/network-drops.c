/* SPDX-License-Identifier: MIT */

/* What was dropped of a sandbox's network is in the trail: the first of it soon, more when it is
 * twice as much, so that a guest that never stops costs a few rows; and all when it is destroyed.
 */

#include "core/isolation.h"

#include "base/log.h"
#include "base/quantity.h"

#define LOOK_INTERVAL_USEC (60 * USEC_PER_SEC)

/* Guests send what is no IPv4 of theirs all the time, and mean no harm. */
static bool is_news(FirewallReason reason)
{
        return reason != FIREWALL_PROTOCOL;
}

static Json *describe(const FirewallCounters *counters, uint64_t total)
{
        Json *detail = json_object_new_object();

        (void) json_object_object_add(detail, "frames", json_object_new_uint64(total));
        for (FirewallReason i = 0; i < _FIREWALL_REASON_MAX; i++)
                if (is_news(i) && counters->dropped[i].packets > 0)
                        (void) json_object_object_add(
                                detail, firewall_reason_to_string(i),
                                json_object_new_uint64(counters->dropped[i].packets));
        return detail;
}

static void tell(Sandbox *s, bool is_last)
{
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        Caller own = manager_own_caller();
        FirewallCounters counters;
        uint64_t total = 0;
        Fault f = {0};

        if (!s->row->address_number || sandbox_is_hidden(s) ||
            sandbox_network_counters(s, &counters, NULL) < 0)
                return;
        for (FirewallReason i = 0; i < _FIREWALL_REASON_MAX; i++)
                total += is_news(i) ? counters.dropped[i].packets : 0;
        if (total <= s->drops_told || (!is_last && total < 2 * s->drops_told))
                return;
        if (audit_note(s->manager, &own, "network.drops", path, describe(&counters, total), &f) < 0)
                log_error("what was dropped of sandbox '%s' cannot be audited: %s", s->row->name,
                          f.message);
        else
                s->drops_told = total;
}

void network_tell_last_drops(Sandbox *s)
{
        tell(s, true);
}

void network_tell_drops(Manager *m)
{
        g_autoptr(GPtrArray) sandboxes = manager_list(m, OBJECT_SANDBOX);

        for (guint i = 0; i < sandboxes->len; i++)
                tell(sandboxes->pdata[i], false);
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata)
{
        (void) usec;
        network_tell_drops(userdata);
        (void) sd_event_source_set_time_relative(source, LOOK_INTERVAL_USEC);
        (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return 0;
}

void network_watch_drops(Manager *m)
{
        (void) sd_event_add_time_relative(m->event, &m->drops_timer, CLOCK_MONOTONIC,
                                          LOOK_INTERVAL_USEC, USEC_PER_SEC, on_look, m);
}
