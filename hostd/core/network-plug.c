/* SPDX-License-Identifier: MIT */

/* The NIC of a sandbox's domain: it comes when its rules are in the kernel, and its cable is
 * plugged in when they, and the tap, were looked at again. Somebody else's goes. */

#include "core/isolation.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/quantity.h"

#include <string.h>

/* A guest that is asked to let its NIC go. */
#define RELEASE_USEC (10 * USEC_PER_SEC)

/* One that could not be plugged in is tried again after that. */
#define RETRY_USEC (2 * USEC_PER_SEC)

DomainNic *network_nic_new(const Sandbox *s)
{
        uint8_t mac[MAC_SIZE];
        char interface[FIREWALL_INTERFACE_SIZE];
        DomainNic *nic;

        if (!s->row->address_number)
                return NULL;
        nic = g_new0(DomainNic, 1);
        network_mac(isolation_address(s), mac);
        mac_format(mac, nic->mac);
        isolation_interface(s, interface);
        nic->network = g_strdup(s->manager->config->network_name);
        nic->interface = g_strdup(interface);
        return nic;
}

DomainNic *network_nic_free(DomainNic *nic)
{
        if (!nic)
                return NULL;
        g_free(nic->network);
        g_free(nic->interface);
        g_free(nic);
        return NULL;
}

DomainNic *network_boot_nic(const Sandbox *s)
{
        Fault f = {0};

        if (!s->row->address_number)
                return NULL;
        if (isolation_check(s->manager, &f) >= 0 && isolation_verify_rules(s, &f) >= 0)
                return network_nic_new(s);
        log_warning("sandbox '%s' is started without its network: %s", s->row->name, f.message);
        return NULL;
}

/* -- in a worker ------------------------------------------------------------------------------- */

int network_plug_in(Hypervisor *h, const char *id, const DomainNic *nic, Fault *f)
{
        int r = hypervisor_attach_nic(h, id, nic, f);

        return r < 0 ? r : hypervisor_set_nic_link(h, id, nic->mac, true, f);
}

int network_unplug(Hypervisor *h, const char *id, const DomainNic *nic, Fault *f)
{
        Fault why = {0};
        int r = hypervisor_detach_nic(h, id, nic->mac, RELEASE_USEC, &why);

        if (r < 0 && why.code == FAULT_TIMED_OUT)
                return fault_set(
                        f, FAULT_TIMED_OUT,
                        "the guest does not let its network interface go, and none can be "
                        "in a memory: set its network to 'none', or do without the memory");
        return r < 0 ? fault_set(f, why.code, "%s", why.message) : 0;
}

/* Of a domain whose CPUs have not run yet: it boots with it. */
int network_start(Hypervisor *h, const char *id, const DomainNic *nic, Fault *f)
{
        int r = network_plug_in(h, id, nic, f);

        if (r >= 0)
                r = hypervisor_resume_domain(h, id, f);
        if (r < 0)
                (void) hypervisor_stop_domain(h, id, NULL);
        return r;
}

int network_start_domain(Hypervisor *h, const char *id, const DomainNic *nic, Fault *f)
{
        int r = nic ? hypervisor_start_domain_paused(h, id, f) : hypervisor_start_domain(h, id, f);

        return r < 0 || !nic ? r : network_start(h, id, nic, f);
}

bool network_has_foreign(Hypervisor *h, const char *id)
{
        g_autoptr(GPtrArray) nics = NULL;
        char interface[FIREWALL_INTERFACE_SIZE];

        firewall_interface(id, interface);
        if (hypervisor_domain_nics(h, id, &nics, NULL) < 0)
                return false;
        for (guint i = 0; i < nics->len; i++)
                if (!g_str_equal(((DomainNic *) nics->pdata[i])->interface, interface))
                        return true;
        return false;
}

/* -- what it has ------------------------------------------------------------------------------- */

void network_set_has_nic(Sandbox *s, bool has_nic)
{
        bool is_news = s->has_nic != has_nic;

        s->has_nic = has_nic;
        s->nic_generation++;
        if (!has_nic)
                s->is_online = false;
        if (is_news && s->is_announced)
                manager_changed(s->manager, OBJECT_SANDBOX, s);
}

static void is_plugged(Sandbox *s)
{
        network_set_has_nic(s, true);
        s->is_online = false;
        s->plug_retry_usec = 0;
        if (!s->is_cut_off)
                network_set_fault(s, NULL);
        isolation_probe(s);
}

void network_is_started(Sandbox *s)
{
        Fault f = {0};

        is_plugged(s);
        if (isolation_verify(s, &f) < 0)
                isolation_cut_off(s, &f);
}

void network_is_off(Sandbox *s)
{
        network_set_has_nic(s, false);
        s->wants_nic = s->has_stuck_nic = false;
        s->plug_retry_usec = 0;
        if (!s->is_cut_off && fault_is_set(&s->network_fault))
                network_set_fault(s, NULL);
}

void network_is_resumed(Sandbox *s)
{
        network_set_has_nic(s, false);
        s->has_stuck_nic = false;
}

DomainNic *network_lend_nic(Sandbox *s)
{
        DomainNic *nic = s->has_nic ? network_nic_new(s) : NULL;

        network_set_has_nic(s, false);
        return nic;
}

void network_is_online(Sandbox *s)
{
        if (s->is_online)
                return;
        s->is_online = true;
        sandbox_notify(s);
}

/* -- plugging in and out ----------------------------------------------------------------------- */

typedef struct Plug {
        Manager *manager;
        Hypervisor *hypervisor;
        Id id;
        DomainNic *nic;
        PlugStep step;
        bool has_tap;
        PlugDone done;
} Plug;

