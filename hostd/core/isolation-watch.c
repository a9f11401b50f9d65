/* SPDX-License-Identifier: MIT */

/* Who watches over the rules and taps of sandboxes: whatever somebody else changes there is put
 * back, or what it concerns is cut off until it could be. */

#include "core/isolation-private.h"

#include "base/log.h"
#include "base/quantity.h"

#include <string.h>

/* The first and the longest pause before a new attempt. */
#define RETRY_MIN_USEC (100 * USEC_PER_MSEC)
#define RETRY_MAX_USEC (5 * USEC_PER_SEC)

void isolation_tell_repair(Isolation *i, const char *object, const char *what, const char *who,
                           int r, const Fault *f)
{
        Caller caller = manager_own_caller();
        Json *detail = json_object_new_object();
        AuditEntry *entry = NULL;
        Fault why = {0};

        (void) json_object_object_add(detail, "what", json_object_new_string(what));
        if (who)
                (void) json_object_object_add(detail, "who", json_object_new_string(who));
        log_warning("%s%s%s%s: %s", what, who ? " (by " : "", who ? who : "", who ? ")" : "",
                    r < 0 ? f->message : "put right");
        if (audit_begin(i->manager, &caller, "network.repair", object, detail, &entry, &why) < 0)
                log_error("a repair cannot be audited: %s", why.message);
        else
                (void) audit_end(entry, r, f);
}

/* -- cutting off ------------------------------------------------------------------------------- */

/* Nothing gets from or to it. The guest sees that its cable is out. */
void isolation_cut_off(Sandbox *s, const Fault *why)
{
        Isolation *i = s->manager->isolation;
        bool is_news = !s->is_cut_off || !g_str_equal(s->network_fault.message, why->message);
        char interface[FIREWALL_INTERFACE_SIZE];
        Fault f = {0};

        isolation_interface(s, interface);
        s->is_cut_off = true;
        if (i->links && links_set_up(i->links, interface, false, &f) < 0 &&
            f.code != FAULT_NOT_FOUND)
                log_error("sandbox '%s' cannot be cut off: %s", s->row->name, f.message);
        if (is_news)
                network_set_fault(s, why);
        isolation_retry(i);
}

/* libvirt gives the tap the guest's MAC with another first byte. */
static void get_tap_mac(const Sandbox *s, uint8_t ret[MAC_SIZE])
{
        network_mac(isolation_address(s), ret);
        ret[0] = 0xfe;
}

static bool is_right(const Sandbox *s, const Link *link)
{
        uint8_t mac[MAC_SIZE];

        get_tap_mac(s, mac);
        return link->is_isolated && g_str_equal(link->master, s->manager->config->network_bridge) &&
               memcmp(link->mac, mac, MAC_SIZE) == 0;
}

static int get_right_link(const Sandbox *s, Link *ret, Fault *f)
{
        const Isolation *i = s->manager->isolation;
        char interface[FIREWALL_INTERFACE_SIZE];

        isolation_interface(s, interface);
        int r = links_get(i->links, interface, ret, f);
        if (r >= 0 && !is_right(s, ret))
                r = fault_set(f, FAULT_NETWORK_FAILED,
                              "the tap %s is not an isolated port of %s with its own MAC",
                              interface, i->manager->config->network_bridge);
        return r;
}

int isolation_verify(const Sandbox *s, Fault *f)
{
        int r = isolation_verify_rules(s, f);
        Link link;

        return r < 0 ? r : get_right_link(s, &link, f);
}

int isolation_let_on(Sandbox *s, Fault *f)
{
        int r = isolation_verify_rules(s, f);
        Link link;

        if (r >= 0)
                r = get_right_link(s, &link, f);
        if (r >= 0 && !link.is_up)
                r = links_set_up(s->manager->isolation->links, link.name, true, f);
        if (r >= 0 && s->is_cut_off) {
                s->is_cut_off = false;
                network_set_fault(s, NULL);
        }
        return r;
}

/* -- links ------------------------------------------------------------------------------------- */

static int put_link_right(const Isolation *i, const Sandbox *s, const Link *link, Fault *f)
{
        uint8_t mac[MAC_SIZE];
        int r = links_set_up(i->links, link->name, false, f);

        get_tap_mac(s, mac);
        if (r >= 0)
                r = links_set_port(i->links, link->name, f);
        if (r >= 0)
                r = links_set_mac(i->links, link->name, mac, f);
        if (r >= 0 && !s->is_cut_off && link->is_up)
                r = links_set_up(i->links, link->name, true, f);
        return r;
}

static void repair_link(Isolation *i, Sandbox *s, const Link *link)
{
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        g_autofree char *what = g_strdup_printf(
                "the tap of sandbox '%s' was %s", s->row->name,
                !g_str_equal(link->master, i->manager->config->network_bridge) ? "moved"
                : !link->is_isolated                                           ? "not isolated"
                                     : "given another MAC");
        bool was_cut_off = s->is_cut_off;
        Fault f = {0};
        int r = put_link_right(i, s, link, &f);

        if (r < 0)
                isolation_cut_off(s, &f);
        if (r >= 0 || !was_cut_off)
                isolation_tell_repair(i, path, what, NULL, r, &f);
}

bool isolation_look(Sandbox *s, bool is_own)
{
        Isolation *i = s->manager->isolation;
        uint8_t mac[MAC_SIZE];
        char interface[FIREWALL_INTERFACE_SIZE];
        Fault f = {0};
        Link link;

        isolation_interface(s, interface);
        if (!i->links || links_get(i->links, interface, &link, &f) < 0)
                return f.code != FAULT_NOT_FOUND;
        get_tap_mac(s, mac);
        if (!is_right(s, &link) && (is_own || memcmp(link.mac, mac, MAC_SIZE) == 0))
                repair_link(i, s, &link);
        return true;
}

static void look_or_ask(Sandbox *s)
{
        if (s->has_nic && !isolation_look(s, true))
                network_check_devices(s);
}

void isolation_look_at_links(Isolation *i)
{
        g_autoptr(GPtrArray) sandboxes = isolation_sandboxes(i->manager);

        for (guint k = 0; k < sandboxes->len; k++)
                look_or_ask(sandboxes->pdata[k]);
}

static Sandbox *sandbox_of_interface(const Manager *m, const char *name)
{
        const char *id = name + strlen(FIREWALL_INTERFACE_PREFIX);
        Sandbox *s = g_hash_table_lookup(m->objects[OBJECT_SANDBOX], id);

        return s && s->row->address_number ? s : NULL;
}

/* What belongs to no sandbox is mute anyway, and so is what is just being plugged in. */
static void on_link(const char *name, const Link *link, void *userdata)
{
        Isolation *i = userdata;
        Sandbox *s;
        Fault f = {0};

        if (g_str_equal(name, i->manager->config->network_bridge)) {
                if (!link)
                        isolation_connected(i->manager);
                return;
        }
        s = sandbox_of_interface(i->manager, name);
        if (s && !link && s->has_nic)
                network_check_devices(s);
        if (!s || !link)
                return;
        if (s->is_cut_off && link->is_up && links_set_up(i->links, name, false, &f) < 0)
                log_error("sandbox '%s' cannot be cut off: %s", s->row->name, f.message);
        if (s->has_nic && !is_right(s, link))
                repair_link(i, s, link);
}

/* -- rules ------------------------------------------------------------------------------------- */

/* It can be let on, or has no tap that could send. */
static void mend(Isolation *i, Sandbox *s)
{
        Fault f = {0};

        if (!s->is_cut_off)
                return;
        (void) isolation_look(s, s->has_nic);
        if (isolation_let_on(s, &f) >= 0)
                return;
        if (f.code != FAULT_NOT_FOUND) {
                isolation_retry(i);
                return;
        }
        s->is_cut_off = false;
        network_set_fault(s, NULL);
}

void isolation_rules_changed(Isolation *i, int r, const Fault *f)
{
        g_autoptr(GPtrArray) sandboxes = isolation_sandboxes(i->manager);
        bool was_good = !fault_is_set(&i->rules_fault);

        i->rules_fault = r < 0 ? fault_copy(f) : (Fault){0};
        if (r < 0)
                isolation_retry(i);
        for (guint k = 0; k < sandboxes->len; k++) {
                if (r < 0)
                        isolation_cut_off(sandboxes->pdata[k], f);
                else
                        mend(i, sandboxes->pdata[k]);
        }
        if (was_good == (r >= 0))
                return;
        if (r < 0)
                log_error("sandboxes have no network: %s", f->message);
        else
                network_plug_all(i->manager);
        isolation_tell(i);
}

static int take_networks(Isolation *i, Fault *f)
{
        g_autoptr(GArray) local = NULL;
        int r = links_networks(i->links, &local, f);

        if (r >= 0 && i->is_loaded)
                r = firewall_set_local(i->firewall, (const AddressRange *) (void *) local->data,
                                       local->len, f);
        i->is_local_stale = r < 0;
        if (r < 0)
                return r;
        g_array_unref(i->local);
        i->local = g_steal_pointer(&local);
        return 0;
}