static void plug_free(gpointer data)
{
        Plug *q = data;

        (void) network_nic_free(q->nic);
        g_free(q);
}

/* What a profile before has left there, or somebody who deleted the tap. */
static int clear_place(const Plug *q, Fault *f)
{
        g_autoptr(GPtrArray) nics = NULL;
        int r = hypervisor_domain_nics(q->hypervisor, q->id.text, &nics, f);

        for (guint i = 0; r >= 0 && i < nics->len; i++) {
                const DomainNic *nic = nics->pdata[i];
                if (g_str_equal(nic->interface, q->nic->interface) &&
                    (!q->has_tap || !g_str_equal(nic->mac, q->nic->mac)))
                        r = hypervisor_detach_nic(q->hypervisor, q->id.text, nic->mac, RELEASE_USEC,
                                                  f);
        }
        return r;
}

static int plug_run(void *request, Fault *f)
{
        const Plug *q = request;
        int r;

        switch (q->step) {
        case PLUG_NOTHING:
                return 0;
        case PLUG_IN:
                r = clear_place(q, f);
                return r < 0 ? r : hypervisor_attach_nic(q->hypervisor, q->id.text, q->nic, f);
        case PLUG_CABLE:
                return hypervisor_set_nic_link(q->hypervisor, q->id.text, q->nic->mac, true, f);
        case PLUG_OUT:
                return network_unplug(q->hypervisor, q->id.text, q->nic, f);
        }
        g_assert_not_reached();
}

static void plug_done(void *request, int r, const Fault *f, void *userdata)
{
        Plug *q = request;
        Sandbox *s = g_hash_table_lookup(q->manager->objects[OBJECT_SANDBOX], q->id.text);
        Fault why = fault_copy(f);

        (void) userdata;
        if (!s || q->manager->is_closing)
                return;
        if (r >= 0 && q->step == PLUG_IN) {
                (void) isolation_look(s, true);
                r = isolation_let_on(s, &why);
                if (r >= 0) {
                        network_plug(s, PLUG_CABLE, TAKE_PTR(q->nic), q->done);
                        return;
                }
        }
        if (r >= 0 && q->step == PLUG_CABLE)
                is_plugged(s);
        if (q->step == PLUG_OUT)
                network_set_has_nic(s, false);
        q->done(s, r, &why);
}

void network_plug(Sandbox *s, PlugStep step, DomainNic *nic, PlugDone done)
{
        Plug *q = g_new0(Plug, 1);

        *q = (Plug){.manager = s->manager,
                    .hypervisor = s->manager->hypervisor,
                    .id = s->row->id,
                    .nic = nic,
                    .step = step,
                    .has_tap = step == PLUG_IN && isolation_look(s, false),
                    .done = done};
        (void) workers_submit(s->manager->workers, plug_run, plug_done, q, plug_free, NULL);
}

/* -- what ought to have one -------------------------------------------------------------------- */

static void is_ready_with(Sandbox *s, int r, const Fault *f)
{
        sandbox_time(s, TIMING_NETWORK);
        if (r < 0 && s->create_entry)
                sandbox_fail_boot(s, f);
        else
                sandbox_become_ready(s);
}

/* libvirtd's return brings a new attempt. */
static void plugged(Sandbox *s, int r, const Fault *f)
{
        bool was_wanted = s->wants_nic && s->state == SANDBOX_STARTING;

        s->wants_nic = false;
        if (r < 0 && f->code != FAULT_HYPERVISOR_UNAVAILABLE) {
                log_warning("sandbox '%s' has no network: %s", s->row->name, f->message);
                network_set_fault(s, f);
                s->plug_retry_usec = now_monotonic_usec() + RETRY_USEC;
                isolation_plug_later(s->manager, RETRY_USEC);
        }
        if (was_wanted && (r >= 0 || f->code != FAULT_HYPERVISOR_UNAVAILABLE))
                is_ready_with(s, r, f);
        sandbox_end_operation(s);
}

void network_tend(Sandbox *s)
{
        /* What the domain does is asked first. */
        if (s->operation || s->is_probing || s->needs_probe ||
            !hypervisor_is_connected(s->manager->hypervisor))
                return;
        if (s->needs_devices)
                network_check_devices(s);
        if (s->has_nic && !isolation_look(s, true))
                network_check_devices(s);
        if (!s->row->address_number || s->has_nic)
                return;
        if (!(s->state == SANDBOX_STARTING && s->wants_nic) &&
            !(s->state == SANDBOX_READY && s->plug_retry_usec <= now_monotonic_usec()))
                return;
        if (sandbox_begin_operation(s, "given its network", NULL) == 0)
                network_plug(s, PLUG_IN, network_nic_new(s), plugged);
}

bool network_begin(Sandbox *s)
{
        if (!s->row->address_number || s->has_nic)
                return false;
        s->wants_nic = true;
        network_tend(s);
        return true;
}

void network_plug_all(Manager *m)
{
        g_autoptr(GPtrArray) sandboxes = manager_list(m, OBJECT_SANDBOX);

        for (guint i = 0; i < sandboxes->len; i++) {
                ((Sandbox *) sandboxes->pdata[i])->plug_retry_usec = 0;
                network_tend(sandboxes->pdata[i]);
        }
}

void network_is_lost(Sandbox *s)
{
        Fault f = {0};

        (void) fault_set(&f, FAULT_NETWORK_FAILED, "its NIC is gone");
        network_set_has_nic(s, false);
        network_set_fault(s, &f);
        network_tend(s);
}