/* What the resolver allowed is lost, and asked for again. */
static int restore(Isolation *i, Fault *f)
{
        g_autoptr(GPtrArray) sandboxes = isolation_sandboxes(i->manager);

        for (guint k = 0; k < sandboxes->len; k++)
                network_forget_names(sandboxes->pdata[k]);
        return firewall_restore(i->firewall, f);
}

/* `is_wrong`: they were just looked at. */
static int put_right(Isolation *i, bool is_wrong, Fault *f)
{
        int r = i->is_local_stale ? take_networks(i, f) : 0;
        Fault found = {0};

        if (r >= 0 && !i->is_loaded)
                return isolation_load(i, f);
        if (r >= 0 && (is_wrong || firewall_verify_all(i->firewall, &found) < 0))
                r = restore(i, f);
        return r < 0 ? r : firewall_verify_all(i->firewall, f);
}

static void look_at_rules(Isolation *i, const char *who)
{
        bool was_good = !fault_is_set(&i->rules_fault);
        Fault found = i->rules_fault, f = {0};
        g_autofree char *what = NULL;
        int r;

        if (was_good && firewall_verify_all(i->firewall, &found) >= 0)
                return;
        what = g_strdup_printf("the rules of sandboxes were not as they ought to be: %s",
                               found.message);
        r = put_right(i, was_good, &f);
        isolation_rules_changed(i, r, &f);
        if (was_good || r >= 0)
                isolation_tell_repair(i, "", what, who, r, &f);
}

/* -- trying again ------------------------------------------------------------------------------ */

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
        Isolation *i = userdata;
        g_autoptr(GPtrArray) sandboxes = isolation_sandboxes(i->manager);
        Fault f = {0};

        (void) source;
        (void) usec;
        i->retry = sd_event_source_disable_unref(i->retry);
        if (isolation_remove_leaving(i, &f) < 0) {
                log_error("rules of sandboxes cannot be removed: %s", f.message);
                isolation_retry(i);
        }
        look_at_rules(i, NULL);
        if (!fault_is_set(&i->rules_fault))
                isolation_take_upstreams(i);
        for (guint k = 0; k < sandboxes->len && !fault_is_set(&i->rules_fault); k++)
                mend(i, sandboxes->pdata[k]);
        if (!i->retry)
                i->retry_usec = 0;
        return 0;
}

void isolation_retry(Isolation *i)
{
        if (i->retry || !i->links)
                return;
        i->retry_usec = CLAMP(2 * i->retry_usec, RETRY_MIN_USEC, RETRY_MAX_USEC);
        (void) sd_event_add_time_relative(i->manager->event, &i->retry, CLOCK_MONOTONIC,
                                          i->retry_usec, 0, on_retry, i);
}

static int on_plug_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
        Isolation *i = userdata;

        (void) source;
        (void) usec;
        i->plug_retry = sd_event_source_disable_unref(i->plug_retry);
        network_plug_all(i->manager);
        return 0;
}

void isolation_plug_later(Manager *m, uint64_t usec)
{
        Isolation *i = m->isolation;

        if (!i->plug_retry)
                (void) sd_event_add_time_relative(m->event, &i->plug_retry, CLOCK_MONOTONIC, usec,
                                                  0, on_plug_retry, i);
}

/* -- news -------------------------------------------------------------------------------------- */

/* Another range of this host's may be the sandboxes' own, or that one is gone. */
static void on_networks(void *userdata)
{
        Isolation *i = userdata;
        Fault f = {0};
        int r = take_networks(i, &f);

        if (r < 0)
                isolation_rules_changed(i, r, &f);
        else if (fault_is_set(&i->network_fault))
                isolation_connected(i->manager);
}

static void on_ruleset(uint32_t pid, const char *program, void *userdata)
{
        g_autofree char *who = g_strdup_printf("%s[%u]", program, pid);

        look_at_rules(userdata, who);
}

static void on_neighbor(uint32_t address, void *userdata)
{
        const Isolation *i = userdata;
        Sandbox *s = isolation_sandbox_of(i->manager, address);

        if (s && s->has_nic)
                network_is_online(s);
}

static void on_overrun(void *userdata)
{
        Isolation *i = userdata;
        Fault f = {0};
        Link link;

        look_at_rules(i, NULL);
        on_networks(i);
        if (links_get(i->links, i->manager->config->network_bridge, &link, &f) < 0 &&
            f.code == FAULT_NOT_FOUND)
                isolation_connected(i->manager);
        isolation_look_at_links(i);
}

const LinksObserver isolation_observer = {.link = on_link,
                                          .networks = on_networks,
                                          .ruleset = on_ruleset,
                                          .neighbor = on_neighbor,
                                          .overrun = on_overrun};
